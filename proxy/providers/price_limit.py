"""The most that a provider which chooses among suppliers may pay for a call (metering.md 4.3, OpenRouter)."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from agents.pricing import PriceRow
from proxy.providers.targets import Target

PICO_PER_USD = 10**12
PICO_PER_TOKEN = 10**6  # of a dollar for a million tokens


def with_price_limit(target: Target, rows: Sequence[PriceRow]) -> Target:
    """The target with the price we count on written into its requests, where the provider asks for such a limit.

    rows: those of the ceiling; what is dearer than the dearest of them must not be chosen.
    """
    if not target.traits.limits_price:
        return target
    rates = [row.rates("default", 0) for row in rows]
    most = {
        "prompt": _number(max((rate.input or 0 for rate in rates), default=0), PICO_PER_TOKEN),
        "completion": _number(max((rate.output or 0 for rate in rates), default=0), PICO_PER_TOKEN),
        "request": _number(max((row.call_pico for row in rows), default=0), PICO_PER_USD),
    }
    return replace(target, added={**target.added, "provider": {"max_price": most}})


def _number(pico: int, unit: int) -> int | float:
    """Dollars as JSON has them: a whole number, or the float that prints shortest."""
    amount = Fraction(pico, unit)
    return int(amount) if amount.denominator == 1 else float(amount)
