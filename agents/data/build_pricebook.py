"""Makes the rows of pricebook.json from two public price lists and overrides.toml; `./dev pricebook` runs it.

Says where the lists disagree about a price in a way that disagreements.toml does not decide, and which ids of the
built-in providers have neither a row nor an exclusion.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any

from agents.data.price_sources import (
    LITELLM_KINDS,
    Genai,
    Litellm,
    Tier,
    genai_fast,
    genai_fees,
    genai_periods,
    genai_tiers,
    litellm_fees,
    litellm_tiers,
)
from agents.data.soundness import uncovered, unsound
from agents.pricebook import PriceBook
from agents.pricing.dated import InvalidRow, dated_row

HERE = Path(__file__).parent
Row = dict[str, Any]
BUILT_IN = ("openai", "anthropic", "google")
SMALLEST = Decimal("0.000001")  # dollars per million tokens that make one pico-dollar a token


class Builder:
    """Merges the lists, provider by provider."""

    def __init__(self, litellm: Litellm, genai: Genai, on: str) -> None:
        self.litellm, self.genai, self.on = litellm, genai, on
        self.today = datetime.fromisoformat(on).replace(tzinfo=UTC)
        self.hand = tomllib.loads((HERE / "overrides.toml").read_text(), parse_float=Decimal)
        self.decisions = tomllib.loads((HERE / "disagreements.toml").read_text())["disagreement"]
        self.exclusions = tomllib.loads((HERE / "exclusions.toml").read_text())["exclusion"]
        self.used: set[int] = set()
        self.undecided: list[str] = []

    def problems(self, rows: list[Row]) -> list[str]:
        """Whatever keeps these rows from becoming the book, sorted."""
        found = [f"undecided {name}" for name in self.undecided]
        found += [f"unsound {problem}" for row in rows for problem in unsound(row)]
        found += [f"unsound {problem}" for problem in uncovered(rows)]
        found += [f"unlisted {name}" for name in self._unlisted(rows)]
        found += [f"not needed: {entry}" for entry in [*self.unused_decisions(), *self._unused_exclusions()]]
        return sorted(found)

    def ids(self) -> dict[str, dict[str, list[str]]]:
        """Every id that the lists name of the built-in providers: provider, list, ids."""
        return {
            provider: {
                "genai-prices": sorted(self.genai.all_ids(source["genai"])),
                "litellm": sorted(self.litellm.all_ids(source["litellm"], source["litellm_prefix"])),
            }
            for provider, source in self.hand["provider"].items()
            if provider in BUILT_IN
        }

    def rows(self) -> list[Row]:
        """All rows, hand-written ones last to be found but first to count."""
        by_hand = {(row["provider"], model) for row in self.hand["row"] for model in row["models"]}
        rows: list[Row] = []
        for provider, source in self.hand["provider"].items():
            for model in sorted(self._ids(provider, source)):
                if (provider, model) not in by_hand:
                    rows += self._model_rows(provider, source, model)
        rows += [_texts(row) | {"verified_on": row.get("verified_on", self.on)} for row in self.hand["row"]]
        return _grouped(rows)

    def unused_decisions(self) -> list[str]:
        """Decisions about differences that no longer exist."""
        return [str(entry) for number, entry in enumerate(self.decisions) if number not in self.used]

    def _unlisted(self, rows: list[Row]) -> Iterator[str]:
        """Ids of the lists that would be refused without anybody having decided so."""
        try:
            book = PriceBook((dated_row(row) for row in rows), version="")
        except InvalidRow as error:
            yield f"nothing can be looked up: {error}"
            return
        for provider, lists in self.ids().items():
            for model in sorted({model for ids in lists.values() for model in ids}):
                if not book.has(provider, model) and not excluded(self.exclusions, provider, model):
                    yield f"{provider}/{model}: has neither a row nor an exclusion"

    def _unused_exclusions(self) -> Iterator[str]:
        named = {provider: [model for ids in lists.values() for model in ids] for provider, lists in self.ids().items()}
        for entry in self.exclusions:
            if not any(re.search(entry["models"], model) for model in named[entry["provider"]]):
                yield str(entry)

    def _ids(self, provider: str, source: dict[str, Any]) -> set[str]:
        if "only" in source:
            return set(source["only"])
        named = {*self.litellm.ids(source["litellm"], source["litellm_prefix"]), *self.genai.ids(source["genai"])}
        kept = {model for model in named if not excluded(self.exclusions, provider, model)}
        return {re.sub(source["family"], "", model) for model in kept} if "family" in source else kept

    def _model_rows(self, provider: str, source: dict[str, Any], model: str) -> Iterator[Row]:
        key = source["litellm_prefix"] + model
        entry, known = self.litellm.entry(key), self.genai.find(source["genai"], model)
        if known is None or not genai_tiers(known, self.today)["default"]["rates"]:
            if entry is not None and "default" in litellm_tiers(entry):
                yield _texts(self._row(provider, source, model, litellm_tiers(entry), entry))
            return
        newest: Row = {}
        for since, until, moment in reversed(list(genai_periods(known, self.today))):
            tiers = genai_tiers(known, moment)
            if not tiers["default"]["rates"]:
                continue
            if entry is not None and moment == self.today:
                tiers = self._merged(f"{provider}/{model}", tiers, litellm_tiers(entry))
            row = self._row(provider, source, model, tiers, entry)
            fees = genai_fees(known, moment)
            if entry is not None and moment == self.today:
                fees = self._fees(f"{provider}/{model}", fees, litellm_fees(entry))
            row["tools"] = fees | row["tools"]
            fast = genai_fast(known, moment)
            row["multipliers"] |= {"fast": fast} if fast else {}
            row |= {"since": since, "until": until, "family": known.id}
            if moment < self.today:
                row.pop("recheck_after", None)
                # An old price can only come back where the new one was promised for a time.
                if newest.get("recheck_after"):
                    _take_tiers(row, newest)
            newest = newest or row
            yield _texts(row)

    def _row(self, provider: str, source: dict[str, Any], model: str, tiers: dict[str, Tier], entry: Row | None) -> Row:
        entry = entry or {}
        row: Row = {"provider": provider, "models": [model], "kind": LITELLM_KINDS.get(entry.get("mode", ""), "chat")}
        row["limits"] = {"input": entry.get("max_input_tokens"), "output": entry.get("max_output_tokens")}
        own = entry.get("provider_specific_entry", {})
        row["multipliers"] = {
            "us": own.get("us") or entry.get("regional_processing_uplift_multiplier_us"),
            "eu": entry.get("regional_processing_uplift_multiplier_eu"),
            "fast": own.get("fast"),
        }
        row["tools"] = {}
        row["source"], row["verified_on"] = source["page"], self.on
        for rule in self.hand["rule"]:
            if rule["provider"] == provider and re.search(rule["models"], model):
                row |= {name: rule[name] for name in ("kind", "recheck_after") if name in rule}
                tiers = {name: tier for name, tier in tiers.items() if name not in rule.get("without", ())}
                for part in ("limits", "multipliers", "tools"):
                    row[part] |= rule.get(part, {})
                _derive(tiers["default"], rule.get("derive", {}))
                for name, rates in rule.get("rates", {}).items():
                    by_hand = {bucket: Decimal(price) for bucket, price in rates.items()}
                    tiers.setdefault(name, {"rates": {}})["rates"] |= by_hand
        _complete(tiers)
        _price_media(row, tiers, hears=bool(entry.get("supports_audio_input")))
        row |= tiers.pop("default")
        return row | {"tiers": tiers}

    def _merged(self, name: str, genai: dict[str, Tier], litellm: dict[str, Tier]) -> dict[str, Tier]:
        """genai-prices' tiers, with litellm's where they alone have a price or were decided for."""
        merged: dict[str, Tier] = {}
        for tier in {**genai, **litellm}:
            left, right = genai.get(tier, {"rates": {}}), litellm.get(tier, {"rates": {}})
            merged[tier] = {"rates": self._chosen(f"{name} {tier}", left["rates"], right["rates"])}
            if "long" in left or "long" in right:
                merged[tier]["long"] = self._long(f"{name} {tier} long", left.get("long"), right.get("long"))
        return merged

    def _fees(self, name: str, genai: dict[str, Decimal], litellm: dict[str, Decimal]) -> dict[str, Decimal]:
        """genai-prices' fees, held against litellm's; what litellm alone names is not taken: no fee, no tool."""
        chosen = self._chosen(f"{name} fee", genai, litellm)
        return {tool: chosen[tool] for tool in genai}

    def _long(self, name: str, left: Any, right: Any) -> Any:
        if not left or not right:
            return left or right
        threshold = self._chosen(name, {"gt": left["gt"]}, {"gt": right["gt"]})
        return threshold | {"rates": self._chosen(name, left["rates"], right["rates"])}

    def _chosen(self, name: str, left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
        chosen = right | left
        for bucket in left.keys() & right.keys():
            if left[bucket] != right[bucket]:
                decision = self._decision(f"{name} {bucket}")
                if decision is None:
                    self.undecided.append(f"{name} {bucket}: genai-prices {left[bucket]}, litellm {right[bucket]}")
                elif decision == "litellm":
                    chosen[bucket] = right[bucket]
        return chosen

    def _decision(self, what: str) -> str | None:
        for number, entry in enumerate(self.decisions):
            if re.fullmatch(entry["what"], what):
                self.used.add(number)
                return str(entry["use"])
        return None


def excluded(exclusions: list[dict[str, str]], provider: str, model: str) -> bool:
    """Whether somebody decided that the id gets no row."""
    return any(entry["provider"] == provider and re.search(entry["models"], model) for entry in exclusions)


def _derive(default: Tier, factors: dict[str, Any]) -> None:
    """Cache writes and long rates by what the provider says of all its models, where no list says it of this one.

    factors: "cache_write", "long_input" and "long_output" on the short rates, and the threshold "gt".
    """
    rates = default["rates"]
    if "cache_write" in factors:
        rates.setdefault("cache_write", rates["input"] * Decimal(factors["cache_write"]))
    if "gt" in factors and "long" not in default:
        long = {
            bucket: price * Decimal(factors["long_output" if "output" in bucket else "long_input"])
            for bucket, price in rates.items()
        }
        default["long"] = {"gt": factors["gt"], "rates": long}


def _complete(tiers: dict[str, Tier]) -> None:
    """Give every tier a price for each bucket its default has, never below what may be billed."""
    default = tiers["default"]
    for tier in tiers.values():
        if "long" in default:
            long = tier.setdefault("long", {"gt": default["long"]["gt"], "rates": {}})
            _fill(long["rates"], tier["rates"])
        if tier is not default:
            _fill(tier["rates"], default["rates"])
            if "long" in default:
                _fill(tier["long"]["rates"], default["long"]["rates"])


def _fill(rates: dict[str, Decimal], base: dict[str, Decimal]) -> None:
    """Take missing prices from a base, raised by the largest factor known, never lowered."""
    factors = [rates[bucket] / base[bucket] for bucket in rates if base.get(bucket)]
    factor = max([Decimal(1), *factors])
    for bucket in base.keys() - rates.keys():
        rates[bucket] = (base[bucket] * factor).quantize(SMALLEST, rounding=ROUND_UP)


def _price_media(row: Row, tiers: dict[str, Tier], hears: bool) -> None:
    """Write out that a chat model reads images, and Gemini hears, at its text rate unless told otherwise."""
    google = row["provider"] == "google"
    pairs = []
    if google or row["kind"] in ("chat", "completion"):
        pairs += [("image_input", "input"), ("image_cache_read", "cache_read")]
    if google and hears:
        pairs += [("audio_input", "input"), ("audio_cache_read", "cache_read")]
    if row["kind"] == "speech":
        pairs.append(("audio_output", "output"))
    for part in [part for tier in tiers.values() for part in (tier, tier.get("long")) if part]:
        for bucket, like in pairs:
            if like in part["rates"]:
                part["rates"].setdefault(bucket, part["rates"][like])


def _take_tiers(past: Row, present: Row) -> None:
    """Give a past row the tiers and buckets of the present one, in the proportion they have there."""
    for part, now in ((past, present), (past.get("long"), present.get("long"))):
        if part and now:
            for bucket in now["rates"].keys() - part["rates"].keys():
                part["rates"][bucket] = part["rates"]["input"] * now["rates"][bucket] / now["rates"]["input"]
    for name, tier in present["tiers"].items():
        past["tiers"][name] = {"rates": _in_proportion(past["rates"], tier["rates"], present["rates"])}
        if "long" in tier:
            rates = _in_proportion(past["long"]["rates"], tier["long"]["rates"], present["long"]["rates"])
            past["tiers"][name]["long"] = {"gt": tier["long"]["gt"], "rates": rates}


def _in_proportion(past: Row, tier: Row, present: Row) -> Row:
    return {
        bucket: (past[bucket] * price / present[bucket]).quantize(SMALLEST, rounding=ROUND_UP).normalize()
        for bucket, price in tier.items()
    }


def _grouped(rows: list[Row]) -> list[Row]:
    """Ids of one family that share every fact share a row, the family's own id first."""
    groups: dict[str, Row] = {}
    for row in rows:
        row = {"family": row["models"][0]} | row
        facts = json.dumps({key: value for key, value in row.items() if key != "models"}, sort_keys=True)
        groups.setdefault(facts, row | {"models": []})["models"] += row["models"]
    for group in groups.values():
        family = group.pop("family")
        group["models"].sort(key=lambda model: (model != family, len(model), model))
    return sorted(groups.values(), key=lambda row: (row["provider"], row["models"][0], row.get("since") or ""))


def _texts(value: Any) -> Any:
    """Prices as decimal strings; empty parts left out."""
    if isinstance(value, dict):
        texts = {key: _texts(part) for key, part in value.items()}
        return {key: part for key, part in texts.items() if part not in (None, {}, [])}
    if isinstance(value, float | Decimal):
        return f"{Decimal(str(value)).normalize():f}"
    return value
