"""The web process: the proxy as plain ASGI, everything else Django; SHREDDER_ROLE decides what is mounted."""

import gc
import os
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shredder.settings")
# Pages in flight share a few connections; tasks and commands open one each.
os.environ.setdefault("SHREDDER_DB_POOL", "8")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

import structlog  # noqa: E402
from asgiref.sync import sync_to_async  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connections  # noqa: E402

from shredder import health  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Any], Awaitable[None]]

logger = structlog.get_logger(__name__)
# A call makes some hundreds that its end frees without the collector; Python's own 2,000 would be five calls.
OBJECTS_BETWEEN_COLLECTIONS = 20_000
# Static files are small and read at once; streaming them asynchronously would gain nothing.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")


class Application:
    """Sends each connection to whoever answers it."""

    def __init__(self, role: str) -> None:
        self.has_pages = role in ("all", "web")
        self.started = False
        self.proxy = None
        if role in ("all", "proxy"):
            from proxy import app

            self.proxy = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["path"] in health.PATHS:
            await health.answer(scope, send, serving=self.started and (self.proxy is None or self.proxy.ready()))
        elif self.proxy and _is_under_proxy(scope["path"]):
            await self.proxy.application(scope, receive, send)
        elif self.has_pages and not _is_under_proxy(scope["path"]):
            await django_application(scope, receive, send)
        else:
            await health.reply(send, 404, b"not served by this process\n")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            if self.proxy:
                await self.proxy.startup()
        except Exception as error:
            # The outermost edge: the server wants to hear the reason, then it ends the process.
            logger.exception("start failed")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        _spare_the_collector()
        self.started = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.started = False
        if self.proxy:
            await self.proxy.shutdown()
        # Left to the interpreter's end, the pool's threads would hold it up for fifteen seconds.
        close_pool = connections["default"].close_pool  # type: ignore[attr-defined]
        await sync_to_async(close_pool, thread_sensitive=False)()
        await send({"type": "lifespan.shutdown.complete"})


def _spare_the_collector() -> None:
    """Keep the garbage collector off what the start made and what lives as long as the process.

    Looking through all of it takes 15 to 30 ms, and every open stream stands still meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)


def _is_under_proxy(path: str) -> bool:
    return path == "/proxy" or path.startswith("/proxy/")


application = Application(settings.SHREDDER_ROLE)
