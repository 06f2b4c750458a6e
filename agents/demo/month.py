"""What the agents did: calls in order of time, decided by each day's budget as the real ledger would."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from agents import pricing
from agents.demo.cast import DAYS, Actor, Habit
from agents.pricebook import PriceBook
from agents.pricing import Bound, Circumstances, PriceRow, Usage

_OUTPUT_BOUND = 4096
_MARGIN_TOKENS = 600  # a ceiling counts bytes, which are more than tokens
_OPENING_HOUR, _CLOSING_HOUR = 8, 19
_WEEKEND = (5, 6)
_GROWTH_SHARE = 0.22
_LOOP_HOUR, _LOOP_SECONDS, _LOOP_CALLS = 13.4, 9.0, 900
_REFUSALS_MAX = 26


@dataclass(frozen=True, slots=True)
class Deed:
    """One call or refusal of the demonstration."""

    at: datetime
    habit: Habit
    usage: Usage
    row_id: str
    cost_pico: int
    ceiling_pico: int
    duration_ms: int
    first_byte_ms: int
    session: str
    user: str
    tool_call_count: int
    failed: bool = False
    refused_spent_pico: int | None = None
    repeat_count: int = 1


def day_of_calls(
    actor: Actor, day: date, *, days_ago: int, start_at: datetime, until_at: datetime, limit_pico: int, book: PriceBook
) -> Iterator[Deed]:
    """One agent's day, in order of time; nothing passes that the budget does not cover.

    start_at, until_at: the day's beginning, and its end or the present.
    """
    # The seed names agent and day, so that the same day is the same whenever it is written.
    chance = random.Random(f"{actor.name} {day.isoformat()}")  # noqa: S311  # not a secret
    spent_pico, refused = 0, 0
    for at in _moments(actor, day, days_ago, start_at, chance):
        if at >= until_at:
            break
        deed = _deed(actor, day, at, chance, book)
        if spent_pico + deed.ceiling_pico <= limit_pico:
            spent_pico += deed.cost_pico
            yield deed
        elif refused < _REFUSALS_MAX:
            refused += 1
            flood = chance.randint(2, 40) if days_ago in actor.runaway_days_ago else 1
            yield replace(deed, cost_pico=0, usage=Usage(), refused_spent_pico=spent_pico, repeat_count=flood)


def _moments(actor: Actor, day: date, days_ago: int, start_at: datetime, chance: random.Random) -> list[datetime]:
    if day.weekday() not in actor.weekdays:
        return []
    # The open day is never a quiet one: it is what a visitor sees first.
    share = actor.weekend_percent if day.weekday() in _WEEKEND and days_ago else 100
    growth = 1 - _GROWTH_SHARE * days_ago / DAYS
    wanted = round(actor.calls * share / 100 * growth * chance.uniform(0.72, 1.18))
    seconds = [_second_of_day(actor, chance) for _ in range(wanted)]
    if days_ago in actor.runaway_days_ago:
        seconds += [
            _LOOP_HOUR * 3600 + step * _LOOP_SECONDS * chance.uniform(0.97, 1.03) for step in range(_LOOP_CALLS)
        ]
    return sorted(start_at + timedelta(seconds=second) for second in seconds)


def _second_of_day(actor: Actor, chance: random.Random) -> float:
    """Most calls fall into working hours, thickest around their middle."""
    if chance.randrange(100) < actor.night_percent:
        return chance.uniform(0, 86_399)
    return min(86_399.0, chance.triangular(_OPENING_HOUR * 3600, _CLOSING_HOUR * 3600, 14 * 3600))


def _deed(actor: Actor, day: date, at: datetime, chance: random.Random, book: PriceBook) -> Deed:
    habit = chance.choices(actor.habits, weights=[one.share for one in actor.habits])[0]
    row = book.row(habit.provider, habit.model, at)
    usage = _usage(habit, chance)
    failed = chance.randrange(100) < actor.failed_percent
    usage = Usage() if failed else usage
    first_byte_ms = chance.randint(240, 1400)
    return Deed(
        at=at, habit=habit, usage=usage, row_id=row.row_id,
        cost_pico=pricing.cost_pico(row, usage, Circumstances()),
        ceiling_pico=_ceiling(row, usage),
        duration_ms=first_byte_ms + usage.output * chance.randint(7, 14), first_byte_ms=first_byte_ms,
        session=f"run-{day:%m%d}-{chance.randint(1, actor.sessions_per_day):02d}" if actor.sessions_per_day else "",
        user=chance.choice(actor.users) if actor.users else "",
        tool_call_count=chance.randint(0, habit.tools_max), failed=failed,
    )  # fmt: skip


def _usage(habit: Habit, chance: random.Random) -> Usage:
    total = int(chance.triangular(*habit.input_tokens, habit.input_tokens[0] * 1.4))
    cached = total * habit.cached_percent // 100 if chance.randrange(100) < 80 else 0
    written = cached // 3 if cached and habit.provider == "anthropic" else 0
    output = int(chance.triangular(*habit.output_tokens, habit.output_tokens[0] * 1.5))
    reasoning = output * chance.randint(20, 60) // 100 if habit.model.startswith("gpt-5") else 0
    return Usage(
        input=total - cached, cache_read=cached - written, cache_write=written, output=output, reasoning=reasoning
    )


def _ceiling(row: PriceRow, usage: Usage) -> int:
    bound = Bound(
        input_tokens=usage.total_input + _MARGIN_TOKENS + usage.total_input // 8,
        output_tokens=max(_OUTPUT_BOUND, usage.output),
    )
    return pricing.ceiling_pico([row], bound, ["default"], "standard", "global")
