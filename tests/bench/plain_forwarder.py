"""A proxy that only forwards: what the same server and the same client cost without anything that this product does.

PROVIDER=http://127.0.0.1:PORT python -m tests.bench.plain_forwarder FD        (of a listening socket)
"""

import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import uvicorn

_session: aiohttp.ClientSession | None = None


async def application(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Pass a request on and its answer back, piece by piece."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    message = await receive()
    assert _session is not None
    assert not message.get("more_body"), "benchmarks send small bodies"
    url, headers = os.environ["PROVIDER"] + scope["path"], {"Content-Type": "application/json"}
    async with _session.post(url, data=message["body"], headers=headers) as answer:
        await send({"type": "http.response.start", "status": answer.status, "headers": _passed(answer)})
        while piece := await answer.content.readany():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _passed(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    return [pair for pair in answer.raw_headers if pair[0].lower() in (b"content-type", b"content-length")]


async def _live(receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    global _session
    await receive()
    _session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _session.close()
    await send({"type": "lifespan.shutdown.complete"})


if __name__ == "__main__":
    config = uvicorn.Config(application, lifespan="on", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
