"""The counters, in Valkey and in the process: what they admit, refuse, give back and correct."""

import asyncio
import random
from collections import Counter

import pytest

from proxy.guards.counters import MESSAGES_MAX, AgentCounters
from proxy.guards.stores import OwnStore, Store
from proxy.guards.terms import NEVER_MS, Answer, Ask, Ended, Verdict
from proxy.guards.valkey import ValkeyStore
from tests.proxy.guards.counting import SetClock, an_ask


async def take_many(store: Store, ask: Ask, count: int) -> list[Answer]:
    return [await store.take(ask) for _ in range(count)]


def verdicts(answers: list[Answer]) -> list[Verdict]:
    return [answer.verdict for answer in answers]


# Calls and tokens per minute


async def test_the_last_call_of_a_minutes_limit_passes_and_the_next_is_told_to_wait(
    store: Store, clock: SetClock
) -> None:
    ask = an_ask(calls_limit=3)
    answers = await take_many(store, ask, 4)
    assert verdicts(answers) == [Verdict.TAKEN] * 3 + [Verdict.CALLS]
    assert answers[3].wait_ms == 61_000, "the second in which the calls came counts whole"
    clock.pass_by(seconds=60.999)
    assert (await store.take(ask)).verdict is Verdict.CALLS
    clock.pass_by(seconds=0.001)
    assert verdicts(await take_many(store, ask, 4)) == [Verdict.TAKEN] * 3 + [Verdict.CALLS]


async def test_no_sixty_seconds_hold_more_calls_than_the_limit(store: Store, clock: SetClock) -> None:
    chance, ask, admitted = random.Random(7), an_ask(calls_limit=10), list[int]()
    for _ in range(400):
        clock.pass_by(seconds=chance.expovariate(1 / 3))
        if (await store.take(ask)).verdict is Verdict.TAKEN:
            admitted.append(clock.told_ms)
    busiest = max(sum(at <= later < at + 60_000 for later in admitted) for at in admitted)
    assert busiest == 10


async def test_five_racing_calls_never_reserve_more_tokens_than_the_minute_has(store: Store) -> None:
    """A9."""
    ask = an_ask(tokens_limit=100, tokens=30)
    answers = await asyncio.gather(*(store.take(ask) for _ in range(5)))
    assert Counter(verdicts(list(answers))) == {Verdict.TAKEN: 3, Verdict.TOKENS: 2}


async def test_tokens_that_were_not_used_are_free_again_when_the_call_ends(store: Store) -> None:
    ask = an_ask(tokens_limit=100, tokens=60)
    first = await store.take(ask)
    assert (await store.take(ask)).verdict is Verdict.TOKENS
    await store.end(ask, first, Ended(tokens=40, failed=False))
    assert (await store.take(ask)).verdict is Verdict.TAKEN
    assert (await store.take(an_ask(agent=ask.agent, tokens_limit=100, tokens=1))).verdict is Verdict.TOKENS


async def test_a_call_that_used_more_than_it_asked_for_counts_whole(store: Store) -> None:
    """A20."""
    ask = an_ask(tokens_limit=30, tokens=10)
    await store.end(ask, await store.take(ask), Ended(tokens=150, failed=False))
    assert (await store.take(an_ask(agent=ask.agent, tokens_limit=150, tokens=1))).verdict is Verdict.TOKENS
    assert (await store.take(an_ask(agent=ask.agent, tokens_limit=151, tokens=1))).verdict is Verdict.TAKEN


async def test_a_call_that_no_minute_can_hold_is_told_so(store: Store) -> None:
    ask = an_ask(tokens_limit=30, tokens=31, calls_limit=1, pacing_ms=60_000)
    assert (await store.take(ask)).wait_ms == NEVER_MS
    assert (await store.take(an_ask(agent=ask.agent, calls_limit=1))).verdict is Verdict.TAKEN, "no call was counted"


