"""The memory of callers: quick, bounded, and never a way around the database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from agents.callers import Caller, OwnKey
from agents.created_agents import AgentRejected
from agents.key_text import KeyRejected
from agents.models import Guards
from proxy import authenticate
from proxy.authenticate import Authenticator
from proxy.claims import Claim
from proxy.errors import (
    AgentRequired,
    AgentUnknown,
    KeyAmbiguous,
    KeyExpired,
    KeyMalformed,
    KeyRevoked,
    KeyUnknown,
    LedgerAway,
    Refusal,
)

KEY = Claim("awx_live_one")
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

    def __call__(self, key: str, agent: str, daily_pico: int | None) -> Caller:
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
        ("archived", KeyRevoked), ("suspended", KeyRevoked), ("foreign", KeyMalformed), ("ambiguous", KeyAmbiguous),
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


@pytest.mark.parametrize(
    ("rejection", "looks_up_again"),
    [
        (KeyRejected("foreign"), True), (KeyRejected("ambiguous"), True), (KeyRejected("suspended"), True),
        (AgentRejected("not_allowed", "bot"), True), (KeyRejected("unknown"), False), (KeyRejected("revoked"), False),
    ],
    ids=lambda value: getattr(value, "problem", ""),
)  # fmt: skip
async def test_what_people_can_lift_is_repeated_no_longer_than_what_they_loosen(
    keys: Authenticator, database: Database, monkeypatch: pytest.MonkeyPatch, rejection: Exception, looks_up_again: bool
) -> None:
    monkeypatch.setattr(authenticate, "LOOSENING_SECONDS", 0)
    database.answer = rejection
    for _ in range(2):
        with pytest.raises(Refusal):
            await keys.caller(KEY)
    assert database.count == 1 + looks_up_again


async def test_one_organisation_key_is_another_caller_for_each_agent(keys: Authenticator, database: Database) -> None:
    for _ in range(2):
        for agent in ("researcher", "writer"):
            await keys.caller(Claim("awx_org_one", agent))
    assert database.count == 2


async def test_a_callers_own_provider_key_is_part_of_no_memory(keys: Authenticator, database: Database) -> None:
    mine, yours = (Claim("awx_live_one", own_key=OwnKey("openai", secret)) for secret in ("sk-mine", "sk-yours"))
    first = await keys.caller(mine)
    assert first.own_key == mine.own_key
    assert (await keys.caller(yours)).own_key == yours.own_key
    assert (await keys.caller(KEY)).own_key is None
    assert database.count == 1
    assert "sk-" not in repr((first.own_key, mine))


async def test_a_stale_snapshot_with_a_key_of_its_own_is_reloaded(keys: Authenticator, database: Database) -> None:
    claim = Claim("awx_live_one", own_key=OwnKey("openai", "sk-mine"))
    stale = await keys.caller(claim)
    database.answer = replace(CALLER, agent_version=2)
    fresh = await keys.reloaded(claim, stale)
    assert (fresh.agent_version, fresh.own_key) == (2, claim.own_key)
    assert (await keys.reloaded(claim, stale)).agent_version == 2
    assert database.count == 2


@pytest.mark.parametrize("problem", ["not_allowed", "no_budget", "too_many", "archived", "suspended"])
async def test_an_agent_that_is_not_there_is_named_with_what_to_do(
    keys: Authenticator, database: Database, problem: str
) -> None:
    database.answer = AgentRejected(problem, "writer", new_agents_max=20)
    for _ in range(2):
        with pytest.raises(AgentUnknown) as caught:
            await keys.caller(Claim("awx_org_one", "writer"))
        assert caught.value.agent == "writer"
        assert caught.value.hint
    assert database.count == 1, "a flood of one id is a look-up now and then"


async def test_a_call_that_names_no_agent_is_told_which_header_it_needs(
    keys: Authenticator, database: Database
) -> None:
    database.answer = AgentRejected("missing")
    with pytest.raises(AgentRequired) as caught:
        await keys.caller(Claim("awx_org_one"))
    assert caught.value.param == "X-AWX-Agent-ID"


async def test_an_organisation_key_that_was_revoked_is_made_anew_on_its_own_page(
    keys: Authenticator, database: Database
) -> None:
    database.answer = KeyRejected("revoked", "awx_org_ab12cd34…")
    with pytest.raises(KeyRevoked) as caught:
        await keys.caller(Claim("awx_org_one", "writer"))
    assert caught.value.page == "the page of organisation keys"


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
        await keys.caller(Claim(f"awx_live_{number}"))
    database.answer = KeyRejected("unknown")
    for number in range(50, 100):
        with pytest.raises(KeyUnknown):
            await keys.caller(Claim(f"awx_live_{number}"))
    memory: Any = keys
    assert len(memory._callers) <= 10
    assert len(memory._rejections) <= 10
    assert memory._running == {}
