"""Calls that cost a tenth of what they hold: a budget is not used up by what is only held."""

import asyncio

from agents.money import PICO_PER_USD
from tests.fakes.prices import Tokens, cost_usd
from tests.proxy.closing import close_books
from tests.proxy.load import Outcome, chat_body, run_load
from tests.proxy.stage import Stage, settled

MODEL, TOKENS_IN, CAP = "gpt-4o-mini", 20, 1_000
BODY = chat_body("delay_ms=20", model=MODEL, cap=CAP)


def held_by_one(on: Stage) -> int:
    """What one of these calls holds, by making one."""
    response = on.post(on.worker().key, content=BODY, headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    return settled(response.headers["x-awx-call-id"]).held_pico


def a_budget_is_spent_by_costs_not_by_ceilings(on: Stage, *, calls: int, at_once: int) -> Outcome:
    """Send calls that cost a tenth of their ceilings on a budget that fits a tenth as many ceilings."""
    held_pico = held_by_one(on)
    worker = on.worker(limit_pico=calls // 10 * held_pico)
    on.fake.reset()
    on.fake.script(tokens_in=TOKENS_IN, tokens_out=_tokens_for(held_pico // 10))
    outcome = asyncio.run(run_load(on.server.address, worker.key, (BODY for _ in range(calls)), at_once=at_once))
    close_books(on, worker)
    admitted = outcome.statuses[200]
    assert on.fake.stats()["billed"] == admitted
    assert outcome.statuses == {200: admitted, 429: calls - admitted}, outcome
    # While it lasts, every refusal names calls that run, and none says that the budget is gone.
    assert set(outcome.reasons) == {"held_in_flight"}, outcome
    # Refusals begin when what is spent, and what the others hold, leaves no room.
    assert admitted >= calls - 10 * at_once
    assert worker.spent_pico <= calls // 10 * held_pico
    return outcome


def _tokens_for(cost_pico: int) -> int:
    """The most output tokens whose call costs no more than this."""
    one_pico, input_pico = _pico(0, 1), _pico(TOKENS_IN, 0)
    return (cost_pico - input_pico) // one_pico


def _pico(tokens_in: int, tokens_out: int) -> int:
    return int(cost_usd(MODEL, Tokens(fresh=tokens_in, output=tokens_out)) * PICO_PER_USD)