async def test_the_end_of_a_call_of_an_earlier_minute_changes_nothing(store: Store, clock: SetClock) -> None:
    ask = an_ask(tokens_limit=100, tokens=90)
    first = await store.take(ask)
    clock.pass_by(seconds=61)
    await store.take(ask)
    await store.end(ask, first, Ended(tokens=0, failed=False))
    assert (await store.take(ask)).verdict is Verdict.TOKENS


async def test_charlies_agent_has_counters_of_its_own(store: Store) -> None:
    await take_many(store, an_ask(calls_limit=1), 5)
    assert (await store.take(an_ask(calls_limit=1))).verdict is Verdict.TAKEN


# Refusals and what they leave behind


async def test_a_call_that_one_counter_refuses_moves_no_other(store: Store) -> None:
    """A18."""
    full = an_ask(calls_limit=5, tokens_limit=100, tokens=100)
    await store.take(full)
    assert verdicts(await take_many(store, full, 20)) == [Verdict.TOKENS] * 20
    calls = an_ask(agent=full.agent, calls_limit=5)
    assert verdicts(await take_many(store, calls, 5)) == [Verdict.TAKEN] * 4 + [Verdict.CALLS]


async def test_what_is_given_back_leaves_every_counter_as_it_was(store: Store, clock: SetClock) -> None:
    """A18."""
    guarded = an_ask(
        calls_limit=2, tokens_limit=100, tokens=50, repeat="m", repeat_limit=2, repeat_ms=300_000, busy_ms=3_600_000
    )
    for _ in range(10):
        taken = await store.take(guarded)
        assert taken.verdict is Verdict.TAKEN
        await store.give_back(guarded, taken)
    clock.pass_by(minutes=4)
    for _ in range(20):
        taken = await store.take(guarded)
        await store.give_back(guarded, taken)
        clock.pass_by(minutes=4)
    taken = await store.take(guarded)
    assert taken.verdict is Verdict.TAKEN, "no counter of the ten that were refused has moved"
    assert taken.busy_before == ""


async def test_a_call_given_back_after_its_minute_takes_nothing_from_the_next(store: Store, clock: SetClock) -> None:
    ask = an_ask(calls_limit=1)
    taken = await store.take(ask)
    clock.pass_by(seconds=61)
    await store.take(ask)
    await store.give_back(ask, taken)
    assert (await store.take(ask)).verdict is Verdict.CALLS


# Pacing


async def test_a_call_may_wait_for_room_as_long_as_its_pacing_allows(store: Store, clock: SetClock) -> None:
    ask = an_ask(calls_limit=2, pacing_ms=10_000)
    await take_many(store, ask, 2)
    assert (await store.take(ask)).verdict is Verdict.CALLS
    clock.pass_by(seconds=51)
    waiting = await store.take(ask)
    assert (waiting.verdict, waiting.wait_ms) == (Verdict.TAKEN, 10_000)


async def test_calls_that_wait_are_lined_up_and_not_let_in_together(store: Store, clock: SetClock) -> None:
    ask = an_ask(calls_limit=1, pacing_ms=100_000)
    assert [answer.wait_ms for answer in await take_many(store, ask, 2)] == [0, 61_000]
    assert (await store.take(ask)).verdict is Verdict.CALLS, "the place of the one that waits is taken"


# The same message again and again


async def test_a_message_may_come_as_often_as_the_rule_says_and_then_the_agent_is_blocked(
    store: Store, clock: SetClock
) -> None:
    ask = an_ask(repeat="same", repeat_limit=10, repeat_ms=300_000)
    for _ in range(10):
        assert (await store.take(ask)).verdict is Verdict.TAKEN
        clock.pass_by(seconds=20)
    tripped = await store.take(ask)
    assert (tripped.verdict, tripped.wait_ms, tripped.rule) == (Verdict.REPEAT, 1_800_000, "loop_repeat")
    other = an_ask(agent=ask.agent, repeat="other", repeat_limit=10, repeat_ms=300_000)
    assert (await store.take(other)).verdict is Verdict.BLOCKED, "the agent, and not the message"
    clock.pass_by(minutes=30)
    assert (await store.take(ask)).verdict is Verdict.TAKEN, "the cool-down has an end, and counting begins anew"


