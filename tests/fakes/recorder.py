"""An upstream that keeps what it receives to the byte and answers with bytes that it was given."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

CONNECTION_SECONDS_MAX = 30.0


@dataclass(frozen=True)
class Received:
    """One request as it came; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What every request is answered with from now on. split: bytes written at a time; 0 for all at once."""

    body: bytes = b"{}"
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    split: int = 0


@dataclass
class Recorder:
    """A running upstream."""

    port: int
    answer: Answer = field(default_factory=Answer)
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def recorder() -> Iterator[Recorder]:
    """A recorder in threads of this process, for the length of a block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    running = _Handler.of[server.server_port] = Recorder(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        del _Handler.of[server.server_port]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = CONNECTION_SECONDS_MAX
    of: ClassVar[dict[int, Recorder]] = {}

    def do_GET(self) -> None:
        self._take()

    do_POST = do_DELETE = do_GET  # noqa: N815, as the library names them

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        running = self.of[self.server.server_address[1]]
        running.received.append(Received(self.command, self.path, headers, body))
        self._give(running.answer)

    def _give(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("content-type", answer.content_type)
        self.send_header("content-length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        step = answer.split or max(1, len(answer.body))
        for at in range(0, len(answer.body), step):
            self.wfile.write(answer.body[at : at + step])
            self.wfile.flush()

    def log_message(self, format: str, *values: object) -> None:
        """Says nothing."""
