"""The memory of callers: quick, bounded, and never a way around the database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from agents.callers import Caller
from agents.keys import KeyRejected
from agents.models import Guards
from proxy import authenticate
from proxy.authenticate import Authenticator
from proxy.errors import KeyExpired, KeyMalformed, KeyRevoked, KeyUnknown, LedgerAway

KEY = "awx_live_one"
CALLER = Caller(
    organization_id=UUID(int=1),
    organization_name="Acme",
    time_zone="UTC",
    organization_version=1,
    agent_id=UUID(int=2),
    agent_slug="bot",
    agent_name="Bot",
    agent_version=1,
    paused=False,
    default_output=1,
    refusal_status=429,
    key_id=1,
    practice=False,
    expires_at=None,
    blocked_until=None,
    blocked_rule="",
    guards=Guards(),
    rates=(),
    budgets=(),
    credentials={},
)


class Database:
    """Stands in for the look-up, which tests/agents covers with a real database."""

    def __init__(self) -> None:
        self.count = 0
        self.answer: Caller | Exception = CALLER

    def __call__(self, key: str) -> Caller:
        self.count += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return replace(self.answer)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    fake = Database()
    monkeypatch.setattr(authenticate, "caller_for", fake)
    monkeypatch.setattr(authenticate, "connection", type("Connection", (), {"close": staticmethod(lambda: None)}))
    return fake


@pytest.fixture
async def keys(database: Database) -> AsyncIterator[Authenticator]:
    made = Authenticator()
    yield made
    made.close()


async def test_a_known_key_is_not_looked_up_again(keys: Authenticator, database: Database) -> None:
    first = await keys.caller(KEY)
    assert await keys.caller(KEY) is first
    assert database.count == 1


async def test_a_snapshot_that_must_be_fresher_is_looked_up_again(keys: Authenticator, database: Database) -> None:
    await keys.caller(KEY)
    await keys.caller(KEY, fresh_seconds=0)
    assert database.count == 2


async def test_a_hundred_calls_at_once_are_one_look_up(keys: Authenticator, database: Database) -> None:
    await asyncio.gather(*(keys.caller(KEY) for _ in range(100)))
    assert database.count == 1


async def test_a_stale_snapshot_is_reloaded_once_for_all_who_hold_it(keys: Authenticator, database: Database) -> None:
    stale = await keys.caller(KEY)
    database.answer = replace(CALLER, agent_version=2)
    fresh = await asyncio.gather(*(keys.reloaded(KEY, stale) for _ in range(50)))
    assert {caller.agent_version for caller in fresh} == {2}
    assert database.count == 2


async def test_a_key_that_expires_is_asked_about_again(keys: Authenticator, database: Database) -> None:
    database.answer = replace(CALLER, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await keys.caller(KEY)
    await keys.caller(KEY)
    assert database.count == 2


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        ("malformed", KeyMalformed), ("unknown", KeyUnknown), ("expired", KeyExpired), ("revoked", KeyRevoked),
        ("archived", KeyRevoked), ("suspended", KeyRevoked),
    ],
)  # fmt: skip
async def test_a_rejection_says_why_and_is_remembered_for_a_moment(
    keys: Authenticator, database: Database, problem: str, error: type[Exception]
) -> None:
    database.answer = KeyRejected(problem, "awx_live_ab12cd34…")
    for _ in range(3):
        with pytest.raises(error):
            await keys.caller(KEY)
    assert database.count == 1


async def test_a_key_that_was_revoked_is_forgotten(keys: Authenticator, database: Database) -> None:
    stale = await keys.caller(KEY)
    database.answer = KeyRejected("revoked")
    with pytest.raises(KeyRevoked):
        await keys.reloaded(KEY, stale)
    with pytest.raises(KeyRevoked):
        await keys.caller(KEY)


async def test_a_store_that_is_away_is_no_verdict_on_the_key(keys: Authenticator, database: Database) -> None:
    database.answer = OperationalError("gone")
    with pytest.raises(LedgerAway):
        await keys.caller(KEY)
    assert database.count == authenticate.LOOK_UP_ATTEMPTS
    database.answer = CALLER
    assert await keys.caller(KEY)


async def test_the_memory_is_bounded(keys: Authenticator, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticate, "CALLERS_MAX", 10)
    monkeypatch.setattr(authenticate, "REJECTIONS_MAX", 10)
    for number in range(50):
        await keys.caller(f"{KEY}{number}")
    database.answer = KeyRejected("unknown")
    for number in range(50, 100):
        with pytest.raises(KeyUnknown):
            await keys.caller(f"{KEY}{number}")
    memory: Any = keys
    assert len(memory._callers) <= 10
    assert len(memory._rejections) <= 10
    assert memory._running == {}
