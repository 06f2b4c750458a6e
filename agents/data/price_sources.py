"""Read the two public price lists into one plain form: dollars per million tokens, by tier and bucket.

Used only by `./dev pricebook`; no page and no call imports it. Neither list is a dependency: both come as wheels.
"""

import importlib
import json
import math
import re
import sys
import types
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

Prices = dict[str, Decimal]
# Prices under "rates" and, for long contexts, under "long" beside the threshold "gt".
Tier = dict[str, Any]

MILLION = Decimal(1_000_000)
HOUR = Decimal(3_600)
LITELLM_JSON = "litellm/model_prices_and_context_window_backup.json"
GENAI_BUCKETS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_long",
    "output_mtok": "output",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "audio_cache_read",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
    "cache_image_read_mtok": "image_cache_read",
    "output_image_mtok": "image_output",
    "input_mchars": "characters",
    "audio_hours": "hour",
    "input_audio_hours": "hour",
}
GENAI_FEES = {"web_searches_kcount": "web_search", "storage_searches_kcount": "file_search"}
GENAI_TIERS = {
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "batch": {"processing": "batch"},
}
LITELLM_BUCKETS = {
    "input_cost_per_token": ("input", MILLION),
    "output_cost_per_token": ("output", MILLION),
    "cache_read_input_token_cost": ("cache_read", MILLION),
    "cache_creation_input_token_cost": ("cache_write", MILLION),
    "cache_creation_input_token_cost_above_1hr": ("cache_write_long", MILLION),
    "cache_creation_input_token_cost_above_12hr": ("cache_write_long", MILLION),
    "input_cost_per_audio_token": ("audio_input", MILLION),
    "cache_read_input_audio_token_cost": ("audio_cache_read", MILLION),
    "output_cost_per_audio_token": ("audio_output", MILLION),
    "input_cost_per_image_token": ("image_input", MILLION),
    "cache_read_input_image_token_cost": ("image_cache_read", MILLION),
    "output_cost_per_image_token": ("image_output", MILLION),
    "input_cost_per_character": ("characters", MILLION),
    "input_cost_per_second": ("hour", HOUR),
}
LITELLM_KEY = re.compile(r"(?P<base>.+?)(?:_above_(?P<long>\d+)k_tokens)?(?:_(?P<tier>flex|priority|batches))?")
LITELLM_KINDS = {
    "chat": "chat",
    "responses": "chat",
    "completion": "completion",
    "embedding": "embedding",
    "moderation": "moderation",
    "realtime": "realtime",
    "audio_speech": "speech",
    "audio_transcription": "transcription",
    "image_generation": "image",
}


class BrokenSource(Exception):
    """A list that cannot be read or holds what no provider would charge; the book stays as it is."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.source = source
        self.problem = problem


class Litellm:
    """litellm's price list, as shipped in its wheel: today's prices and the limits."""

    def __init__(self, wheel: Path) -> None:
        self.version = _version(wheel)
        try:
            with zipfile.ZipFile(wheel) as archive:
                entries = json.loads(archive.read(LITELLM_JSON))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise BrokenSource("litellm", str(error)) from error
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise BrokenSource("litellm", "is not a table of models")
        self.entries: dict[str, dict[str, Any]] = entries

    def ids(self, owners: list[str], prefix: str) -> Iterator[str]:
        """Model ids of a provider, without the prefix of its keys."""
        for key, entry in self.entries.items():
            if entry.get("litellm_provider") in owners and entry.get("mode") in LITELLM_KINDS:
                if prefix:
                    if key.startswith(prefix):
                        yield key.removeprefix(prefix)
                elif "/" not in key:
                    yield key

    def all_ids(self, owners: list[str], prefix: str) -> set[str]:
        """Every id of a provider, whatever its kind."""
        return {
            key.removeprefix(prefix) for key, entry in self.entries.items() if entry.get("litellm_provider") in owners
        }

    def entry(self, key: str) -> dict[str, Any] | None:
        """What the list says of a model, if anything."""
        return self.entries.get(key)


def litellm_tiers(entry: dict[str, Any]) -> dict[str, Tier]:
    """The tiers of a litellm entry; a price of nought there means none is known."""
    tiers: dict[str, Tier] = {}
    for key, value in entry.items():
        match = LITELLM_KEY.fullmatch(key)
        if match is None or match["base"] not in LITELLM_BUCKETS or not isinstance(value, int | float):
            continue
        bucket, units = LITELLM_BUCKETS[match["base"]]
        if not value and entry.get("mode") != "moderation":
            continue
        if not 0 <= value < math.inf:
            raise BrokenSource("litellm", f"{key} is {value}")
        tier = tiers.setdefault({None: "default", "batches": "batch"}.get(match["tier"], match["tier"]), {"rates": {}})
        rates = tier["rates"]
        if match["long"]:
            rates = tier.setdefault("long", {"gt": int(match["long"]) * 1000, "rates": {}})["rates"]
        rates[bucket] = _plain(Decimal(repr(value)) * units)
    return tiers


def litellm_fees(entry: dict[str, Any]) -> Prices:
    """Dollars per 1,000 calls of hosted tools, the dearest where it depends on how much they read."""
    searches = entry.get("search_context_cost_per_query") or {}
    fees = {"web_search": _plain(Decimal(repr(max(searches.values()))) * 1000)} if searches else {}
    if entry.get("file_search_cost_per_1k_calls"):
        fees["file_search"] = _plain(Decimal(repr(entry["file_search_cost_per_1k_calls"])))
    return {name: fee for name, fee in fees.items() if fee}


class Genai:
    """genai-prices' list: dated prices, tiers and aliases."""

    def __init__(self, wheel: Path) -> None:
        self.version = _version(wheel)
        self.providers = {provider.id: provider for provider in _genai_data(wheel).providers}

    def find(self, provider: str, model: str) -> Any | None:
        """The first model of a provider that claims the id."""
        models = self.providers[provider].models
        return next((known for known in models if known.is_match(model)), None)

    def ids(self, provider: str) -> Iterator[str]:
        """Ids named one by one there; patterns name none."""
        for model in self.providers[provider].models:
            if model.is_match(model.id):
                yield model.id
            clauses = getattr(model.match, "or_", [model.match])
            yield from (clause.equals for clause in clauses if hasattr(clause, "equals"))

    def all_ids(self, provider: str) -> set[str]:
        """Every id that is named one by one, also of families that match no request."""
        return {*self.ids(provider), *(model.id for model in self.providers[provider].models)}


