"""A key is tested against a real server before it is stored."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from time import monotonic
from typing import Any

import httpx
import pytest

from accounts import addresses, outbound
from accounts.credentials import Upstream
from accounts.provider_check import Check, Verdict, check_custom, check_key

GOOD_KEY = "sk-good-0123456789"


class Provider(BaseHTTPRequestHandler):
    """Accepts one key, whichever header it comes in."""

    asked: list[tuple[str, str]] = []
    rejected_status = 401

    def do_GET(self) -> None:
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ")
        for name in ("x-api-key", "x-goog-api-key", "api-key"):
            shown = shown or self.headers.get(name, "")
        self.asked.append((self.path, self.headers["Host"]))
        moved = shown == "sk-moved"
        self.send_response(302 if moved else 200 if shown == GOOD_KEY else self.rejected_status)
        if moved:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def provider(settings: Any) -> Iterator[int]:
    """A provider on this machine, which the operator allows; its port."""
    server = HTTPServer(("127.0.0.1", 0), Provider)
    Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    settings.SHREDDER_OPENAI_BASE_URL = f"{base}/v1"
    settings.SHREDDER_ANTHROPIC_BASE_URL = settings.SHREDDER_GEMINI_BASE_URL = base
    settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS = True
    Provider.asked.clear()
    yield server.server_port
    server.shutdown()


@pytest.mark.parametrize(
    ("name", "path"), [("openai", "/v1/models"), ("anthropic", "/v1/models"), ("google", "/v1beta/models?pageSize=1")]
)
def test_working_key_is_accepted_after_listing_models(provider: int, name: str, path: str) -> None:
    assert check_key(name, GOOD_KEY) == Check(Verdict.ACCEPTED)
    assert Provider.asked == [(path, f"127.0.0.1:{provider}")]


@pytest.mark.parametrize("name", ["openai", "anthropic", "google"])
@pytest.mark.usefixtures("provider")
def test_wrong_key_is_rejected(name: str) -> None:
    assert check_key(name, "sk-wrong").verdict is Verdict.REJECTED


@pytest.mark.usefixtures("provider")
def test_trouble_at_the_provider_says_nothing_about_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Provider, "rejected_status", 500)
    assert check_key("openai", "sk-wrong").verdict is Verdict.UNKNOWN


@pytest.mark.usefixtures("provider")
def test_redirect_is_not_followed() -> None:
    assert check_key("openai", "sk-moved").verdict is Verdict.UNKNOWN
    assert len(Provider.asked) == 1


@pytest.mark.usefixtures("provider")
def test_proxies_of_the_environment_see_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert check_key("openai", GOOD_KEY) == Check(Verdict.ACCEPTED)


@pytest.mark.usefixtures("provider")
def test_private_address_is_refused_before_any_byte(settings: Any) -> None:
    settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS = False
    found = check_key("openai", GOOD_KEY)
    assert found.verdict is Verdict.UNKNOWN
    assert "127.0.0.1" in found.detail
    assert Provider.asked == []


def test_provider_that_is_away_is_named_without_the_key(settings: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody answers here
        settings.SHREDDER_OPENAI_BASE_URL = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS = True
        found = check_key("openai", GOOD_KEY)
    assert found.verdict is Verdict.UNKNOWN
    assert "could not be reached" in found.detail
    assert GOOD_KEY not in found.detail


@pytest.mark.parametrize(
    ("preset", "options", "path"),
    [
        ("groq", {}, "/v1/models"),
        ("vllm", {}, "/v1/models"),
        ("azure", {}, "/v1/models"),
        ("azure", {"api_version": "2024-10-21"}, "/v1/openai/models?api-version=2024-10-21"),
    ],
)
def test_a_custom_provider_is_asked_as_its_preset_says(
    provider: int, preset: str, options: dict[str, str], path: str
) -> None:
    upstream = Upstream(f"http://127.0.0.1:{provider}/v1", preset, options)
    assert check_custom(upstream, GOOD_KEY) == Check(Verdict.ACCEPTED)
    assert check_custom(upstream, "sk-wrong").verdict is Verdict.REJECTED
    assert Provider.asked == [(path, f"127.0.0.1:{provider}")] * 2


def test_a_custom_provider_at_a_private_address_is_not_asked(provider: int, settings: Any) -> None:
    """E13."""
    settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS = False
    found = check_custom(Upstream(f"http://127.0.0.1:{provider}/v1", "other"), GOOD_KEY)
    assert found.verdict is Verdict.UNKNOWN
    assert Provider.asked == []


def test_the_address_that_was_checked_is_the_one_that_is_dialled(
    provider: int, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E13: a resolver that says something else when it is asked again is not asked again."""
    asked = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *more: Any, **named: Any) -> Any:
        if host == "127.0.0.1":
            return real(host, port, *more, **named)
        asked.append(host)
        answer = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, port))]

    settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS = False
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(addresses, "is_own", lambda address: False)
    upstream = Upstream(f"http://rebinding.example:{provider}/v1", "other")
    assert check_custom(upstream, GOOD_KEY) == Check(Verdict.ACCEPTED)
    assert asked == ["rebinding.example"]
    assert Provider.asked == [("/v1/models", f"rebinding.example:{provider}")]
    assert check_custom(upstream, GOOD_KEY).verdict is Verdict.UNKNOWN
    assert len(Provider.asked) == 1


@pytest.mark.parametrize(
    "host", ["xn--strae-oqa.example", "xn--bcher-kva.example", "xn--a.example", "xn--zz-zz.example", "www.example"]
)
def test_a_name_in_plain_letters_is_asked_as_it_is_written(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Read as other letters and back, xn--strae-oqa is strasse: somebody else's name, who would be shown the key."""
    asked: list[str] = []

    def nowhere(name: str, port: int, **_: Any) -> Any:
        asked.append(name)
        raise socket.gaierror

    monkeypatch.setattr("socket.getaddrinfo", nowhere)
    assert check_custom(Upstream(f"https://{host}/v1", "other"), GOOD_KEY).verdict is Verdict.UNKNOWN
    assert asked == [host]


def test_a_name_in_plain_letters_is_the_one_that_tls_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    def stream(self: httpx.AsyncClient, method: str, url: httpx.URL, **how: Any) -> Any:
        sent.append(how)
        raise httpx.ConnectError("nobody there")

    monkeypatch.setattr(httpx.AsyncClient, "stream", stream)
    monkeypatch.setattr(outbound, "resolve", lambda host, port, allow_private: ["203.0.113.7"])
    check_custom(Upstream("https://xn--strae-oqa.example/v1", "other"), GOOD_KEY)
    assert sent[0]["extensions"]["sni_hostname"] == sent[0]["headers"]["Host"] == "xn--strae-oqa.example"


def test_an_answer_that_never_ends_holds_nobody_up(
    provider: int, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time and the whole never does."""
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.3)
    listener = socket.create_server(("127.0.0.1", 0))
    ended = Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not ended.wait(0.02):
                connection.sendall(b"a")

    Thread(target=drip, daemon=True).start()
    began = monotonic()
    check = check_custom(Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "other"), GOOD_KEY)
    ended.set()
    listener.close()
    assert check.verdict is Verdict.UNKNOWN
    assert monotonic() - began < 2
