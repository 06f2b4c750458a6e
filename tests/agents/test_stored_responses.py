"""Notes of answers that providers keep: there before a client can name them, and never in the way of a call."""

import asyncio
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from agents.ledger import Ledger, LedgerAway, StoredAnswer
from agents.ledger import stored as stored_module
from agents.ledger.purge import purge_responses
from agents.models import StoredResponse
from tests.agents.ledger_house import House, in_thread
from tests.faults.tcp_proxy import TcpProxy


def answer(house: House, response_id: str = "resp_1", **fields: Any) -> StoredAnswer:
    known = {"organization_id": house.organization.pk, "agent_id": house.agent.pk, "practice": False}
    told = {"provider": "openai", "model": "gpt-4o", "input_tokens": 40, "output_tokens": 2}
    return StoredAnswer(response_id=response_id, **{**known, **told, **fields})


async def found(ledger: Ledger, one: StoredAnswer, **names: Any) -> StoredAnswer | None:
    asked = {"organization_id": one.organization_id, "agent_id": one.agent_id, "practice": one.practice} | names
    answers = await ledger.stored_answers([one.response_id, "resp_of_nobody"], **asked)
    assert answers.keys() <= {one.response_id}
    return answers.get(one.response_id)


async def test_a_note_is_there_once_it_is_said_to_be(house: House, ledger: Ledger) -> None:
    one = answer(house)
    assert await ledger.remember(one, seconds_max=5)
    assert await found(ledger, one) == one
    assert one.tokens == 42
    [row] = await in_thread(list, StoredResponse.objects.all())
    # Two looks at the clock: most often, but not always, within one microsecond.
    assert timedelta(days=30) <= row.expires_at - row.created_at < timedelta(days=30, seconds=1)


async def test_a_note_is_found_by_its_own_agent_in_its_own_mode_alone(house: House, ledger: Ledger) -> None:
    one = answer(house)
    await ledger.remember(one, seconds_max=5)
    for names in ({"agent_id": uuid4()}, {"organization_id": uuid4()}, {"practice": True}):
        assert await found(ledger, one, **names) is None
    assert await found(ledger, answer(house, "resp_2")) is None


async def test_many_notes_at_once_are_all_written_and_the_same_one_once(house: House, ledger: Ledger) -> None:
    notes = [answer(house, f"resp_{at % 300}", input_tokens=at, practice=at % 2 == 0) for at in range(900)]
    assert all(await asyncio.gather(*(ledger.remember(note, seconds_max=5) for note in notes)))
    rows = await in_thread(list, StoredResponse.objects.values_list("response_id", "input_tokens"))
    assert len(rows) == 300
    assert dict(rows)["resp_7"] == 607  # the last that was said


async def test_a_note_without_numbers_is_kept_as_such(house: House, ledger: Ledger) -> None:
    one = answer(house, input_tokens=None, output_tokens=None)
    await ledger.remember(one, seconds_max=5)
    assert await found(ledger, one) == one
    assert one.tokens is None


async def test_without_the_database_one_waits_a_bounded_time_and_the_others_not_at_all(
    house: House, distant: Ledger, proxy: TcpProxy
) -> None:
    assert await distant.remember(answer(house), seconds_max=5)
    proxy.is_away = True
    began = time.monotonic()
    assert not await distant.remember(answer(house, "resp_2"), seconds_max=0.1)
    assert 0.1 <= time.monotonic() - began < 3
    began = time.monotonic()
    assert not any([await distant.remember(answer(house, f"resp_{at}"), seconds_max=5) for at in range(3, 100)])
    assert time.monotonic() - began < 3  # and not 97 times five
    with pytest.raises(LedgerAway):
        await found(distant, answer(house))
    proxy.is_away = False
    async with asyncio.timeout(10):
        while not await distant.remember(answer(house, "resp_100"), seconds_max=5):
            await asyncio.sleep(0.02)
    assert await in_thread(StoredResponse.objects.count) == 100


async def test_beyond_its_bound_the_queue_takes_no_more(
    house: House, distant: Ledger, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_module, "WAITING_MAX", 3)
    proxy.is_away = True
    for at in range(6):
        assert not await distant.remember(answer(house, f"resp_{at}"), seconds_max=0.01)
    proxy.is_away = False
    async with asyncio.timeout(10):
        while await in_thread(StoredResponse.objects.count) < 3:
            await asyncio.sleep(0.02)
    assert await found(distant, answer(house, "resp_5")) is None


async def test_a_note_that_cannot_be_written_does_not_hold_up_the_others(house: House, ledger: Ledger) -> None:
    bad = answer(house, "resp_\x00")
    assert await ledger.remember(bad, seconds_max=5)
    assert await ledger.remember(answer(house), seconds_max=5)
    assert await found(ledger, answer(house)) is not None


async def test_a_process_that_stops_writes_what_waits(house: House) -> None:
    ledger = Ledger()
    await ledger.start()
    await asyncio.gather(*(ledger.remember(answer(house, f"resp_{at}"), seconds_max=0) for at in range(5)))
    await ledger.stop()
    assert await in_thread(StoredResponse.objects.count) == 5


async def test_a_forgotten_note_is_gone(house: House, ledger: Ledger) -> None:
    for one in (answer(house), answer(house, practice=True)):
        await ledger.remember(one, seconds_max=5)
    await ledger.forget_answer(answer(house))
    assert await found(ledger, answer(house)) is None
    assert await found(ledger, answer(house, practice=True)) is not None


async def test_an_expired_note_is_not_found_and_goes_with_the_purge(house: House, ledger: Ledger) -> None:
    for at in range(3):
        await ledger.remember(answer(house, f"resp_{at}"), seconds_max=5)
    old = StoredResponse.objects.exclude(response_id="resp_0")
    await in_thread(old.update, expires_at=timezone.now() - timedelta(seconds=1))
    assert await found(ledger, answer(house, "resp_1")) is None
    assert await found(ledger, answer(house, "resp_0")) is not None
    assert await in_thread(purge_responses) == 2
    assert await in_thread(purge_responses) == 0
    assert await in_thread(StoredResponse.objects.count) == 1
