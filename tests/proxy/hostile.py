"""A provider that answers with everything a network and a bad day can make of an answer, one kind for each seed."""

import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from proxy.providers import registry, sandbox
from proxy.providers.endpoints import Route
from proxy.providers.targets import BUILT_IN

LINE_BYTES = 2**20
USAGES: tuple[Any, ...] = (
    -1, -(10**9), 10**12, 2**63, 10**30, 1.5, "12", None, True, [], {}, [1], {"a": 1}, float(10**40), "NaN",
)  # fmt: skip
TEXTS = ("ä€😀" * 20, "\u2028 data: {}", '"usage":null', "data: [DONE]", "\\", "\0")


@dataclass(frozen=True)
class Form:
    """One form of request: its path below /proxy, who answers, and a body whose question names the seed.

    streamed: its path and query where those ask for a stream, and not the body; content_type: of such a stream.
    """

    path: str
    provider: str
    model: str
    body: dict[str, Any]
    streamed: str = ""
    content_type: str = "text/event-stream"

    def asking(self, *, stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        if self.streamed:
            return (self.streamed if stream else self.path), self.body
        return self.path, self.body | {"model": self.model, "stream": stream}


_ASK = "How long is a piece of string? seed-%d."
_GEMINI = "/gemini/v1beta/models/gemini-2.5-flash"
_PLAIN, _STREAM = f"{_GEMINI}:generateContent", f"{_GEMINI}:streamGenerateContent"
_CONTENT: dict[str, Any] = {"generationConfig": {"maxOutputTokens": 60}, "contents": _ASK}
FORMS = (
    Form("/v1/chat/completions", "openai", "gpt-4o-mini", {"max_tokens": 60, "messages": _ASK}),
    Form("/v1/responses", "openai", "gpt-5-mini", {"max_output_tokens": 60, "input": _ASK}),
    Form("/v1/messages", "anthropic", "claude-haiku-4-5", {"max_tokens": 60, "messages": _ASK}),
    Form(_PLAIN, "google", "gemini-2.5-flash", _CONTENT, f"{_STREAM}?alt=sse"),
    Form(_PLAIN, "google", "gemini-2.5-flash", _CONTENT, _STREAM, "application/json"),
)  # fmt: skip
# The fields that hold the question, and what it looks like there.
_QUESTIONS: dict[str, Callable[[str], Any]] = {
    "messages": lambda text: [{"role": "user", "content": text}],
    "input": lambda text: text,
    "prompt": lambda text: text,
    "contents": lambda text: [{"role": "user", "parts": [{"text": text}]}],
}


@dataclass(frozen=True)
class Attack:
    """What one seed asks for and what it is answered. raw: the bytes on the wire; pieces: how they are cut."""

    seed: int
    form: Form
    path: str
    body: dict[str, Any]
    name: str
    status: int
    pieces: list[bytes]
    resets: bool


def attack_of(seed: int) -> Attack:
    """The same attack for the same seed."""
    random = Random(seed)
    form = random.choice(FORMS)
    stream = random.random() < 0.5
    path, body = form.asking(stream=stream)
    body = body | {name: _QUESTIONS[name](str(body[name]) % seed) for name in _QUESTIONS if name in body}
    content_type = form.content_type if stream else "application/json"
    chunks = _honest(form, path, body)
    name = random.choice(sorted(_ATTACKS))
    answer = _ATTACKS[name](random, _Answer(200, [("Content-Type", content_type)], chunks))
    raw = answer.raw if answer.raw is not None else _wire(random, answer)
    return Attack(seed, form, path, body, name, answer.status, _cut(random, raw), random.random() < 0.3)


class HostileProvider:
    """Serves the attack that a request names in its user field."""

    def __init__(self) -> None:
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a port of its own."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(lines[0].split(b":")[1]))
            attack = attack_of(int(body.split(b"seed-")[1].split(b".")[0]))
            for piece in attack.pieces:
                writer.write(piece)
                await writer.drain()
            if attack.resets:
                writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            pass  # who left first is no matter here
        finally:
            writer.close()


@dataclass
class _Answer:
    status: int
    headers: list[tuple[str, str]]
    chunks: list[bytes]
    raw: bytes | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


def _honest(form: Form, path: str, body: dict[str, Any]) -> list[bytes]:
    """What a well-behaved provider would have sent."""
    headers = {"x-api-key": "k"} if form.provider == "anthropic" else {}
    path, _, query = path.partition("?")
    route: Route = registry.find_route("POST", path, headers, query=query)
    surface = registry.surface_of(route.endpoint)
    request = surface.read_request(route, orjson.dumps(body), {})
    outgoing = surface.prepare(request, BUILT_IN[form.provider].target(form.model, route.endpoint.dialect))
    return sandbox.answer(request, outgoing.target, outgoing.send(request.output_cap)).chunks


def _wire(random: Random, answer: _Answer) -> bytes:
    """The answer as HTTP, honest about its length, in one of the three ways."""
    head = f"HTTP/1.1 {answer.status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    way = random.randrange(3)
    if way == 0:
        return f"{head}Content-Length: {len(answer.body)}\r\n\r\n".encode("utf-8", "surrogateescape") + answer.body
    if way == 1:
        pieces = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in answer.chunks if chunk)
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + pieces + b"0\r\n\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + answer.body


