"""A call's turn: what it took comes back however it ends, and what only this process knows holds without Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from agents.ledger import BudgetFacts, CallEnd
from agents.models import Guards
from proxy.errors import LoopDetected, Overloaded, RateLimited
from proxy.guards import Gate, Turn
from proxy.guards import gate as gates
from proxy.guards.stores import StoreAway
from proxy.incoming import ClientGone
from tests.proxy.guards.conftest import PATIENT_SECONDS
from tests.proxy.guards.counting import SetClock


class Away:
    """Stands for a Valkey that nobody answers from; every look at it would be a round trip."""

    away_since = datetime(2026, 3, 1, tzinfo=UTC)

    def __init__(self) -> None:
        self.asked_count = 0

    async def take(self, ask: Any) -> Any:
        self.asked_count += 1
        raise StoreAway


@pytest.fixture
async def gate(clock: SetClock) -> AsyncIterator[Gate]:
    ready = Gate(settings.REDIS_URL, tell=lambda since: None, seconds=PATIENT_SECONDS, clock=clock)
    yield ready
    await ready.stop()


def a_plan(agent_id: Any = None, *, version: int = 1, blocked_until: datetime | None = None, **guards: Any) -> Any:
    """What the guards read of a plan."""
    caller = SimpleNamespace(
        agent_id=agent_id or uuid4(), agent_name="bot", agent_version=version, practice=False,
        organization_id=uuid4(), blocked_until=blocked_until, blocked_rule="loop_windows", guards=Guards(**guards),
    )  # fmt: skip
    request = SimpleNamespace(facts=SimpleNamespace(last_message_fingerprint="00"), choices=1)
    target = SimpleNamespace(provider="openai", model="gpt-4o-mini")
    return SimpleNamespace(
        caller=caller, request=request, target=target, priced_model="gpt-4o-mini", tokens_max=10, may_shrink=False,
        counted=False,
    )  # fmt: skip


def a_turn(gate: Gate, gone: Callable[[], Coroutine[None, None, None]] | None = None) -> Turn:
    """The turn of a call whose client stays."""
    return Turn(gate, "", gone or asyncio.Event().wait)


async def no_count(*_: Any) -> None:
    """Stands for a model whose text nobody can count here."""


async def passes(gate: Gate, plan: Any) -> bool:
    try:
        await a_turn(gate).take(plan, no_count)
    except RateLimited:
        return False
    return True


async def refused_after_all(turn: Turn, plan: Any) -> None:
    """The ledger has no room for the call."""
    await turn.take(plan, no_count)
    with pytest.raises(Overloaded):
        async with turn:
            raise Overloaded


async def test_a_call_that_is_cancelled_before_it_is_admitted_gives_back_what_it_took(gate: Gate) -> None:
    plan, inside = a_plan(calls_per_minute=1), asyncio.Event()

    async def hang() -> None:
        turn = a_turn(gate)
        await turn.take(plan, no_count)
        async with turn:
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await passes(gate, plan)
    assert not await passes(gate, plan)


async def test_a_call_that_waits_for_room_gives_its_place_back_when_it_is_refused_after_all(
    gate: Gate, clock: SetClock
) -> None:
    plan = a_plan(calls_per_minute=1, pacing_seconds=60)
    clock.pass_by(seconds=0.5)
    assert await passes(gate, plan)
    clock.pass_by(seconds=1)
    await refused_after_all(a_turn(gate), plan)
    assert clock.waits_ms == [59_500]
    assert await passes(gate, plan)


async def test_a_call_waits_only_once_for_all_its_tries_together(gate: Gate, clock: SetClock) -> None:
    plan = a_plan(calls_per_minute=1, pacing_seconds=60)
    clock.pass_by(seconds=0.5)
    await passes(gate, plan)
    clock.pass_by(seconds=1)
    turn = a_turn(gate)
    await refused_after_all(turn, plan)
    assert await passes(gate, plan)
    clock.pass_by(seconds=30)
    with pytest.raises(RateLimited):
        await turn.take(plan, no_count)
    assert await passes(gate, plan), "another call may still wait its minute"


async def test_a_client_that_leaves_while_it_waits_has_nothing_forwarded_and_gives_its_place_back(
    gate: Gate, clock: SetClock
) -> None:
    plan, left, never = a_plan(calls_per_minute=1, pacing_seconds=60), asyncio.Event(), asyncio.Event()
    clock.pass_by(seconds=0.5)
    assert await passes(gate, plan)
    clock.pass_by(seconds=1)
    clock.wait = lambda ms: never.wait()
    left.set()
    with pytest.raises(ClientGone):
        await a_turn(gate, left.wait).take(plan, no_count)
    clock.pass_by(seconds=60)
    assert await passes(gate, plan)


async def test_beyond_a_bound_no_call_waits(gate: Gate, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = a_plan(calls_per_minute=1, pacing_seconds=60)
    clock.pass_by(seconds=0.5)
    await passes(gate, plan)
    clock.pass_by(seconds=1)
    monkeypatch.setattr(gates, "WAITING_MAX", 0)
    assert not await passes(gate, plan)


async def test_a_provider_that_asks_to_wait_is_obeyed_without_any_guard_and_without_valkey(
    gate: Gate, clock: SetClock
) -> None:
    gate._shared = away = Away()  # type: ignore[assignment]
    plan, turn = a_plan(), a_turn(gate)
    await turn.take(plan, no_count)
    turn.answered(429, {"retry-after": "20"})
    turn.end(CallEnd(failed=True))
    with pytest.raises(RateLimited) as refused:
        await a_turn(gate).take(plan, no_count)
    assert refused.value.retry_after_seconds == 20
    assert await passes(gate, a_plan()), "another agent may call"
    clock.pass_by(seconds=20)
    assert await passes(gate, plan)
    assert away.asked_count == 0
    gate._shared = SimpleNamespace(close=_nothing)  # type: ignore[assignment]


async def test_only_a_429_makes_an_agent_wait(gate: Gate) -> None:
    plan, turn = a_plan(), a_turn(gate)
    await turn.take(plan, no_count)
    turn.answered(200, {"retry-after": "20"})
    turn.answered(503, {"retry-after": "20"})
    assert await passes(gate, plan)


async def test_a_flush_ends_no_block_that_a_process_has_seen(gate: Gate) -> None:
    plan = a_plan(repeat_mode="block", repeat_count=2)
    for _ in range(2):
        assert await passes(gate, plan)
    with pytest.raises(LoopDetected):
        await passes(gate, plan)
    agent = f"guards:{{{plan.caller.agent_id}:live}}"
    await gate._shared._client.delete(agent, f"{agent}:repeats", f"{agent}:recent")
    with pytest.raises(LoopDetected) as refused:
        await passes(gate, plan)
    assert "the same message more than 2 times in 5 minutes" in refused.value.rule
    plan.caller.agent_version = 2
    assert await passes(gate, plan), "resumed"


async def test_a_block_by_history_needs_no_valkey_and_ends_by_itself(gate: Gate) -> None:
    gate._shared = away = Away()  # type: ignore[assignment]
    now = datetime.now(UTC)
    with pytest.raises(LoopDetected) as refused:
        await passes(gate, a_plan(blocked_until=now + timedelta(hours=1)))
    assert refused.value.details["rule"] == "loop_windows"
    assert await passes(gate, a_plan(blocked_until=now - timedelta(seconds=1)))
    assert away.asked_count == 0
    gate._shared = SimpleNamespace(close=_nothing)  # type: ignore[assignment]


@pytest.mark.parametrize("reason", ["stopped", "drain_ended", "interrupted"])
async def test_a_call_that_we_or_its_client_ended_is_no_failure(gate: Gate, reason: str) -> None:
    plan = a_plan(retry_mode="block")
    for end, expected in ((CallEnd(failed=True, reason=reason), True), (CallEnd(failed=True, reason="x"), False)):
        turn = a_turn(gate)
        await turn.take(plan, no_count)
        turn.end(end)
        await gate.settled(PATIENT_SECONDS)
        assert await passes(gate, plan) is expected


async def test_a_text_that_no_minute_holds_by_its_bytes_is_counted(gate: Gate) -> None:
    plan = a_plan(tokens_per_minute=5)
    counted = SimpleNamespace(**vars(plan) | {"tokens_max": 4, "counted": True})
    asked: list[BudgetFacts] = []

    async def narrow(_: Any, facts: BudgetFacts) -> Any:
        asked.append(facts)
        return counted

    assert await a_turn(gate).take(plan, narrow) is counted
    assert [(facts.unit, facts.available) for facts in asked] == [("tokens", 5)]
    with pytest.raises(RateLimited) as refused:
        await a_turn(gate).take(plan, narrow)
    assert refused.value.retry_after_seconds is not None, "it fits, but not now"


async def test_a_request_without_messages_repeats_nothing(gate: Gate) -> None:
    plan = a_plan(repeat_mode="block", repeat_count=2)
    plan.request.facts.last_message_fingerprint = ""
    for _ in range(5):
        assert await passes(gate, plan)


async def test_like_messages_to_different_models_are_counted_apart(gate: Gate) -> None:
    plan = a_plan(repeat_mode="block", repeat_count=2)
    other = SimpleNamespace(**vars(plan) | {"priced_model": "gpt-4o"})
    for _ in range(2):
        assert await passes(gate, plan)
        assert await passes(gate, other)


async def _nothing() -> None:
    return None
