"""RESERVE: the most a call can cost, known before it is forwarded, by docs/pricing.md."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil

from accounts.records import record
from agents.pricing.cost import MS_PER_HOUR
from agents.pricing.rows import PriceRow, Rates, UnpricedFeature
from agents.pricing.usage import Bound

OUTPUT_TOKENS_MAX = 2**31 - 1


@record()
class _Worst:
    """One row and tier: pico-dollars before output and for each token of it; rational, whole numbers where they are."""

    fixed_pico: int | Fraction
    output_pico: int | Fraction


def ceiling_pico(rows: Sequence[PriceRow], bound: Bound, tiers: Sequence[str], speed: str, geo: str) -> int:
    """The most the call can cost in pico-dollars, over every row and tier that may come to apply.

    rows: PriceBook.rows_between; tiers: the requested one and "default".
    """
    worst_cases = _worst_cases(rows, bound, tiers, speed, geo)
    return max([ceil(worst.fixed_pico + bound.output_tokens * worst.output_pico) for worst in worst_cases])


def affordable_output(
    rows: Sequence[PriceRow], bound: Bound, tiers: Sequence[str], speed: str, geo: str, available_pico: int
) -> int:
    """How many output tokens an amount buys beside the rest of the bound; 0 when not even the input fits.

    bound: its output_tokens are not looked at.
    """
    with_output = bound if bound.output_tokens else replace(bound, output_tokens=1)
    affordable = []
    for worst in _worst_cases(rows, with_output, tiers, speed, geo):
        left_pico = available_pico - worst.fixed_pico
        if left_pico < 0:
            return 0
        if worst.output_pico:
            affordable.append(left_pico // worst.output_pico)
    # Where output is free in every row, any number of tokens fits.
    return min(affordable, default=OUTPUT_TOKENS_MAX)


def tokens_max(rows: Sequence[PriceRow], bound: Bound) -> tuple[int, int]:
    """Tokens that the call can read and write at most, what hosted tools feed back included.

    rows: as for ceiling_pico; without any, nothing is known beyond the bound. Raises UnpricedFeature.
    """
    if not bound.tools:
        return bound.input_tokens, bound.output_tokens
    worst = [_input_worst(row, bound) for row in rows] or [(bound.input_tokens, 1)]
    passes = max(passes for _, passes in worst)
    return max(tokens for tokens, _ in worst), bound.output_tokens * passes


def _worst_cases(
    rows: Sequence[PriceRow], bound: Bound, tiers: Sequence[str], speed: str, geo: str
) -> Iterator[_Worst]:
    for row in rows:
        factor = row.multiplier(speed, geo)
        input_tokens, passes = _input_worst(row, bound)
        fees_pico = row.call_pico
        if bound.tools:
            fees_pico += sum(row.tool_fee(name) * cap for name, cap in bound.tools.items())
        for tier in tiers:
            rates = row.rates(tier, input_tokens)
            fixed_pico: int | Fraction = _input_pico(rates, bound, input_tokens)
            if bound.characters or bound.duration_ms:
                fixed_pico += _media_pico(rates, bound)
            output_pico = _output_rate(rates, bound) * factor * passes if bound.output_tokens else 0
            yield _Worst(fixed_pico * factor + fees_pico, output_pico)


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
    most = max(_needed(rates.input, "input tokens"), rates.cache_read or 0, rates.cache_write or 0)
    if bound.cache_ttl_long:
        most = max(most, _needed(rates.cache_write_long, "long cache lifetime"))
    if bound.has_audio_input:
        most = max(most, _needed(rates.audio_input, "audio input"), rates.audio_cache_read or 0)
    if bound.has_image_input:
        most = max(most, _needed(rates.image_input, "image input"), rates.image_cache_read or 0)
    return input_tokens * most


def _media_pico(rates: Rates, bound: Bound) -> int | Fraction:
    characters_pico = bound.characters * _needed(rates.characters, "characters") if bound.characters else 0
    if not bound.duration_ms:
        return characters_pico
    return characters_pico + Fraction(bound.duration_ms * _needed(rates.hour, "duration"), MS_PER_HOUR)


def _output_rate(rates: Rates, bound: Bound) -> int:
    if not (bound.has_audio_output or bound.has_image_output):
        return _needed(rates.output, "output tokens")
    most = rates.output or 0
    if bound.has_audio_output:
        most = max(most, _needed(rates.audio_output, "audio output"))
    if bound.has_image_output:
        most = max(most, _needed(rates.image_output, "image output"))
    return most


def _needed(rate: int | None, feature: str) -> int:
    if rate is None:
        raise UnpricedFeature(feature)
    return rate