def _cut(random: Random, raw: bytes) -> list[bytes]:
    """The bytes in pieces that end anywhere, in the middle of a character too."""
    ends = sorted(random.randrange(len(raw) + 1) for _ in range(random.randrange(12)))
    return [raw[start:end] for start, end in zip([0, *ends], [*ends, len(raw)], strict=True)]


def _truncated(random: Random, answer: _Answer) -> _Answer:
    whole = _wire(random, answer)
    answer.raw = whole[: random.randrange(len(whole) + 1)]
    return answer


def _wrong_length(random: Random, answer: _Answer) -> _Answer:
    length = random.choice([0, 1, len(answer.body) - 7, len(answer.body) + 50, 2**40, -5, "x", "1, 2"])
    head = f"HTTP/1.1 200 X\r\nContent-Type: {answer.headers[0][1]}\r\nContent-Length: {length}\r\n\r\n"
    answer.raw = head.encode() + answer.body
    return answer


def _wrong_chunks(random: Random, answer: _Answer) -> _Answer:
    head = f"HTTP/1.1 200 X\r\nContent-Type: {answer.headers[0][1]}\r\nTransfer-Encoding: chunked\r\n\r\n"
    size = random.choice([b"ffffffff", b"zz", b"-1", b"", b"5;x=1", b"00000000000000000"])
    answer.raw = head.encode() + size + b"\r\n" + answer.body
    return answer


def _wrong_numbers(random: Random, answer: _Answer) -> _Answer:
    """Every number of every usage may become anything."""
    answer.chunks = [_with_numbers(random, chunk) for chunk in answer.chunks]
    return answer


def _with_numbers(random: Random, chunk: bytes) -> bytes:
    start, brace, rest = chunk.partition(b"{")
    if b"_tokens" not in chunk and b"TokenCount" not in chunk:
        return chunk
    text, end = (brace + rest).rstrip(b"\n"), b"\n\n" if chunk.endswith(b"\n\n") else b""
    return start + _dumps(_mangled(random, orjson.loads(text))) + end


def _mangled(random: Random, value: Any) -> Any:
    if isinstance(value, list):
        return [_mangled(random, one) for one in value]
    if not isinstance(value, dict):
        return value
    mangled = {}
    for name, one in value.items():
        if name.endswith(("_tokens", "TokenCount", "usage", "usageMetadata")) and random.random() < 0.4:
            if random.random() < 0.8:
                mangled[name] = random.choice(USAGES)
        else:
            mangled[name] = _mangled(random, one)
    return mangled


def _dumps(value: Any) -> bytes:
    return json.dumps(value).encode()  # orjson writes neither huge integers nor infinities


def _noise(random: Random, answer: _Answer) -> _Answer:
    body = bytearray(answer.body)
    for _ in range(random.randrange(1, 30)):
        body[random.randrange(len(body))] = random.randrange(256)
    answer.chunks = [bytes(body)]
    return answer


