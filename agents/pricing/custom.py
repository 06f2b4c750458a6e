"""An organisation's own rate of a model as a row that prices calls (docs/pricing.md, "Your own rates")."""

from uuid import UUID

from agents.money import divide_up
from agents.pricing.dated import TOKENS_PER_RATE
from agents.pricing.rows import PriceRow, Rates, TierRates

_PREFIX = "custom/"


def custom_row(
    rate_id: UUID,
    provider: str,
    model: str,
    *,
    input_pico: int,
    output_pico: int,
    cache_read_pico: int | None = None,
    cache_write_pico: int | None = None,
    call_pico: int = 0,
    output_limit: int | None = None,
) -> PriceRow:
    """Return the row of a rate: amounts in pico-dollars per million tokens, and per call.

    A cache price left out is that of input; one price holds for every cache lifetime (metering.md 4.2). Nothing else
    has a price: no other tier, speed, place, tool or kind of media, so that a call which needs one is refused.
    output_limit: tokens the model gives at most, where the price list knows it.
    """
    rate = _per_token(input_pico)
    cache_read = rate if cache_read_pico is None else _per_token(cache_read_pico)
    cache_write = rate if cache_write_pico is None else _per_token(cache_write_pico)
    rates = Rates(
        input=rate,
        cache_read=cache_read,
        cache_write=cache_write,
        cache_write_long=cache_write,
        output=_per_token(output_pico),
    )
    return PriceRow(
        provider=provider,
        model=model,
        row_id=row_id_of(rate_id),
        kind="custom",
        tiers={"default": TierRates(rates)},
        output_limit=output_limit,
        call_pico=call_pico,
    )


def is_custom(row_id: str) -> bool:
    """Whether a row is of an organisation's own rate and not of the price book."""
    return row_id.startswith(_PREFIX)


def row_id_of(rate_id: UUID) -> str:
    """The id of a rate's row, as the book keeps it with each call."""
    return f"{_PREFIX}{rate_id}"


def rate_id_of(row_id: str) -> UUID:
    """The rate behind a row; raises ValueError for what is no such row."""
    return UUID(row_id.removeprefix(_PREFIX))


def _per_token(pico: int) -> int:
    """Rates are whole pico-dollars a token where people set them; anything finer counts in full."""
    return divide_up(pico, TOKENS_PER_RATE)
