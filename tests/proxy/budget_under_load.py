"""The first promise as an experiment: a budget that fits exactly so many calls admits exactly so many."""

import asyncio

from tests.proxy.closing import close_books
from tests.proxy.load import Outcome, chat_body, run_load
from tests.proxy.stage import Stage, Worker, settled

WORDS = "bill=ceiling delay_ms=100"


def ceiling_of_one(on: Stage) -> int:
    """What one of these calls holds, by making one."""
    response = on.post(on.worker().key, content=chat_body(WORDS), headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    row = settled(response.headers["x-awx-call-id"])
    assert row.cost_pico == row.held_pico, "the fake bills exactly the ceiling"
    return row.held_pico


def budget_admits_exactly(on: Stage, *, fits: int, calls: int, at_once: int) -> tuple[Worker, Outcome]:
    """Send `calls` calls of which the budget fits `fits`, `at_once` in flight at a time, and check every account."""
    limit_pico = fits * ceiling_of_one(on)
    worker = on.worker(limit_pico=limit_pico)
    on.fake.reset()
    outcome = asyncio.run(
        run_load(on.server.address, worker.key, (chat_body(WORDS) for _ in range(calls)), at_once=at_once)
    )
    close_books(on, worker)
    assert outcome.statuses == {200: fits, 429: calls - fits}, outcome
    assert on.fake.stats()["billed"] == fits
    assert worker.spent_pico == limit_pico
    settled_rows = [row for row in worker.calls() if row.status == "settled"]
    refused_count = sum(row.repeat_count for row in worker.calls() if row.status == "refused")
    assert len(settled_rows) == fits
    assert sum(row.cost_pico for row in settled_rows) == limit_pico
    assert refused_count <= calls - fits
    return worker, outcome
