"""Whatever a provider answers, the client gets a clear end, nothing stays held, and there is one row."""

import secrets

import pytest

from tests.proxy.hostile_run import hostile_answers_leave_nothing_held

pytestmark = pytest.mark.django_db(transaction=True)

SEEDS = 240


async def test_hostile_answers_end_clearly_and_leave_nothing_held() -> None:
    start = secrets.randbelow(10**9)
    print(f"first seed {start}")
    ends, _ = await hostile_answers_leave_nothing_held(range(start, start + SEEDS))
    assert ends.total() == SEEDS
