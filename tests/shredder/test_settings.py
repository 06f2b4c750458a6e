import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client

from shredder import env
from shredder.embedded.home import CHECKOUT

RECOVERY_SECONDS_MAX = 5
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.django_db
def test_tests_run_on_a_real_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int")
        assert cursor.fetchone()[0] >= 150_000


def test_tests_run_on_a_real_valkey() -> None:
    cache.set("greeting", "hello")
    assert cache.get("greeting") == "hello"


def test_a_pool_never_stops_looking_for_its_database_for_long() -> None:
    pool = env.database(pool_size=3)["OPTIONS"]["pool"]
    # Whoever waits for a connection asks again no later than the pool gives up, and so sets it off anew.
    assert pool["timeout"] <= pool["reconnect_timeout"] <= RECOVERY_SECONDS_MAX


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/nowhere/"])
def test_every_page_carries_the_strict_policy(path: str, client: Client) -> None:
    response = client.get(path)
    assert response.headers["Content-Security-Policy"] == POLICY
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://127.0.0.1:2525", ("127.0.0.1", 2525, "", "", False, False)),
        ("smtp://mail.example.com", ("mail.example.com", 25, "", "", False, False)),
        ("submission://u%40x:p%2Fw@mail.example.com", ("mail.example.com", 587, "u@x", "p/w", True, False)),
        ("smtps://u:p@mail.example.com", ("mail.example.com", 465, "u", "p", False, True)),
    ],
)
def test_mail_servers_are_read(url: str, expected: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    options = env.mailer(Path())["OPTIONS"]
    assert tuple(options[name] for name in ("host", "port", "username", "password", "use_tls", "use_ssl")) == expected


def test_a_wrong_mail_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMAIL_URL", "http://mail.example.com")
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL"):
        env.mailer(Path())


@pytest.mark.parametrize("name", env.SECRETS)
def test_production_must_bring_its_secrets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name, raising=False)
    with pytest.raises(ImproperlyConfigured, match=f"{name} must be set"):
        env.secret(name, "https://shredder.example.com")
    assert env.secret(name, "http://127.0.0.1:8000")
    monkeypatch.setenv(name, "given")
    assert env.secret(name, "https://shredder.example.com") == "given"


def test_the_address_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_URL", "https://shredder.example.com:8443/")
    assert env.site_url() == "https://shredder.example.com:8443"
    monkeypatch.setenv("SITE_URL", "shredder.example.com")
    with pytest.raises(ImproperlyConfigured, match="SITE_URL must be an address"):
        env.site_url()


def test_a_word_that_is_not_allowed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHREDDER_SIGNUP", "maybe")
    with pytest.raises(ImproperlyConfigured, match="SHREDDER_SIGNUP must be one of open, closed, not 'maybe'"):
        env.choice("SHREDDER_SIGNUP", ("open", "closed"))


def test_a_wrong_setting_is_one_line_not_a_traceback() -> None:
    command = [sys.executable, "manage.py", "check"]
    wrong = os.environ | {"SHREDDER_ROLE": "everything", "DJANGO_SETTINGS_MODULE": "shredder.settings"}
    answer = subprocess.run(command, cwd=CHECKOUT, env=wrong, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 1
    assert answer.stderr == "Settings: SHREDDER_ROLE must be one of all, web, proxy, not 'everything'\n"
