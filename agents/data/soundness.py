"""What no price book may hold: prices no provider would charge, and rows that a settlement could pass.

A list that was broken overnight must not reach a call: then nothing is written and the last good book stays.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

Row = dict[str, Any]

PRICE_MAX = Decimal(10_000)  # dollars per million tokens, per hour or per 1,000 calls; the dearest today is 600
JUMP_MAX = 100  # a slip of the unit is at least a factor of a thousand or a million
VANISHED_MAX = Decimal("0.2")  # of a provider's ids, between two books
FREE_KINDS = frozenset({"moderation"})
NEVER_FREE = ("input", "output", "characters", "hour")
# Gemini's embeddings and OpenAI's old lists say nought for what is not produced.
WITHOUT_OUTPUT = frozenset({"embedding", "transcription"})


def unsound(row: Row) -> Iterator[str]:
    """What is wrong with one row by itself."""
    name, free = f"{row['provider']}/{row['models'][0]}", row["kind"] in FREE_KINDS
    for tier, long, rates in _parts(row):
        where = f"{name} {tier}{' long' if long else ''}"
        for bucket, price in rates.items():
            amount = Decimal(price)
            if not 0 <= amount <= PRICE_MAX:
                yield f"{where} {bucket}: {price} is not a price"
            if amount == 0 and not free and bucket in NEVER_FREE and not _produces_none(row, bucket):
                yield f"{where} {bucket}: free"
    for tier, facts in {"default": row, **row.get("tiers", {})}.items():
        long_rates = facts.get("long", {}).get("rates", {})
        for bucket, price in facts["rates"].items():
            if long_rates and Decimal(long_rates.get(bucket, "Infinity")) < Decimal(price):
                yield f"{name} {tier} {bucket}: cheaper in long contexts"


def uncovered(rows: Sequence[Row]) -> Iterator[str]:
    """Promised prices whose end could not be reserved: then every row of the model must price what the row prices."""
    by_model: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for model in row["models"]:
            by_model.setdefault((row["provider"], model), []).append(row)
    for (provider, model), known in by_model.items():
        for row in known:
            for past in known if row.get("recheck_after") else ():
                for gap in _gaps(past, row):
                    yield f"{provider}/{model} since {past.get('since', 'ever')}: has no {gap}, and may come back"


def jumps(rows: Sequence[Row], last: Sequence[Row]) -> Iterator[str]:
    """Prices a hundred times what the last good book said, or a hundredth, and providers that lost their models."""
    before = {key: Decimal(price) for key, price in _prices(last)}
    for key, price in _prices(rows):
        old, new = before.get(key), Decimal(price)
        if old and new and not Decimal(1) / JUMP_MAX < new / old < JUMP_MAX:
            yield f"{key}: {old.normalize():f} became {price}"
    had, has = _id_counts(last), _id_counts(rows)
    for provider, count in had.items():
        if has[provider] < count * (1 - VANISHED_MAX):
            yield f"{provider}: {count} ids became {has[provider]}"


def _parts(row: Row) -> Iterator[tuple[str, bool, dict[str, str]]]:
    """(tier, whether for long contexts, rates), the off-peak form among them."""
    forms = {"default": row, **row.get("tiers", {})} | ({"offpeak": row["offpeak"]} if "offpeak" in row else {})
    for tier, facts in forms.items():
        yield tier, False, facts["rates"]
        if "long" in facts:
            yield tier, True, facts["long"]["rates"]


def _produces_none(row: Row, bucket: str) -> bool:
    return bucket == "output" and row["kind"] in WITHOUT_OUTPUT


def _gaps(past: Row, row: Row) -> Iterator[str]:
    for part in ("rates", "tiers", "multipliers", "tools"):
        for key in sorted(row.get(part, {}).keys() - past.get(part, {}).keys()):
            yield f"{part.removesuffix('s')} {key}"
    for tier in row.get("tiers", {}).keys() & past.get("tiers", {}).keys():
        for key in sorted(row["tiers"][tier]["rates"].keys() - past["tiers"][tier]["rates"].keys()):
            yield f"{tier} rate {key}"


def _prices(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    for row in rows:
        for model in row["models"]:
            for tier, long, rates in _parts(row):
                for bucket, price in rates.items():
                    since = f"@{row['since']}" if row.get("since") else ""
                    yield f"{row['provider']}/{model}{since} {tier}{' long' if long else ''} {bucket}", price


def _id_counts(rows: Iterable[Row]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["provider"]] += len(row["models"])
    return counts
