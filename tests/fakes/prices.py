"""The provider fake's own price table and arithmetic, kept apart from ours so that the two can disagree."""

from dataclasses import dataclass
from decimal import Decimal

MILLION = Decimal(1_000_000)

# Dollars per million tokens: input, cache read, cache write, long cache write, output.
TABLE: dict[str, tuple[str, str, str, str, str]] = {
    "gpt-4o": ("2.50", "1.25", "2.50", "2.50", "10"),
    "gpt-4o-mini": ("0.15", "0.075", "0.15", "0.15", "0.60"),
    "gpt-4.1": ("2", "0.50", "2", "2", "8"),
    "gpt-5": ("1.25", "0.125", "1.25", "1.25", "10"),
    "gpt-5-mini": ("0.25", "0.025", "0.25", "0.25", "2"),
    "gpt-6.1-sol": ("2", "0.10", "2.50", "5", "10"),
    "gpt-6-luna": ("0.10", "0.01", "0.125", "0.25", "0.50"),
    "acme-support-70b": ("0.25", "0.25", "0.25", "0.25", "1"),  # ours, in no public price list
    "acme-free-7b": ("0", "0", "0", "0", "0"),
    "acme-golden-1b": ("1000", "1000", "1000", "1000", "0"),
    "gpt-3.5-turbo-instruct": ("1.50", "1.50", "1.50", "1.50", "2"),
    "davinci-002": ("2", "2", "2", "2", "2"),
    "text-embedding-3-small": ("0.02", "0.02", "0.02", "0.02", "0"),
    "text-embedding-3-large": ("0.13", "0.13", "0.13", "0.13", "0"),
    "gpt-image-1-mini": ("2", "0.20", "2", "2", "8"),
    "gpt-image-1.5": ("5", "1.25", "5", "5", "10"),
    "tts-1": ("0", "0", "0", "0", "0"),
    "tts-1-hd": ("0", "0", "0", "0", "0"),
    "whisper-1": ("0", "0", "0", "0", "0"),
    "gpt-transcribe": ("0", "0", "0", "0", "0"),
    "gpt-3.5-turbo": ("0.50", "0.50", "0.50", "0.50", "1.50"),
    "claude-opus-5-5": ("4", "0.20", "5", "8", "20"),
    "claude-opus-4-8": ("5", "0.50", "6.25", "10", "25"),
    "claude-sonnet-4-6": ("3", "0.30", "3.75", "6", "15"),
    "claude-haiku-4-5": ("1", "0.10", "1.25", "2", "5"),
    "claude-3-haiku": ("0.25", "0.03", "0.30", "0.50", "1.25"),
    "gemini-2.5-flash": ("0.30", "0.03", "0.30", "0.30", "2.50"),
    "gemini-3.5-flash": ("1.50", "0.15", "1.50", "1.50", "9"),
    "gemini-embedding-001": ("0.15", "0.15", "0.15", "0.15", "0"),
}
# Dollars for a million tokens of images read and made, for a million characters, for an hour.
MEDIA: dict[str, dict[str, str]] = {
    "gpt-image-1-mini": {"image_input": "2.50", "image_output": "8"},
    "gpt-image-1.5": {"image_input": "8", "image_output": "32"},
    "tts-1": {"characters": "15"},
    "tts-1-hd": {"characters": "30"},
    "whisper-1": {"seconds": "0.36"},
    "gpt-transcribe": {"seconds": "0.27"},
}
SECONDS_PER_HOUR = 3_600
# The id that an answer names where it is not the one that was asked for.
SNAPSHOTS = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
}
SEARCH_USD = Decimal("0.01")
PREVIEW_USD = Decimal("0.025")  # of a search by its preview, on models that do not reason
FACTORS = {"fast": Decimal(2), "us": Decimal("1.1")}


@dataclass(frozen=True)
class Tokens:
    """What a call used, in disjoint parts. reasoning is a part of output.

    searches: billed beside tokens; previews: as many of them as are dearer.
    """

    fresh: int
    output: int
    cached: int = 0
    written: int = 0
    written_long: int = 0
    reasoning: int = 0
    searches: int = 0
    previews: int = 0
    image_input: int = 0
    image_output: int = 0
    characters: int = 0
    seconds: int = 0

    @property
    def total_input(self) -> int:
        """All input tokens."""
        return self.fresh + self.cached + self.written + self.written_long


def knows(model: str) -> bool:
    """Whether the fake serves the model."""
    return _base(model) in TABLE


def cost_usd(model: str, tokens: Tokens, factors: tuple[str, ...] = ()) -> Decimal:
    """The exact cost in dollars."""
    counts = (tokens.fresh, tokens.cached, tokens.written, tokens.written_long, tokens.output)
    rates = TABLE[_base(model)]
    total = (
        sum((Decimal(count) * Decimal(rate) for count, rate in zip(counts, rates, strict=True)), Decimal(0)) / MILLION
    )
    for factor in factors:
        total *= FACTORS.get(factor, Decimal(1))
    return (
        total + tokens.searches * SEARCH_USD + tokens.previews * (PREVIEW_USD - SEARCH_USD) + _media_usd(model, tokens)
    )


def dearest(model: str, input_tokens: int, output_tokens: int) -> Tokens:
    """Tokens that cost the most: where a cache write is dearer than plain input, all input is written."""
    fresh, _, written, _, _ = (Decimal(rate) for rate in TABLE[_base(model)])
    if written > fresh:
        return Tokens(fresh=0, written=input_tokens, output=output_tokens)
    return Tokens(fresh=input_tokens, output=output_tokens)


def _media_usd(model: str, tokens: Tokens) -> Decimal:
    return sum(
        (
            getattr(tokens, name) * Decimal(rate) / (SECONDS_PER_HOUR if name == "seconds" else MILLION)
            for name, rate in MEDIA.get(model, {}).items()
        ),
        Decimal(0),
    )


def _base(model: str) -> str:
    return next((name for name, snapshot in SNAPSHOTS.items() if model == snapshot), model)