def _long_line(random: Random, answer: _Answer) -> _Answer:
    filler = random.choice([b'{"x":"' + b"a" * LINE_BYTES + b'"}', b"[" * LINE_BYTES, b"\xff" * LINE_BYTES])
    answer.chunks.insert(random.randrange(len(answer.chunks) + 1), b"data: " + filler + b"\n\n")
    return answer


def _compressed(random: Random, answer: _Answer) -> _Answer:
    body = gzip.compress(answer.body)
    answer.chunks = [body if random.random() < 0.7 else answer.body]
    answer.headers.append(("Content-Encoding", random.choice(["gzip", "br", "x, gzip"])))
    return answer


def _shuffled(random: Random, answer: _Answer) -> _Answer:
    """Events twice, out of order, missing, in other line ends, between comments and garbage."""
    chunks = [chunk for chunk in answer.chunks for _ in range(random.randrange(3))]
    if random.random() < 0.4:
        random.shuffle(chunks)
    extras = [b": ping\n\n", b"data:\n\n", b"event: error\n\n", b"data: {\n\n", b"garbage\r\n", b"\n", b'{"error":1}']
    chunks.insert(random.randrange(len(chunks) + 1), random.choice(extras))
    if random.random() < 0.3:
        chunks = [chunk.replace(b"\n", b"\r\n") for chunk in chunks]
    answer.chunks = chunks or [b""]
    return answer


def _other_body(random: Random, answer: _Answer) -> _Answer:
    answer.chunks = [
        random.choice(
            [
                b"", b"null", b"[]", b"{}", b"<html>busy</html>", b"[" * 100_000, b'{"usage":' * 500, b"\xef\xbb\xbf{}",
                b'{"usage":{},"usage":{"prompt_tokens":1}}', b'{"usage":NaN}', b"data: [DONE]\n\n", b"1e999",
                orjson.dumps({"error": {"message": random.choice(TEXTS)}}), orjson.dumps({"usage": TEXTS}),
            ]
        )
    ]  # fmt: skip
    return answer


def _other_status(random: Random, answer: _Answer) -> _Answer:
    answer.status = random.choice([201, 204, 206, 301, 304, 307, 400, 404, 408, 418, 422, 429, 500, 503, 504, 529, 599])
    answer.headers.append(("Location", "http://169.254.169.254/latest"))
    answer.headers.append(("Retry-After", random.choice(["-1", "soon", "0", "NaN"])))
    return answer


def _other_head(random: Random, answer: _Answer) -> _Answer:
    line = random.choice(
        [
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000, b"HTTP/1.1 99999 X", b"HTTP/9.9 200 OK", b"200 OK", b"\0\0\0\0",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", b"HTTP/1.1 200 OK\r\n bad: folded",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", b"HTTP/1.1 100 X\r\n\r\n" * 50,
            b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(b"H%d: 1" % at for at in range(5_000)), b"HTTP/1.1 101 Switching",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Bad: \xff\xfe\x01", b"HTTP/1.1 200",
        ]
    )  # fmt: skip
    answer.raw = line + b"\r\n\r\n" + answer.body
    return answer


def _other_type(random: Random, answer: _Answer) -> _Answer:
    kinds = ["text/event-stream", "application/json", "text/html", "", "image/png", "text/event-stream; charset=utf-16"]
    answer.headers = [("Content-Type", random.choice(kinds))]
    return answer


_ATTACKS: dict[str, Callable[[Random, _Answer], _Answer]] = {
    "truncated": _truncated,
    "wrong_length": _wrong_length,
    "wrong_chunks": _wrong_chunks,
    "wrong_numbers": _wrong_numbers,
    "noise": _noise,
    "long_line": _long_line,
    "compressed": _compressed,
    "shuffled": _shuffled,
    "other_body": _other_body,
    "other_status": _other_status,
    "other_head": _other_head,
    "other_type": _other_type,
    "nothing": lambda _, answer: answer,
}
