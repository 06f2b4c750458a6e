import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from shredder.env import SECRETS

OURS = "shredder."
GIVEN = {
    **dict.fromkeys(SECRETS, "x" * 40),
    "DATABASE_URL": "postgres://db/shredder",
    "REDIS_URL": "redis://valkey/0",
    "EMAIL_URL": "smtp://mail.example.com",
}


def found() -> list[str]:
    messages = run_checks(include_deployment_checks=True)
    return sorted(message.id for message in messages if message.id and message.id.startswith(OURS))


def test_a_development_machine_is_not_ready_for_production(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)
    assert found() == [f"shredder.E00{number}" for number in range(1, 7)]


def test_a_complete_environment_passes(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.SITE_URL = "https://shredder.example.com"
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    assert found() == []
    settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS = True
    assert found() == ["shredder.W001"]


def test_a_short_secret_is_not_enough(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.SITE_URL = "https://shredder.example.com"
    for name, value in (GIVEN | {"SHREDDER_KEY_PEPPER": "x" * 31}).items():
        monkeypatch.setenv(name, value)
    assert found() == ["shredder.E002"]
