from typing import Any

import httpx
import pytest
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.utils import OperationalError
from pytest_django import Settings

from shredder import health

pytestmark = pytest.mark.django_db(transaction=True)


async def get(path: str, *, serving: bool = True, client: str = "127.0.0.1", **headers: str) -> httpx.Response:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await health.answer(scope, send, serving=serving)

    transport = httpx.ASGITransport(app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://any.host") as http:
        return await http.get(path, headers=headers)


async def test_a_living_process_says_so_whatever_its_servers_do() -> None:
    response = await get("/healthz", serving=False)
    assert (response.status_code, response.text) == (200, "ok\n")


async def test_ready_means_that_calls_can_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await get("/readyz")).status_code == 200
    assert (await get("/readyz", serving=False)).text == "not admitting calls\n"

    def refuse(self: Any) -> None:
        raise OperationalError("no")

    monkeypatch.setattr(DatabaseWrapper, "connect", refuse)
    response = await get("/readyz")
    assert (response.status_code, response.text) == (503, "the database does not answer\n")


async def test_waiting_migrations_are_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda self, targets: ["one"])
    response = await get("/readyz")
    assert (response.status_code, response.text) == (503, "migrations are waiting\n")


async def test_metrics_are_for_this_machine_only() -> None:
    assert "python_info" in (await get("/metrics")).text
    assert (await get("/metrics", client="203.0.113.7")).status_code == 404
    assert (await get("/metrics", **{"X-Forwarded-For": "203.0.113.7"})).status_code == 404


async def test_a_token_opens_the_metrics_from_anywhere(settings: Settings) -> None:
    settings.SHREDDER_METRICS_TOKEN = "let me in"
    assert (await get("/metrics", client="203.0.113.7", Authorization="Bearer let me in")).status_code == 200
    assert (await get("/metrics", Authorization="Bearer wrong")).status_code == 404
    assert (await get("/metrics")).status_code == 404
