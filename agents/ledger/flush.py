"""Turns a batch into the parameters of ledger_flush."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.ledger.wire import array, array_with_gaps, to_json

if TYPE_CHECKING:
    from agents.ledger.balances import Group, OpenBalance
    from agents.ledger.waiting import WaitingAsk, WaitingEnd


BIGINT_MAX = 2**63 - 1


def flush_parameters(
    owner: str, ends: list[WaitingEnd], asks: list[WaitingAsk]
) -> tuple[list[str | None], list[OpenBalance]]:
    """Return the parameters in their order, and the balances that the answer will speak of, in id order."""
    groups = list({id(waiting.group): waiting.group for waiting in asks if waiting.group}.values())
    number = {id(group): place for place, group in enumerate(groups, 1)}
    numbers = [number[id(waiting.group)] for waiting in asks]
    balances = sorted(
        {balance.id: balance for group in groups for balance in group.balances}.values(), key=lambda one: one.id
    )
    parameters: list[str | None] = [
        owner,
        array(end.call_id for end in ends),
        to_json([end.row for end in ends]) if ends else None,
        array(balance.id for balance in balances),
        *_sums(groups, balances, numbers, asks),
        _tightest_caps(groups, balances),
        *_group_parameters(groups, balances),
        array(waiting.ask.call_id for waiting in asks),
        array(numbers),
        array(waiting.ask.usd_pico for waiting in asks),
        array(waiting.ask.tokens for waiting in asks),
        array(waiting.ask.deadline_seconds for waiting in asks),
        array(waiting.start_literal for waiting in asks),
    ]
    return parameters, balances


def _sums(
    groups: list[Group], balances: list[OpenBalance], numbers: list[int], asks: list[WaitingAsk]
) -> tuple[str, str, str]:
    """Return what all asks together want of each balance: pico-dollars, tokens, calls."""
    of_group = [[0, 0, 0] for _ in groups]
    for number, waiting in zip(numbers, asks, strict=True):
        sums = of_group[number - 1]
        sums[0] += waiting.ask.usd_pico
        sums[1] += waiting.ask.tokens
        sums[2] += 1
    of_balance = {balance.id: [0, 0, 0] for balance in balances}
    for group, wanted in zip(groups, of_group, strict=True):
        for balance in group.balances:
            sums = of_balance[balance.id]
            sums[:] = map(sum, zip(sums, wanted, strict=True))
    usd, tokens, calls = zip(*of_balance.values(), strict=True) if of_balance else ((), (), ())
    return array(min(amount, BIGINT_MAX) for amount in usd), array(tokens), array(calls)


def _tightest_caps(groups: list[Group], balances: list[OpenBalance]) -> str:
    """Return the tightest limit that any group brings for each balance; gaps where none does."""
    tightest: dict[int, int] = {}
    for group in groups:
        for balance in group.balances if group.caps else ():
            if (cap := group.caps.get(balance.budget_id)) is not None:
                tightest[balance.id] = min(cap, tightest.get(balance.id, cap))
    return array_with_gaps(tightest.get(balance.id) for balance in balances)


def _group_parameters(groups: list[Group], balances: list[OpenBalance]) -> list[str]:
    place_of = {balance.id: place for place, balance in enumerate(balances, 1)}
    starts = [1]
    places: list[int] = []
    caps: list[int | None] = []
    for group in groups:
        places.extend(place_of[balance.id] for balance in group.balances)
        caps.extend(group.caps.get(balance.budget_id) for balance in group.balances)
        starts.append(len(places) + 1)
    return [
        array(group.literal for group in groups),
        array(places),
        array_with_gaps(caps),
        array(starts),
        array(group.ask.organization_id for group in groups),
        array(group.ask.agent_id for group in groups),
        array(group.ask.organization_version for group in groups),
        array(group.ask.agent_version for group in groups),
        array(group.ask.practice for group in groups),
    ]
