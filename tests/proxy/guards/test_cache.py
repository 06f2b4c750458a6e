"""Answers in the store: sealed, bounded, within one organisation, and a miss whenever anything is wrong."""

import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from redis.asyncio import Redis

from proxy.guards import cache as caches
from proxy.guards.cache import ANSWER_BYTES_MAX, AnswerCache, Keeper, Kept, Place, place_of

ACME, BOREALIS = uuid4(), uuid4()  # each test asks something of its own
PATIENT = 5.0  # a busy machine is not what is tested
BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"the secret question"}]}'


@pytest.fixture
async def cache() -> AsyncIterator[AnswerCache]:
    found = AnswerCache(settings.REDIS_URL, seconds_max=PATIENT)
    yield found
    await found.close()


@pytest.fixture
async def store() -> AsyncIterator[Redis]:
    """The store as somebody sees it who can read all of it."""
    found = Redis.from_url(settings.REDIS_URL)
    yield found
    await found.aclose()


def answer(body: bytes = b'{"the":"secret answer"}', **fields: Any) -> Kept:
    facts = {"status": 200, "content_type": "application/json", "cost_pico": 7, "call_id": "c-1"}
    return Kept(body=body, **facts | {"kept_at": time.time()} | fields)


async def test_an_answer_is_given_again_as_it_was(cache: AnswerCache) -> None:
    place, kept = place_of(ACME, BODY, model="again"), answer()
    assert await cache.look_up(place, seconds_max=60) is None
    await cache.keep(place, kept, seconds=60)
    assert await cache.look_up(place, seconds_max=60) == kept


@pytest.mark.parametrize(
    ("organization_id", "body", "circumstances"),
    [
        (BOREALIS, BODY, {"model": "gpt-4o"}),
        (ACME, BODY + b" ", {"model": "gpt-4o"}),
        (ACME, BODY, {"model": "gpt-4o-mini"}),
        (ACME, BODY, {"model": "gpt-4o", "wants_usage": True}),
    ],
)
async def test_another_question_has_another_place(
    cache: AnswerCache, organization_id: UUID, body: bytes, circumstances: dict[str, object]
) -> None:
    """E4: the organisation is part of the question."""
    kept_at = place_of(ACME, BODY, model="gpt-4o")
    await cache.keep(kept_at, answer(), seconds=60)
    other = place_of(organization_id, body, **circumstances)
    assert other.digest != kept_at.digest
    assert await cache.look_up(other, seconds_max=60) is None


def test_who_reads_the_store_cannot_try_guesses(settings: Any) -> None:
    place = place_of(ACME, BODY, model="gpt-4o")
    settings.SHREDDER_VAULT_KEYS = ["1:" + "QUFB" * 10 + "QUE="]
    assert place_of(ACME, BODY, model="gpt-4o").digest != place.digest


async def test_the_store_holds_no_word_of_question_or_answer(cache: AnswerCache, store: Redis) -> None:
    place = place_of(ACME, BODY, model="gpt-4o")
    await cache.keep(place, answer(), seconds=60)
    names = [name async for name in store.scan_iter(match="awx:cache:*")]
    values = [await store.get(name) for name in names if await store.type(name) == b"string"]
    assert values
    assert not any(b"secret" in found for found in [*names, *values])