async def test_a_message_that_comes_rarely_is_no_loop(store: Store, clock: SetClock) -> None:
    ask = an_ask(repeat="same", repeat_limit=10, repeat_ms=300_000)
    for _ in range(50):
        assert (await store.take(ask)).verdict is Verdict.TAKEN
        clock.pass_by(seconds=31)


async def test_a_block_ends_with_the_policy_it_was_made_under(store: Store) -> None:
    ask = an_ask(repeat="same", repeat_limit=2, repeat_ms=60_000)
    assert verdicts(await take_many(store, ask, 4))[2:] == [Verdict.REPEAT, Verdict.BLOCKED]
    resumed = an_ask(agent=ask.agent, version=2)
    assert (await store.take(resumed)).verdict is Verdict.TAKEN


async def test_like_messages_are_remembered_up_to_a_bound(valkey: ValkeyStore) -> None:
    kept, agent = AgentCounters(), an_ask().agent
    for number in range(MESSAGES_MAX + 5):
        ask = an_ask(agent=agent, repeat=f"{number:016x}", repeat_limit=2, repeat_ms=60_000)
        kept.take(ask, 1_800_000_000_000 + number)
        valkey._clock.told_ms = 1_800_000_000_000 + number
        await valkey.take(ask)
    key = f"guards:{{{agent}}}"
    assert len(kept.likes) == MESSAGES_MAX
    assert await valkey._client.hlen(f"{key}:repeats") == MESSAGES_MAX
    assert await valkey._client.zcard(f"{key}:recent") == MESSAGES_MAX


# No pause for hours


async def test_an_agent_without_a_pause_is_blocked_when_the_hours_are_over(store: Store, clock: SetClock) -> None:
    ask = an_ask(busy_ms=8 * 3_600_000)
    for _ in range(8 * 12):
        assert (await store.take(ask)).verdict is Verdict.TAKEN
        clock.pass_by(minutes=5)
    assert (await store.take(ask)).verdict is Verdict.BUSY
    clock.pass_by(minutes=30)
    assert (await store.take(ask)).verdict is Verdict.TAKEN


async def test_a_pause_of_more_than_five_minutes_begins_the_hours_anew(store: Store, clock: SetClock) -> None:
    ask = an_ask(busy_ms=3_600_000)
    for _ in range(5):
        for _ in range(11):
            assert (await store.take(ask)).verdict is Verdict.TAKEN
            clock.pass_by(minutes=5)
        clock.pass_by(seconds=1)


async def test_a_call_that_runs_is_no_pause(store: Store, clock: SetClock) -> None:
    ask = an_ask(busy_ms=3_600_000)
    for _ in range(6):
        taken = await store.take(ask)
        assert taken.verdict is Verdict.TAKEN
        clock.pass_by(minutes=5)
        await store.end(ask, taken, Ended(tokens=0, failed=False))
        clock.pass_by(minutes=5)
    assert (await store.take(ask)).verdict is Verdict.BUSY


# Retries and providers that ask to wait


async def fail(store: Store, ask: Ask) -> None:
    taken = await store.take(ask)
    assert taken.verdict is Verdict.TAKEN, taken
    await store.end(ask, taken, Ended(tokens=0, failed=True))


async def test_each_failed_retry_doubles_the_delay_up_to_a_minute(store: Store, clock: SetClock) -> None:
    ask, delays = an_ask(retries=True), list[int]()
    for number in range(1, 10):
        await fail(store, ask)
        held = await store.take(ask)
        assert (held.verdict, held.failed_count) == (Verdict.RETRIES, number)
        delays.append(held.wait_ms)
        clock.pass_by(seconds=held.wait_ms / 1000)
    assert delays == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]


