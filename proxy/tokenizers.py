"""Tokenizers that their provider has published, with their ranks in proxy/data: how many tokens texts are.

Nothing is fetched. The first use of an encoding reads its file, which takes a few tenths of a second.
"""

import gzip
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from tiktoken import Encoding

DATA = Path(__file__).parent / "data"
# Longer texts are counted in pieces: tiktoken panics on a million spaces, and cannot be interrupted inside a text.
PIECE_CHARACTERS_MAX = 32_768
# A cut may part what would have been one token, or shift what follows.
CUT_TOKENS = 8

# Which models read which encoding, by what tiktoken 0.14 maps; it has none for gpt-6 and later.
_MODELS = (
    (re.compile(r"(?:chatgpt-4o|gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5(?:\.\d+)?|o1|o3|o4-mini)(?:-.+)?"), "o200k_base"),
    (re.compile(r"(?:gpt-3\.5(?:-turbo)?|gpt-4)(?:-.+)?"), "cl100k_base"),
)
# How each encoding parts a text before it merges; as in tiktoken, where they cannot be had without a download.
_PATTERNS = {
    "o200k_base": "|".join(
        [
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    ),
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
}


class TooSlow(Exception):
    """The texts were not counted in time."""


def encoding_of(provider: str, model: str) -> str | None:
    """The encoding that a model reads; None where none is published. A fine-tuned model reads its base's."""
    if provider != "openai":
        return None
    name = model.split(":")[1] if model.startswith("ft:") else model
    return next((encoding for pattern, encoding in _MODELS if pattern.fullmatch(name)), None)


def count(encoding: str, texts: Iterable[str], *, is_over: Callable[[], bool]) -> int:
    """How many tokens the texts are, each on its own; names of special tokens are ordinary text in them.

    is_over: asked before every piece; once it says yes, TooSlow is raised.
    """
    tokenizer = _tokenizer(encoding)
    tokens = 0
    for text, times in Counter(texts).items():
        for start in range(0, len(text), PIECE_CHARACTERS_MAX):
            if is_over():
                raise TooSlow
            piece = len(tokenizer.encode_ordinary(text[start : start + PIECE_CHARACTERS_MAX]))
            tokens += times * (piece + (CUT_TOKENS if start else 0))
    return tokens


@cache
def _tokenizer(encoding: str) -> Encoding:
    lines = gzip.decompress((DATA / f"{encoding}.tiktoken.gz").read_bytes()).splitlines()
    ranks = {b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
    return Encoding(encoding, pat_str=_PATTERNS[encoding], mergeable_ranks=ranks, special_tokens={})