async def test_an_answer_that_was_moved_or_changed_is_a_miss(cache: AnswerCache, store: Redis) -> None:
    place = place_of(ACME, BODY, model="gpt-4o")
    await cache.keep(place, answer(), seconds=60)
    sealed = await store.get(place.key())
    elsewhere, strangers = place_of(ACME, b"{}"), Place(BOREALIS, place.digest)
    for other in (elsewhere, strangers):
        await store.set(other.key(), sealed)
        assert await cache.look_up(other, seconds_max=60) is None
    await store.set(place.key(), sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert await cache.look_up(place, seconds_max=60) is None


async def test_an_answer_ends_by_its_own_life_and_by_its_readers(cache: AnswerCache, store: Redis) -> None:
    place = place_of(ACME, BODY, life="own")
    await cache.keep(place, answer(kept_at=time.time() - 30), seconds=60)
    assert 0 < await store.ttl(place.key()) <= 60
    assert await cache.look_up(place, seconds_max=31) is not None
    assert await cache.look_up(place, seconds_max=29) is None


async def test_an_answer_of_a_megabyte_is_kept_and_a_larger_one_is_not(cache: AnswerCache) -> None:
    place = place_of(ACME, BODY, size="largest")
    await cache.keep(place, answer(b"x" * (ANSWER_BYTES_MAX + 1)), seconds=60)
    assert await cache.look_up(place, seconds_max=60) is None
    await cache.keep(place, answer(b"x" * ANSWER_BYTES_MAX), seconds=60)
    kept = await cache.look_up(place, seconds_max=60)
    assert kept is not None
    assert len(kept.body) == ANSWER_BYTES_MAX


async def test_the_answers_of_an_organisation_stay_within_their_bytes(
    cache: AnswerCache, store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "ORGANIZATION_BYTES_MAX", 10_000)
    organization_id, others = uuid4(), place_of(ACME, b"others")
    await cache.keep(others, answer(b"o" * 4_000), seconds=60)
    places = [place_of(organization_id, b"%d" % number) for number in range(5)]
    for number, place in enumerate(places):
        await cache.keep(place, answer(b"x" * 3_000), seconds=600 + number)
    found = [await cache.look_up(place, seconds_max=60) is not None for place in places]
    # Each takes a little more than its body: three fit, and those that ended first made room.
    assert found == [False, False, True, True, True]
    assert await cache.look_up(others, seconds_max=60) is not None
    await _check_sums(store, places)


async def test_what_is_kept_again_or_has_ended_is_not_counted_twice(cache: AnswerCache, store: Redis) -> None:
    organization_id = uuid4()
    places = [place_of(organization_id, b"%d" % number) for number in range(3)]
    for place in (*places, places[0]):
        await cache.keep(place, answer(), seconds=60)
    # As if its life had ended.
    await store.delete(places[1].key())
    await store.zadd(places[1].key("ends"), {places[1].key(): time.time() - 1})
    await cache.keep(places[2], answer(b"longer than it was"), seconds=60)
    await _check_sums(store, places)
    assert not await store.hexists(places[1].key("sizes"), places[1].key())


async def _check_sums(store: Redis, places: list[Place]) -> None:
    sizes = await store.hgetall(places[0].key("sizes"))
    kept = {place.key().encode(): await store.strlen(place.key()) for place in places}
    kept = {name: size for name, size in kept.items() if size}
    assert {name: int(size) for name, size in sizes.items() if name != b"all"} == kept
    assert int(sizes[b"all"]) == sum(kept.values())
    assert set(await store.zrange(places[0].key("ends"), 0, -1)) == kept.keys()
    assert await store.ttl(places[0].key("ends")) > 30 * 86_400


async def test_without_its_store_everything_is_a_miss_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = AnswerCache(f"redis://127.0.0.1:{closed.getsockname()[1]}/0", seconds_max=PATIENT)
    place = place_of(ACME, BODY)
    await away.keep(place, answer(), seconds=60)
    assert await away.look_up(place, seconds_max=60) is None
    await away.close()


async def test_a_store_that_says_nothing_costs_a_moment_once(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        silent = AnswerCache(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0", seconds_max=0.05)
        place, began = place_of(ACME, BODY), time.monotonic()
        for _ in range(100):
            assert await silent.look_up(place, seconds_max=60) is None
        assert time.monotonic() - began < 1
        await silent.close()
    assert len([line for line in caplog.records if "left out" in line.message]) == 1


async def test_a_keeper_gathers_pieces_and_gives_up_beyond_the_size(cache: AnswerCache) -> None:
    place = place_of(ACME, BODY, kept="by a keeper")
    large = Keeper(cache, place, call_id=uuid4(), seconds=60)
    for _ in range(3):
        large.add(b"x" * (ANSWER_BYTES_MAX // 2))
    await large.keep(200, "text/event-stream", 7)
    assert await cache.look_up(place, seconds_max=60) is None
    small = Keeper(cache, place, call_id=ACME, seconds=60)
    for piece in (b"data: 1\n\n", b"data: [DONE]\n\n"):
        small.add(piece)
    await small.keep(200, "text/event-stream", 7)
    kept = await cache.look_up(place, seconds_max=60)
    assert kept is not None
    expected = answer(b"data: 1\n\ndata: [DONE]\n\n", content_type="text/event-stream", call_id=str(ACME))
    assert replace(kept, kept_at=0) == replace(expected, kept_at=0)
