"""Rows as they stand in pricebook.json, read into compiled rows with their dates and off-peak windows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from agents.money import parse_usd
from agents.pricing.rows import PriceRow, Rates, TierRates
from agents.pricing.usage import TOKEN_BUCKETS

TOKENS_PER_RATE = 1_000_000
CALLS_PER_FEE = 1_000
MINUTES_PER_DAY = 24 * 60
RATE_NAMES = frozenset({*TOKEN_BUCKETS, "hour"})
# There a cache read without a price of its own has no discount, says their page.
CACHE_READ_AT_INPUT = frozenset({"openai", "azure"})

JsonObject = Mapping[str, Any]


class InvalidRow(ValueError):
    """A row of a price file that cannot be read; `where` names it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the day, in minutes of UTC, on some days of the week (Monday is 1)."""

    weekdays: frozenset[int]
    from_minute: int
    to_minute: int

    def holds(self, at: datetime) -> bool:
        """Whether the moment lies inside."""
        utc = at.astimezone(UTC)
        return utc.isoweekday() in self.weekdays and self.from_minute <= utc.hour * 60 + utc.minute < self.to_minute


@dataclass(frozen=True, slots=True)
class DatedRow:
    """A row, the model ids it prices, and its cheaper form inside off-peak windows."""

    models: tuple[str, ...]
    row: PriceRow
    offpeak_row: PriceRow | None = None
    windows: tuple[Window, ...] = ()

    def active_at(self, at: datetime) -> bool:
        """Whether the row prices a call at this moment."""
        since, until = self.row.since_at, self.row.until_at
        return (since is None or since <= at) and (until is None or at < until)

    def active_between(self, start: datetime, end: datetime) -> bool:
        """Whether the row prices a call at some moment from start to end, both included."""
        since, until = self.row.since_at, self.row.until_at
        return (since is None or since <= end) and (until is None or start < until)

    def at(self, at: datetime) -> PriceRow:
        """The row in the form that applies at this moment."""
        if self.offpeak_row is not None and any(window.holds(at) for window in self.windows):
            return self.offpeak_row
        return self.row


def dated_row(facts: JsonObject) -> DatedRow:
    """Read one row in the form of pricebook.json (docs/pricing.md)."""
    where = f"{facts.get('provider')}/{(facts.get('models') or ['?'])[0]}"
    try:
        return _dated_row(facts)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InvalidRow(where, str(error)) from error


def _dated_row(facts: JsonObject) -> DatedRow:
    provider, models = facts["provider"], tuple(facts["models"])
    since_at = _moment(facts.get("since"))
    row_id = f"{provider}/{models[0]}" + (f"@{facts['since']}" if since_at else "")
    limits = facts.get("limits", {})
    multipliers = facts.get("multipliers", {})
    row = PriceRow(
        provider=provider,
        model=models[0],
        row_id=row_id,
        kind=facts["kind"],
        tiers={
            "default": _tier(facts, provider),
            **{name: _tier(tier, provider) for name, tier in facts.get("tiers", {}).items()},
        },
        since_at=since_at,
        until_at=_moment(facts.get("until")),
        recheck_after_at=_moment(facts.get("recheck_after")),
        input_limit=limits.get("input"),
        output_limit=limits.get("output"),
        speeds={name: Fraction(factor) for name, factor in multipliers.items() if name == "fast"},
        geos={name: Fraction(factor) for name, factor in multipliers.items() if name != "fast"},
        tools={name: _divided(fee, CALLS_PER_FEE) for name, fee in facts.get("tools", {}).items()},
    )
    offpeak = facts.get("offpeak")
    if offpeak is None:
        return DatedRow(models, row)
    cheaper = replace(
        row, row_id=f"{row_id}+offpeak", tiers={**row.tiers, "default": _tier(offpeak, provider)}, offpeak=True
    )
    return DatedRow(models, row, cheaper, tuple(_windows(offpeak["windows"])))


def _tier(facts: JsonObject, provider: str) -> TierRates:
    long = facts.get("long")
    if long is None:
        return TierRates(_rates(facts["rates"], provider))
    long_from = long["gte"] if "gte" in long else long["gt"] + 1
    return TierRates(_rates(facts["rates"], provider), _rates(long["rates"], provider), long_from)


def _rates(facts: Mapping[str, str], provider: str) -> Rates:
    unknown = facts.keys() - RATE_NAMES
    if unknown:
        raise ValueError(f"unknown rate {min(unknown)}")
    rates = {
        name: parse_usd(price) if name == "hour" else _divided(price, TOKENS_PER_RATE) for name, price in facts.items()
    }
    if provider in CACHE_READ_AT_INPUT and "input" in rates:
        rates.setdefault("cache_read", rates["input"])
    return Rates(**rates)


def _divided(price: str, units: int) -> int:
    pico, rest = divmod(parse_usd(price), units)
    if rest:
        raise ValueError(f"{price} is finer than a pico-dollar a unit")
    return pico


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _windows(facts: list[JsonObject]) -> list[Window]:
    windows = []
    for window in facts:
        for hours in window["hours"]:
            first, last = hours.split("-")
            windows.append(Window(frozenset(window["weekdays"]), _minute(first), _minute(last) or MINUTES_PER_DAY))
    return windows


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
