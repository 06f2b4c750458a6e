from typing import Any
from unittest.mock import patch

import httpx
import pytest
from django.db import OperationalError, ProgrammingError
from django.test import Client

from shredder.asgi import Application

pytestmark = pytest.mark.django_db(transaction=True)


async def get(role: str, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(Application(role))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        return await http.get(path)


@pytest.mark.parametrize(("role", "status"), [("web", 200), ("proxy", 404)])
async def test_a_role_decides_who_serves_pages(role: str, status: int) -> None:
    assert (await get(role, "/accounts/login/")).status_code == status


async def test_a_process_for_pages_serves_no_calls() -> None:
    response = await get("web", "/proxy/v1/models")
    assert (response.status_code, response.text) == (404, "not served by this process\n")


@pytest.mark.parametrize("role", ["all", "web", "proxy"])
async def test_every_role_tells_its_health(role: str) -> None:
    assert (await get(role, "/healthz")).status_code == 200
    assert (await get(role, "/readyz")).status_code == 503  # No lifespan has started anything here.


async def test_a_failed_start_is_told_to_the_server() -> None:
    application = Application("all")

    class Broken:
        async def startup(self) -> None:
            raise OSError("no ledger")

    application.proxy = Broken()  # type: ignore[assignment]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    await application({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "no ledger"}]
    assert not application.started


@pytest.mark.parametrize(("error", "status"), [(OperationalError("gone"), 503), (ProgrammingError("ours"), 500)])
def test_a_page_without_its_database_asks_to_come_back(error: Exception, status: int, client: Client) -> None:
    client.raise_request_exception = False
    with patch("accounts.views.public.render", side_effect=error):
        response = client.get("/")
    assert response.status_code == status
    assert ("Retry-After" in response.headers) == (status == 503)
