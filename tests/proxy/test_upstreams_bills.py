"""What the upstream of one organisation bills wrongly takes no price away from another."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from agents.pricebook import current_book
from agents.pricing import Circumstances, PriceRow, Usage
from proxy.errors import Dialect, UnpricedModel
from proxy.prices import Prices
from proxy.providers.compatible import custom_provider
from proxy.providers.shape import Listing, Target

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
