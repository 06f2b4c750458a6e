"""A row of the price book, compiled to whole pico-dollars per unit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from agents.pricing.usage import TOKEN_BUCKETS


class UnpricedFeature(Exception):
    """The row has no price for something the call uses; refused rather than counted as free."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Rates:
    """Pico-dollars per token (or character), by bucket; None where no price is known.

    hour: pico-dollars per hour of audio.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_long: int | None = None
    output: int | None = None
    audio_input: int | None = None
    audio_cache_read: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_cache_read: int | None = None
    image_output: int | None = None
    characters: int | None = None
    hour: int | None = None
    per_token: tuple[int | None, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "per_token", tuple(getattr(self, name) for name in TOKEN_BUCKETS))


@dataclass(frozen=True, slots=True)
class TierRates:
    """The rates of one service tier.

    long_from: total input tokens from which `long` prices the whole call.
    """

    short: Rates
    long: Rates | None = None
    long_from: int = 0

    def at(self, total_input: int) -> Rates:
        """The rates for a call that reads this many tokens."""
        if self.long is not None and total_input >= self.long_from:
            return self.long
        return self.short


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The price of one model of one provider between two moments.

    since_at, until_at: from and up to but not including; None is without end.
    recheck_after_at: the provider promised the price no longer than this.
    input_limit, output_limit: tokens the model takes and gives at most, where known.
    tools: pico-dollars per call of a hosted tool.
    call_pico: pico-dollars for the call itself, whatever it uses.
    offpeak: this is the cheaper off-peak form of a row; never used to reserve.
    """

    provider: str
    model: str
    row_id: str
    kind: str
    tiers: Mapping[str, TierRates]
    since_at: datetime | None = None
    until_at: datetime | None = None
    recheck_after_at: datetime | None = None
    input_limit: int | None = None
    output_limit: int | None = None
    speeds: Mapping[str, Fraction] = field(default_factory=dict)
    geos: Mapping[str, Fraction] = field(default_factory=dict)
    tools: Mapping[str, int] = field(default_factory=dict)
    call_pico: int = 0
    offpeak: bool = False

    def rates(self, tier: str, total_input: int) -> Rates:
        """The rates of a tier for a call that reads this many tokens."""
        tier_rates = self.tiers.get(tier)
        if tier_rates is None:
            raise UnpricedFeature(f"service tier {tier}")
        return tier_rates.at(total_input)

    def multiplier(self, speed: str, geo: str, geo_multiplier: Fraction | None = None) -> int | Fraction:
        """The factor of speed and place on every token: a whole 1 in the usual case, so that costs stay whole too."""
        if speed == "standard" and geo == "global" and geo_multiplier is None:
            return 1
        factor = Fraction(1) if speed == "standard" else _known(self.speeds, f"speed {speed}", speed)
        if geo_multiplier is not None:
            return factor * geo_multiplier
        return factor if geo == "global" else factor * _known(self.geos, f"region {geo}", geo)

    def tool_fee(self, name: str) -> int:
        """Pico-dollars for one call of a hosted tool."""
        fee = self.tools.get(name)
        if fee is None:
            raise UnpricedFeature(f"tool {name}")
        return fee


def _known(factors: Mapping[str, Fraction], feature: str, key: str) -> Fraction:
    factor = factors.get(key)
    if factor is None:
        raise UnpricedFeature(feature)
    return factor
