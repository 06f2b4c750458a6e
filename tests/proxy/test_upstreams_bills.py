"""What the upstream of one organisation bills wrongly takes no price away from another."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from agents.pricebook import current_book
from agents.pricing import Circumstances, PriceRow, Usage
from proxy.bill import raw_facts
from proxy.errors import Dialect, UnpricedModel
from proxy.prices import Prices
from proxy.providers.compatible import custom_provider
from proxy.providers.metered import Metered
from proxy.providers.targets import Listing, Target

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MODEL = "openai/gpt-oss-120b"


def target(upstream: str, name: str = "fast") -> Target:
    return custom_provider(name, "groq", {}, upstream=upstream).target(MODEL, Dialect.OPENAI)


def rows(prices: Prices, of: Target) -> Sequence[PriceRow]:
    return prices.rows_between(of, AT, AT)


def overrun(prices: Prices, listing: Listing) -> None:
    """An upstream that reports a thousand times what a call can use."""
    prices.settle(
        listing=listing, served_model=None, held_rows=(), usage=Usage(input=10**9), circumstances=Circumstances(),
        started_at=AT, ended_at=AT, ceiling_pico=1,
    )  # fmt: skip


def unbounded(prices: Prices, listing: Listing) -> None:
    """One that reports more input than the request had bytes."""
    row = current_book().row(listing.provider, listing.model, AT)
    prices.compare_bound(row, listing, counted=False, bound_tokens=10, actual_tokens=11)


@pytest.mark.parametrize("lie", [overrun, unbounded])
def test_a_lying_upstream_is_out_of_use_for_its_own_organisation_alone(lie: object) -> None:
    prices = Prices(current_book())
    acme, borealis = target("credential-of-acme"), target("credential-of-borealis")
    lie(prices, acme.listing)  # type: ignore[operator]
    with pytest.raises(UnpricedModel):
        rows(prices, acme)
    assert rows(prices, borealis)
    assert rows(prices, Target("groq", MODEL)), "the book's row stays good for everybody else"


@pytest.mark.parametrize("lie", [overrun, unbounded])
def test_what_a_provider_for_all_bills_wrongly_is_wrong_for_all(lie: object) -> None:
    prices = Prices(current_book())
    lie(prices, Listing("groq", MODEL))  # type: ignore[operator]
    with pytest.raises(UnpricedModel):
        rows(prices, Target("groq", MODEL))


def test_a_custom_provider_lists_the_books_models_or_its_deployments() -> None:
    prices = Prices(current_book())
    assert MODEL in prices.models(custom_provider("fast", "groq", {}, upstream="u"))
    azure = custom_provider("a", "azure", {"deployments": {"prod": "gpt-4o", "lost": "nobody-knows"}}, upstream="u")
    assert prices.models(azure) == ["prod"]
    assert prices.models(custom_provider("v", "vllm", {}, upstream="u")) == []


@pytest.mark.parametrize("started_at", [AT, datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC)])
def test_a_call_around_the_end_of_a_price_is_settled_by_what_its_ceiling_was_made_of(started_at: datetime) -> None:
    """The ceiling looks a quarter of an hour around: a price may have ended, or not begun, at the call's own ends."""
    row = {
        "provider": "groq", "models": ["passing-70b"], "kind": "chat", "rates": {"input": "2", "output": "4"},
        "since": "2026-11-20T12:10:00Z", "until": "2026-11-24T23:50:00Z",
    }  # fmt: skip
    prices = Prices(current_book().with_rows([row], version="passing"))
    passing = custom_provider("fast", "groq", {}, upstream="u").target("passing-70b", Dialect.OPENAI)
    around = timedelta(minutes=15)
    held = prices.rows_between(passing, started_at - around, started_at + around)
    settlement = prices.settle(
        listing=passing.listing, served_model="passing-70b", held_rows=held, usage=Usage(input=1_000, output=10),
        circumstances=Circumstances(), started_at=started_at, ended_at=started_at, ceiling_pico=10**12,
    )  # fmt: skip
    assert settlement.cost_pico == 1_000 * 2_000_000 + 10 * 4_000_000


def test_a_report_is_kept_unless_it_is_too_long_or_too_deep() -> None:
    """Whatever it holds, the end of a call can be written: all organisations share the book."""
    deep = orjson.loads(b'{"warp_tokens":' * 400 + b"1" + b"}" * 400)
    long = {"warp_tokens": 5, "note": "x" * 5_000}
    assert raw_facts(Metered(raw_usage={"warp_tokens": 5})) == {"usage": {"warp_tokens": 5}}
    assert raw_facts(Metered(raw_usage=long)) == {"usage_bytes": len(orjson.dumps(long))}
    assert raw_facts(Metered(raw_usage=deep)) == {"usage_keys": ["warp_tokens"]}
