"""Drives the official SDKs once against a recorder and keeps what they sent: tests/data/corpus.

    .venv/bin/python -m tests.clients.record        (after ./dev clients has installed them)

Each line of a file is one request: {name, endpoint, method, path, headers, body}. The body is the text as sent; of the
headers, keys, addresses and lengths are left out.
"""

import tempfile
from pathlib import Path

import orjson

from tests.clients.environments import CHECKOUT, PROGRAMS, SDKS, node, run
from tests.fakes.recorder import Received, recorder

CORPUS = CHECKOUT / "tests" / "data" / "corpus"
KINDS = {"py": str(SDKS), "cjs": node()}
LEFT_OUT = frozenset(
    {"authorization", "x-api-key", "x-goog-api-key", "host", "content-length", "connection", "accept-encoding",
     "accept-language", "sec-fetch-mode"}
)  # fmt: skip


def record(program: str) -> list[bytes]:
    """The lines of one program, in the order in which it called."""
    interpreter = KINDS[program.rpartition(".")[2]]
    with recorder() as upstream, tempfile.TemporaryDirectory() as home:
        ended = run(interpreter, str(PROGRAMS / program), home=Path(home), environment={"RECORDER": upstream.url})
        if ended.returncode:
            raise SystemExit(f"{program}: {ended.stderr}")
        lines = [line_of(received) for received in upstream.received]
    missing = set(ended.stdout.split()) - {orjson.loads(line)["name"] for line in lines}
    if missing:
        raise SystemExit(f"{program} did not send {', '.join(sorted(missing))}")
    return lines


def line_of(received: Received) -> bytes:
    """One request; its name is the first segment of the path, and the endpoint the name's first word."""
    _, name, path = received.path.split("/", 2)
    headers = {key: value for key, value in sorted(received.headers.items()) if key not in LEFT_OUT}
    return orjson.dumps(
        {
            "name": name,
            "endpoint": name.partition("-")[0],
            "method": received.method,
            "path": f"/{path}",
            "headers": headers,
            "body": received.body.decode(),
        }
    )


def main() -> None:
    """Record them all."""
    CORPUS.mkdir(exist_ok=True)
    for program in sorted(path.name for path in PROGRAMS.glob("corpus_*") if not path.stem.endswith("parts")):
        kind = {"py": "python", "cjs": "node"}[program.rpartition(".")[2]]
        lines = record(program)
        file = CORPUS / f"{program.partition('.')[0].removeprefix('corpus_')}_{kind}.jsonl"
        file.write_bytes(b"\n".join(lines) + b"\n")
        print(f"{file.relative_to(CHECKOUT)}: {len(lines)} requests")


if __name__ == "__main__":
    main()
