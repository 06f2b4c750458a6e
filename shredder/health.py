"""Answers for machines that watch: /healthz, /readyz, /metrics; outside Django, so that no page setting breaks them."""

import hmac
import ipaddress
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error as DatabaseError
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from shredder.gauges import Installation

Scope = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]
PATHS = ("/healthz", "/readyz", "/metrics")

_migrated = False


async def answer(scope: Scope, send: Send, *, serving: bool) -> None:
    """Answer one of PATHS.

    serving: whether all that this process mounts has started and can admit calls.
    """
    if scope["path"] == "/healthz":
        await reply(send, 200, b"ok\n")
    elif scope["path"] == "/readyz":
        # Its own thread each time: a database that hangs must not queue up behind the last question.
        fault = await sync_to_async(_fault_of_database, thread_sensitive=False)() if serving else "not admitting calls"
        await reply(send, 503 if fault else 200, (fault or "ready").encode() + b"\n")
    elif _may_see_metrics(scope):
        text = await sync_to_async(_metrics, thread_sensitive=False)()
        await reply(send, 200, text, CONTENT_TYPE_LATEST)
    else:
        await reply(send, 404, b"not found\n")


def _fault_of_database() -> str:
    """Why calls cannot be served; empty when they can."""
    global _migrated
    connection = connections["default"]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _migrated:
            executor = MigrationExecutor(connection)
            _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "the database does not answer"
    finally:
        connection.close()
    return "" if _migrated else "migrations are waiting"


def _may_see_metrics(scope: Scope) -> bool:
    """Whoever has the token; without a token, this machine only."""
    headers = dict(scope["headers"])
    if settings.SHREDDER_METRICS_TOKEN:
        expected = f"Bearer {settings.SHREDDER_METRICS_TOKEN}".encode()
        return hmac.compare_digest(headers.get(b"authorization", b""), expected)
    client = scope.get("client")
    # A front proxy on this machine speaks for the whole world.
    if not client or b"x-forwarded-for" in headers or b"forwarded" in headers:
        return False
    return _is_loopback(client[0])


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _metrics() -> bytes:
    """The installation's numbers, then all web processes' under the supervisor, this process's own otherwise."""
    installation = CollectorRegistry()
    installation.register(Installation())
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest(installation) + generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(installation) + generate_latest(registry)


async def reply(send: Send, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
    """Send a whole small answer that nobody may cache."""
    headers: Iterable[tuple[bytes, bytes]] = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
