"""SETTLE: what a finished call costs, by docs/pricing.md."""

from collections.abc import Sequence
from fractions import Fraction
from operator import itemgetter

from accounts.records import record
from agents.money import divide_up
from agents.pricing.custom import is_custom
from agents.pricing.rows import PriceRow, Rates, UnpricedFeature
from agents.pricing.usage import TOKEN_BUCKETS, Circumstances, Usage

MS_PER_HOUR = 3_600_000
PROVIDER_COST_TOLERANCE = Fraction(2, 100)
# Cents for dollars are a factor of a hundred; a bill so far above ours is in another unit, not another price.
ANOTHER_UNIT_FACTOR = 50

FLAG_PROVIDER_COST = "provider_cost_differs"
FLAG_SERVED_MODEL = "served_model_price_differs"
FLAG_UNKNOWN_KEY = "unknown_usage_key"


@record()
class Settlement:
    """The cost to book, the row it came from, and what a person should look at."""

    cost_pico: int
    row_id: str
    flags: tuple[str, ...] = ()


def cost_pico(row: PriceRow, usage: Usage, circumstances: Circumstances) -> int:
    """The cost of a call in pico-dollars, rounded up once; the provider's own bill where it states one.

    Raises UnpricedFeature. Money that is to be booked goes through `settle`, which checks that bill.
    """
    if usage.provider_cost_pico is not None and circumstances.billed:
        return usage.provider_cost_pico
    return _own_cost_pico(row, usage, circumstances)


def settle(
    rows: Sequence[PriceRow],
    usage: Usage,
    circumstances: Circumstances,
    *,
    reserved_pico: int = 0,
    strict: bool = True,
) -> Settlement:
    """Price a call by the dearest of the rows that may apply to it (PriceBook.settle_rows).

    The provider's own bill wins within two per cent of ours; beyond that, and where the organisation set the price
    itself, the larger of the two counts, unless it is so much larger that it must be in another unit (metering.md M7).
    reserved_pico, strict: a usage key that may be money and that we cannot price settles at no less
    than what was held, unless strict is off; it is flagged either way.
    """
    costs = [(_own_cost_pico(row, usage, circumstances), row) for row in rows]
    cost, dearest = costs[0] if len(costs) == 1 else max(costs, key=itemgetter(0))
    flags = []
    if len(costs) > 1 and any(priced != cost and row.model != dearest.model for priced, row in costs):
        flags.append(FLAG_SERVED_MODEL)
    reported = usage.provider_cost_pico
    if reported is not None and circumstances.billed:
        differs = abs(cost - reported) > cost * PROVIDER_COST_TOLERANCE
        if differs:
            flags.append(FLAG_PROVIDER_COST)
        least = cost if is_custom(dearest.row_id) else 0
        cost = _with_providers(cost, reported) if differs else max(reported, least)
    if usage.unknown_keys:
        flags.append(FLAG_UNKNOWN_KEY)
        cost = max(cost, reserved_pico) if strict else cost
    return Settlement(cost_pico=cost, row_id=dearest.row_id, flags=tuple(flags))


def _with_providers(cost: int, reported: int) -> int:
    """The larger of two bills that differ; ours where the provider's cannot be in dollars, but never for nothing."""
    return cost if 0 < cost * ANOTHER_UNIT_FACTOR <= reported else max(cost, reported)


def _own_cost_pico(row: PriceRow, usage: Usage, circumstances: Circumstances) -> int:
    if not circumstances.billed:
        return 0
    rates = row.rates(circumstances.tier, usage.total_input)
    factor = row.multiplier(circumstances.speed, circumstances.geo, circumstances.geo_multiplier)
    fees_pico = row.call_pico
    if usage.tools:
        fees_pico += sum(row.tool_fee(name) * count for name, count in usage.tools.items() if count)
    tokens_pico = _tokens_pico(rates, usage)
    if factor == 1 and not usage.duration_ms:
        return tokens_pico + fees_pico
    numerator = tokens_pico * MS_PER_HOUR + _hour_rate(rates, usage.duration_ms) * usage.duration_ms
    return divide_up(numerator * factor.numerator, MS_PER_HOUR * factor.denominator) + fees_pico


def _tokens_pico(rates: Rates, usage: Usage) -> int:
    total_pico = 0
    for bucket, count, rate in zip(TOKEN_BUCKETS, usage.counts, rates.per_token, strict=True):
        if count:
            if rate is None:
                raise UnpricedFeature(f"{bucket} tokens")
            total_pico += count * rate
    return total_pico


def _hour_rate(rates: Rates, duration_ms: int) -> int:
    if not duration_ms:
        return 0
    if rates.hour is None:
        raise UnpricedFeature("duration")
    return rates.hour
