"""RESERVE: the most a call can cost, known before it is forwarded, by docs/pricing.md."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from accounts.records import record
from agents.money import divide_up
from agents.pricing.cost import MS_PER_HOUR
from agents.pricing.rows import PriceRow, Rates, UnpricedFeature
from agents.pricing.usage import Bound

OUTPUT_TOKENS_MAX = 2**31 - 1


@record()
class _Worst:
    """One row and tier: pico-dollars before output (a rational), the output rate, and the factor on it."""

    fixed_pico: Fraction
    output_rate: int
    output_factor: Fraction


def ceiling_pico(rows: Sequence[PriceRow], bound: Bound, tiers: Iterable[str], speed: str, geo: str) -> int:
    """The most the call can cost in pico-dollars, over every row and tier that may come to apply.

    rows: PriceBook.rows_between; tiers: the requested one and "default".
    """
    return max(
        divide_up(total.numerator, total.denominator)
        for worst in _worst_cases(rows, bound, tiers, speed, geo)
        for total in [worst.fixed_pico + bound.output_tokens * worst.output_rate * worst.output_factor]
    )


def affordable_output(
    rows: Sequence[PriceRow], bound: Bound, tiers: Iterable[str], speed: str, geo: str, available_pico: int
) -> int:
    """How many output tokens an amount buys beside the rest of the bound; 0 when not even the input fits.

    bound: its output_tokens are not looked at.
    """
    with_output = replace(bound, output_tokens=1)
    affordable = []
    for worst in _worst_cases(rows, with_output, tiers, speed, geo):
        left_pico = available_pico - worst.fixed_pico
        if left_pico < 0:
            return 0
        per_token = worst.output_rate * worst.output_factor
        if per_token:
            affordable.append(left_pico // per_token)
    # Where output is free in every row, any number of tokens fits.
    return min(affordable, default=OUTPUT_TOKENS_MAX)


def tokens_max(rows: Sequence[PriceRow], bound: Bound) -> tuple[int, int]:
    """Tokens that the call can read and write at most, what hosted tools feed back included.

    rows: as for ceiling_pico; without any, nothing is known beyond the bound. Raises UnpricedFeature.
    """
    worst = [_input_worst(row, bound) for row in rows] or [(bound.input_tokens, 1)]
    passes = max(passes for _, passes in worst)
    return max(tokens for tokens, _ in worst), bound.output_tokens * passes


def _worst_cases(
    rows: Sequence[PriceRow], bound: Bound, tiers: Iterable[str], speed: str, geo: str
) -> Iterator[_Worst]:
    wanted = tuple(dict.fromkeys(tiers))
    for row in rows:
        factor = row.multiplier(speed, geo)
        input_tokens, passes = _input_worst(row, bound)
        fees_pico = row.call_pico + sum(row.tool_fee(name) * cap for name, cap in bound.tools.items())
        for tier in wanted:
            rates = row.rates(tier, input_tokens)
            fixed = (_input_pico(rates, bound, input_tokens) + _media_pico(rates, bound)) * factor + fees_pico
            yield _Worst(
                fixed_pico=fixed,
                output_rate=_output_rate(rates, bound) if bound.output_tokens else 0,
                output_factor=factor * passes,
            )


def _input_worst(row: PriceRow, bound: Bound) -> tuple[int, int]:
    """Input tokens at most, and how often the output cap can be used.

    A hosted tool feeds its result back, so every step may read a full window. OpenAI's cap spans all
    steps; whether Anthropic's does is not stated, so it counts once for each.
    """
    if not bound.tools:
        return bound.input_tokens, 1
    if row.input_limit is None:
        raise UnpricedFeature("hosted tools on a model without a known input window")
    steps = sum(bound.tools.values()) + 1
    return max(bound.input_tokens, steps * row.input_limit), steps if row.provider == "anthropic" else 1


def _input_pico(rates: Rates, bound: Bound, input_tokens: int) -> int:
    if not input_tokens:
        return 0
    # A cache write may be dearer than plain input and the provider may write unasked.
    candidates = [_needed(rates.input, "input tokens"), rates.cache_read, rates.cache_write]
    if bound.cache_ttl_long:
        candidates.append(_needed(rates.cache_write_long, "long cache lifetime"))
    if bound.has_audio_input:
        candidates += [_needed(rates.audio_input, "audio input"), rates.audio_cache_read]
    if bound.has_image_input:
        candidates += [_needed(rates.image_input, "image input"), rates.image_cache_read]
    return input_tokens * max(rate for rate in candidates if rate is not None)


def _media_pico(rates: Rates, bound: Bound) -> Fraction:
    total = Fraction(0)
    if bound.characters:
        total += bound.characters * _needed(rates.characters, "characters")
    if bound.duration_ms:
        total += Fraction(bound.duration_ms * _needed(rates.hour, "duration"), MS_PER_HOUR)
    return total


def _output_rate(rates: Rates, bound: Bound) -> int:
    candidates = []
    if bound.has_audio_output:
        candidates.append(_needed(rates.audio_output, "audio output"))
    if bound.has_image_output:
        candidates.append(_needed(rates.image_output, "image output"))
    if rates.output is not None or not candidates:
        candidates.append(_needed(rates.output, "output tokens"))
    return max(candidates)


def _needed(rate: int | None, feature: str) -> int:
    if rate is None:
        raise UnpricedFeature(feature)
    return rate
