"""Turns a batch into the parameters of ledger_flush."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.ledger.wire import array, to_json

if TYPE_CHECKING:
    from agents.ledger.balances import Group, OpenBalance
    from agents.ledger.waiting import WaitingAsk, WaitingEnd


def flush_parameters(
    owner: str, ends: list[WaitingEnd], asks: list[WaitingAsk]
) -> tuple[list[str | None], list[OpenBalance]]:
    """Return the parameters in their order, and the balances that the answer will speak of, in id order."""
    groups = list({id(waiting.group): waiting.group for waiting in asks if waiting.group}.values())
    balances = sorted(
        {balance.id: balance for group in groups for balance in group.balances}.values(), key=lambda one: one.id
    )
    number = {id(group): place for place, group in enumerate(groups, 1)}
    parameters: list[str | None] = [
        owner,
        array(end.call_id for end in ends),
        to_json([end.row for end in ends]) if ends else None,
        array(balance.id for balance in balances),
        *_group_parameters(groups, balances),
        array(waiting.ask.call_id for waiting in asks),
        array(number[id(waiting.group)] for waiting in asks),
        array(waiting.ask.usd_pico for waiting in asks),
        array(waiting.ask.tokens for waiting in asks),
        array(waiting.ask.deadline_seconds for waiting in asks),
        array(waiting.start_literal for waiting in asks),
    ]
    return parameters, balances


def _group_parameters(groups: list[Group], balances: list[OpenBalance]) -> list[str]:
    place_of = {balance.id: place for place, balance in enumerate(balances, 1)}
    starts = [1]
    places: list[int] = []
    for group in groups:
        places.extend(place_of[balance.id] for balance in group.balances)
        starts.append(len(places) + 1)
    return [
        array(group.literal for group in groups),
        array(places),
        array(starts),
        array(group.ask.organization_id for group in groups),
        array(group.ask.agent_id for group in groups),
        array(group.ask.organization_version for group in groups),
        array(group.ask.agent_version for group in groups),
        array(group.ask.practice for group in groups),
    ]
