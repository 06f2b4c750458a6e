"""Turns a batch into the parameters of ledger_flush."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.ledger.groups import together
from agents.ledger.wire import array, to_json

if TYPE_CHECKING:
    from agents.ledger.balances import OpenBalance
    from agents.ledger.groups import Group
    from agents.ledger.waiting import WaitingAsk, WaitingEnd


BIGINT_MAX = 2**63 - 1

# Of a batch without endings, or without asks: what is not there is NULL.
_NO_ENDS = (None,) * 2
_NO_ASKS = (None,) * 20


def flush_parameters(
    owner: str, ends: list[WaitingEnd], asks: list[WaitingAsk]
) -> tuple[list[str | None], tuple[OpenBalance, ...]]:
    """Return the parameters in their order, and the balances that the answer will speak of, in id order."""
    ended = (array(end.call_id for end in ends), to_json([end.row for end in ends])) if ends else _NO_ENDS
    if not asks:
        return [owner, *ended, *_NO_ASKS], ()
    groups = list({id(waiting.group): waiting.group for waiting in asks if waiting.group}.values())
    said = groups[0].alone() if len(groups) == 1 else together(groups)
    number = {id(group): place for place, group in enumerate(groups, 1)}
    numbers = [number[id(waiting.group)] for waiting in asks]
    parameters = [
        owner,
        *ended,
        said.ids,
        *_sums(groups, said.balances, numbers, asks),
        *said.parameters,
        array([waiting.ask.call_id for waiting in asks]),
        array(numbers),
        array([waiting.ask.usd_pico for waiting in asks]),
        array([waiting.ask.tokens for waiting in asks]),
        array([waiting.ask.deadline_seconds for waiting in asks]),
        array([waiting.start_literal for waiting in asks]),
    ]
    return parameters, said.balances


def _sums(
    groups: list[Group], balances: tuple[OpenBalance, ...], numbers: list[int], asks: list[WaitingAsk]
) -> tuple[str, str, str]:
    """Return what all asks together want of each balance: pico-dollars, tokens, calls."""
    of_group = [[0, 0, 0] for _ in groups]
    for number, waiting in zip(numbers, asks, strict=True):
        sums = of_group[number - 1]
        sums[0] += waiting.ask.usd_pico
        sums[1] += waiting.ask.tokens
        sums[2] += 1
    # Of one group each balance is asked for the same.
    of_balance = of_group * len(balances) if len(groups) == 1 else _by_balance(groups, of_group, balances)
    usd, tokens, calls = zip(*of_balance, strict=True)
    return array([min(amount, BIGINT_MAX) for amount in usd]), array(tokens), array(calls)


def _by_balance(groups: list[Group], of_group: list[list[int]], balances: tuple[OpenBalance, ...]) -> list[list[int]]:
    of_balance = {balance.id: [0, 0, 0] for balance in balances}
    for group, wanted in zip(groups, of_group, strict=True):
        for balance in group.balances:
            sums = of_balance[balance.id]
            sums[:] = map(sum, zip(sums, wanted, strict=True))
    return list(of_balance.values())
