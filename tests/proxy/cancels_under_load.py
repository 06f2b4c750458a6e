"""Clients that cancel at any moment: what they held comes back, so that no later call is refused for nothing."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

from agents import budgets
from tests.proxy.budget_under_load import WORDS, ceiling_of_one
from tests.proxy.closing import close_books, stop_and_start_again
from tests.proxy.load import Outcome, call, chat_body, client_session, in_turn
from tests.proxy.stage import Stage, Worker

PATIENCE_SECONDS_MEAN = 0.4
LEFT, ANSWERED, REFUSED = "left", "answered", "refused"


def a_cancel_storm_leaves_nothing_held(on: Stage, *, calls: int, at_once: int, seed: int) -> Counter[str]:
    """Cancel calls while they are sent, decided, waited for or streamed; returns how they ended for their clients.

    The budget fits all of them at once: any refusal is one for money that nobody holds.
    """
    worker = on.worker("100")
    on.fake.reset()
    ends = asyncio.run(_storm(on, worker, calls, at_once, random.Random(seed)))
    stop_and_start_again(on)
    close_books(on, worker, exact=False)
    assert ends[REFUSED] == 0
    assert not [row for row in worker.calls() if row.status == "refused"]
    _the_last_pico_can_be_spent(on, worker)
    return ends


async def _storm(on: Stage, worker: Worker, calls: int, at_once: int, chance: random.Random) -> Counter[str]:
    ends, outcome = Counter[str](), Outcome()

    async def one(patience_seconds: float) -> None:
        try:
            async with asyncio.timeout(patience_seconds):
                status = await call(session, on.server.address, worker.key, _body(chance), outcome)
        except TimeoutError:
            ends[LEFT] += 1
        else:
            ends[ANSWERED if status == 200 else REFUSED] += 1

    async with client_session(resets=True) as session:
        wishes = [chance.expovariate(1 / PATIENCE_SECONDS_MEAN) for _ in range(calls)]
        await in_turn(one, wishes, at_once=at_once)
    return ends


def _body(chance: random.Random) -> bytes | AsyncIterator[bytes]:
    words = f"delay_ms={chance.randrange(40)} chunk_ms={chance.randrange(10)} tokens_out={chance.randrange(1, 16)}"
    body = chat_body(words, stream=chance.random() < 0.5)
    return _half(body) if chance.random() < 0.1 else body


async def _half(body: bytes) -> AsyncIterator[bytes]:
    """Half of the body; the rest never comes."""
    yield body[: len(body) // 2]
    await asyncio.Event().wait()


def _the_last_pico_can_be_spent(on: Stage, worker: Worker) -> None:
    """What the storm has not spent is there: a call that needs all that is left passes, and the next one does not."""
    ceiling_pico = ceiling_of_one(on)
    budgets.set_limit(worker.agent.budgets.get(), worker.spent_pico + ceiling_pico, on.alice.user)
    for expected in (200, 429):
        answer = on.post(worker.key, content=chat_body(WORDS), headers={"content-type": "application/json"})
        assert answer.status_code == expected, answer.text