async def test_a_success_or_a_quiet_minute_ends_a_storm(store: Store, clock: SetClock) -> None:
    ask = an_ask(retries=True)
    for _ in range(3):
        await fail(store, ask)
        clock.pass_by(seconds=5)
    await store.end(ask, await store.take(ask), Ended(tokens=0, failed=False))
    await fail(store, ask)
    assert (await store.take(ask)).wait_ms == 1_000
    clock.pass_by(seconds=62)
    await fail(store, ask)
    assert (await store.take(ask)).wait_ms == 1_000


async def test_calls_that_fail_side_by_side_are_one_failure(store: Store, clock: SetClock) -> None:
    ask = an_ask(retries=True)
    together = await take_many(store, ask, 20)
    clock.pass_by(seconds=3)
    for taken in together:
        await store.end(ask, taken, Ended(tokens=0, failed=True))
    assert (await store.take(ask)).wait_ms == 1_000


async def test_one_sessions_failures_do_not_hold_another_back(store: Store) -> None:
    ask = an_ask(retries=True)
    await fail(store, ask)
    assert (await store.take(an_ask(agent=ask.agent, session="other", retries=True))).verdict is Verdict.TAKEN


async def test_a_provider_that_asks_to_wait_holds_its_own_calls_back_only(store: Store, clock: SetClock) -> None:
    ask = an_ask(calls_limit=100)
    await store.end(ask, await store.take(ask), Ended(tokens=0, failed=True, held_ms=20_000))
    clock.pass_by(seconds=5)
    held = await store.take(ask)
    assert (held.verdict, held.wait_ms) == (Verdict.PROVIDER, 15_000)
    elsewhere = an_ask(agent=ask.agent, calls_limit=100, provider="anthropic")
    assert (await store.take(elsewhere)).verdict is Verdict.TAKEN
    patient = an_ask(agent=ask.agent, calls_limit=100, pacing_ms=15_000)
    assert (await store.take(patient)).wait_ms == 15_000


# Both stores decide alike


@pytest.mark.parametrize("seed", range(6))
async def test_valkey_and_the_process_decide_alike(valkey: ValkeyStore, clock: SetClock, seed: int) -> None:
    chance, own, base = random.Random(seed), OwnStore(clock), an_ask()
    running: list[tuple[Ask, Answer]] = []
    seen: set[Verdict] = set()
    for _ in range(500):
        clock.pass_by(seconds=chance.choice([0, 0.001, 0.4, 3, 3, 29, 59, 61, 299, 301]) * chance.random())
        if running and chance.random() < 0.4:
            ask, taken = running.pop(chance.randrange(len(running)))
            if chance.random() < 0.3:
                await valkey.give_back(ask, taken)
                await own.give_back(ask, taken)
            else:
                ended = Ended(chance.randrange(80), chance.random() < 0.5, chance.choice([0, 0, 0, 2_000]))
                await valkey.end(ask, taken, ended)
                await own.end(ask, taken, ended)
            continue
        ask = an_ask(
            agent=base.agent, session=chance.choice("ab"), version=chance.choice([1, 1, 1, 2]),
            calls_limit=12, tokens_limit=200, tokens=chance.choice([5, 30, 60, 201]),
            repeat=chance.choice("xyz"), repeat_limit=6, repeat_ms=120_000, busy_ms=1_500_000, cool_down_ms=40_000,
            retries=True, pacing_ms=chance.choice([0, 0, 5_000]),
        )  # fmt: skip
        theirs = await valkey.take(ask)
        assert theirs == await own.take(ask)
        seen.add(theirs.verdict)
        if theirs.verdict is Verdict.TAKEN:
            running.append((ask, theirs))
    assert len(seen) >= 6, seen
