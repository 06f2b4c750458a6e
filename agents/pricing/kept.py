"""What a finished call's row keeps of its usage, read back so that it can be priced again (docs/ledger.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from typing import Any

from agents.pricing.usage import Circumstances, Usage

# The buckets that have columns of their own, in this order; the others stand in `pricing`.
TOKEN_COLUMNS = ("input", "cache_read", "cache_write", "cache_write_long", "output", "reasoning")
_USAGE_FIELDS = frozenset(field.name for field in fields(Usage))


def kept_usage(facts: Mapping[str, Any], tokens: Sequence[int]) -> Usage:
    """The usage. facts: the column `pricing`; tokens: the columns of TOKEN_COLUMNS."""
    values: dict[str, Any] = dict(zip(TOKEN_COLUMNS, tokens, strict=True))
    values |= {name: value for name, value in facts.items() if name in _USAGE_FIELDS}
    if "unknown_keys" in values:
        values["unknown_keys"] = tuple(values["unknown_keys"])
    return Usage(**values)


def kept_circumstances(facts: Mapping[str, Any]) -> Circumstances:
    """Tier, speed, place and whether it was billed. facts: the column `pricing`."""
    values: dict[str, Any] = {name: facts[name] for name in ("tier", "speed", "geo", "billed") if name in facts}
    if "geo_multiplier" in facts:
        values["geo_multiplier"] = Fraction(facts["geo_multiplier"])
    return Circumstances(**values)
