"""What was used, under which circumstances, and what a call may use at most."""

from collections.abc import Mapping
from dataclasses import field
from fractions import Fraction

from accounts.records import record

# The order of the per-token rates of agents.pricing.rows.Rates follows this one.
TOKEN_BUCKETS = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_long",
    "output",
    "audio_input",
    "audio_cache_read",
    "audio_output",
    "image_input",
    "image_cache_read",
    "image_output",
    "characters",
)


@record()
class Usage:
    """Measured use in disjoint buckets: no token is in two of them.

    reasoning: tokens that are already part of `output`, for show only.
    tools: calls of hosted tools by fee name.
    provider_cost_pico: the provider's own bill for the call, where it states one.
    unknown_keys: usage keys we do not know and that look like money.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_long: int = 0
    output: int = 0
    audio_input: int = 0
    audio_cache_read: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_cache_read: int = 0
    image_output: int = 0
    characters: int = 0
    duration_ms: int = 0
    reasoning: int = 0
    tools: Mapping[str, int] = field(default_factory=dict)
    provider_cost_pico: int | None = None
    unknown_keys: tuple[str, ...] = ()

    @property
    def total_input(self) -> int:
        """All tokens the model read, cached or not; long-context thresholds are tested on this."""
        return (
            self.input
            + self.cache_read
            + self.cache_write
            + self.cache_write_long
            + self.audio_input
            + self.audio_cache_read
            + self.image_input
            + self.image_cache_read
        )

    @property
    def total_output(self) -> int:
        """All tokens the model produced."""
        return self.output + self.audio_output + self.image_output

    @property
    def total_tokens(self) -> int:
        """All tokens read and produced."""
        return self.total_input + self.total_output

    @property
    def counts(self) -> tuple[int, ...]:
        """The buckets in the order of TOKEN_BUCKETS."""
        return (
            self.input,
            self.cache_read,
            self.cache_write,
            self.cache_write_long,
            self.output,
            self.audio_input,
            self.audio_cache_read,
            self.audio_output,
            self.image_input,
            self.image_cache_read,
            self.image_output,
            self.characters,
        )


@record()
class Circumstances:
    """What moves the price but is not a quantity, in our words.

    tier: "default", "flex", "batch", "priority" or another tier's own name.
    speed: "standard" or "fast".
    geo: "global", "us" or "eu"; geo_multiplier, when given, replaces the row's own for it.
    billed: False for a call the provider does not charge although it reports usage.
    """

    tier: str = "default"
    speed: str = "standard"
    geo: str = "global"
    geo_multiplier: Fraction | None = None
    billed: bool = True


@record()
class Bound:
    """The most a call can use, known before it is forwarded.

    output_tokens: the cap upstream, already times `n`; 0 where nothing is generated.
    cache_ttl_long: the request may write the cache at the long lifetime (Anthropic 1 h, OpenAI 12 h).
    has_*: parts of that kind can occur, so their rate counts.
    tools: calls at most, by fee name, of the hosted tools the request enables.
    """

    input_tokens: int
    output_tokens: int
    characters: int = 0
    duration_ms: int = 0
    cache_ttl_long: bool = False
    has_audio_input: bool = False
    has_audio_output: bool = False
    has_image_input: bool = False
    has_image_output: bool = False
    tools: Mapping[str, int] = field(default_factory=dict)