def _genai_data(wheel: Path) -> Any:
    """The wheel's module of data, without its package's own beginning: that needs an HTTP client."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "genai_prices"]:
        del sys.modules[name]
    package = types.ModuleType("genai_prices")
    package.__path__ = [f"{wheel}/genai_prices"]
    sys.modules["genai_prices"] = package
    try:
        importlib.invalidate_caches()
        data = importlib.import_module("genai_prices.data")
        assert data.providers
    except Exception as error:
        # Somebody else's code: whatever it raises, the list is not to be used.
        raise BrokenSource("genai-prices", f"cannot be read: {error!r}") from error
    return data


def genai_periods(model: Any, today: datetime) -> Iterator[tuple[str | None, str | None, datetime]]:
    """(since, until, a moment inside) of each dated price of a model, oldest first."""
    starts: list[str | None] = [None]
    if isinstance(model.prices, list):
        dates = [getattr(price.constraint, "start_date", None) for price in model.prices]
        starts += sorted(date.isoformat() for date in dates if date)
    for since, until in zip(starts, [*starts[1:], None], strict=True):
        moment = today
        if since and datetime.fromisoformat(since).replace(tzinfo=UTC) > today:
            moment = datetime.fromisoformat(since).replace(tzinfo=UTC)
        elif until and datetime.fromisoformat(until).replace(tzinfo=UTC) <= today:
            moment = datetime.fromisoformat(until).replace(tzinfo=UTC) - timedelta(days=1)
        yield since, until, moment


def genai_tiers(model: Any, moment: datetime) -> dict[str, Tier]:
    """The tiers of a genai-prices model at a moment; only what a tier states itself."""
    tiers = {"default": _genai_tier(model.get_prices(moment).__dict__)}
    for name, wanted in GENAI_TIERS.items():
        stated: dict[str, Any] = {}
        for variant in model.price_variants or ():
            active = variant.constraint is None or variant.constraint.active(moment)
            if active and variant.when == wanted:
                stated = {key: price for key, price in variant.prices.__dict__.items() if price is not None} | stated
        if stated:
            tiers[name] = _genai_tier(stated)
    return tiers


def genai_fees(model: Any, moment: datetime) -> Prices:
    """Dollars per 1,000 calls of hosted tools."""
    prices = model.get_prices(moment).__dict__
    return {name: prices[key] for key, name in GENAI_FEES.items() if prices.get(key)}


def genai_fast(model: Any, moment: datetime) -> Decimal | None:
    """The factor of fast mode, which must be the same on every price."""
    standard = model.get_prices(moment).__dict__
    factors = {
        _plain(price / standard[key])
        for variant in model.price_variants or ()
        if variant.when == {"speed": "fast"}
        for key, price in variant.prices.__dict__.items()
        if price is not None
    }
    if len(factors) > 1:
        raise ValueError(f"{model.id}: fast mode has several factors {factors}")
    return next(iter(factors), None)


def _genai_tier(prices: dict[str, Any]) -> Tier:
    tier: Tier = {"rates": {}}
    for key, price in prices.items():
        bucket = GENAI_BUCKETS.get(key)
        if bucket is None or price is None:
            continue
        if not hasattr(price, "base"):
            tier["rates"][bucket] = _plain(price)
            continue
        if len(price.tiers) != 1:
            raise ValueError(f"{key} has {len(price.tiers)} thresholds")
        tier["rates"][bucket] = _plain(price.base)
        long = tier.setdefault("long", {"gt": price.tiers[0].start, "rates": {}})
        if long["gt"] != price.tiers[0].start:
            raise ValueError(f"{key} has a threshold of its own")
        long["rates"][bucket] = _plain(price.tiers[0].price)
    return tier


def _plain(price: Decimal) -> Decimal:
    """Without the noise of binary fractions: twelve significant digits, six places after the point."""
    return Decimal(f"{price:.12g}").quantize(Decimal("0.000001")).normalize()


def _version(wheel: Path) -> str:
    """As the name of a wheel says it."""
    parts = wheel.name.split("-")
    if wheel.suffix != ".whl" or len(parts) < 3:
        raise BrokenSource(wheel.name, "is not a wheel")
    return parts[1]
