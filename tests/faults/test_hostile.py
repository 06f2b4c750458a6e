"""10,000 answers of hostile providers."""

import secrets

import pytest

from tests.proxy.hostile_run import hostile_answers_leave_nothing_held

pytestmark = pytest.mark.django_db(transaction=True)

SEEDS = 10_000
GROWTH_BYTES_MAX = 40 * 2**20


async def test_ten_thousand_hostile_answers_leave_nothing_held_and_no_memory_taken() -> None:
    start = secrets.randbelow(10**9)
    print(f"first seed {start}")
    ends, grown_bytes = await hostile_answers_leave_nothing_held(range(start, start + SEEDS))
    print(dict(ends), f"memory grew by {grown_bytes / 2**20:.1f} MiB")
    assert ends.total() == SEEDS
    assert grown_bytes < GROWTH_BYTES_MAX
