"""What people type about a rate: a slip of the unit is caught before it prices a call (B20, A14)."""

from datetime import UTC, datetime

import pytest

from accounts.models import Organization
from agents.money import PICO_PER_USD
from agents.rate_forms import RateForm
from tests import cast

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture
def organization() -> Organization:
    return cast.alice().organization


def form_of(organization: Organization, **typed: str) -> RateForm:
    filled = {"provider": "openai", "model": "gpt-4o", "input": "2.50", "output": "10"}
    return RateForm(filled | typed, organization=organization, now=NOW)


def doubted(form: RateForm) -> list[str]:
    assert form.is_valid(), form.errors
    return [doubt.field for doubt in form.doubts]


def test_dollars_per_million_tokens_become_pico_dollars(organization: Organization) -> None:
    form = form_of(organization, cache_read="$1.25", cache_write="3", call="0.001")
    assert doubted(form) == []
    assert form.rate is not None
    assert (form.rate.input_pico, form.rate.output_pico) == (5 * PICO_PER_USD // 2, 10 * PICO_PER_USD)
    assert (form.rate.cache_read_pico, form.rate.cache_write_pico) == (5 * PICO_PER_USD // 4, 3 * PICO_PER_USD)
    assert form.rate.call_pico == PICO_PER_USD // 1_000
    assert form.may_be_set("")


def test_what_is_left_empty_is_none_and_not_zero(organization: Organization) -> None:
    form = form_of(organization)
    assert form.is_valid()
    assert form.rate is not None
    assert (form.rate.cache_read_pico, form.rate.cache_write_pico, form.rate.call_pico) == (None, None, 0)
    assert set(form_of(organization, input="", output="").errors) == {"input", "output"}


@pytest.mark.parametrize(
    "typed", ["-7", "NaN", "inf", "1e309", "10,5", "1,000", "1_000", "10.5.1", "ten", "10001", "99999999"]
)
@pytest.mark.parametrize("field", ["input", "output", "cache_read", "cache_write"])
def test_what_is_no_price_is_refused_at_its_field(organization: Organization, field: str, typed: str) -> None:
    """A14, B20."""
    form = form_of(organization, **{field: typed})
    assert set(form.errors) == {field}
    assert not form.may_be_set("")


@pytest.mark.parametrize(
    ("typed", "says"),
    [("10,5", "point"), ("10001", "$10,000.00 per 1M"), ("0.0000025", "not for one"), ("-1", "negative")],
)
def test_the_remedy_is_said(organization: Organization, typed: str, says: str) -> None:
    assert says in form_of(organization, input=typed).errors["input"][0]


@pytest.mark.parametrize("typed", ["-1", "1000.01", "0,5"])
def test_a_fee_out_of_bounds_is_refused_at_its_field(organization: Organization, typed: str) -> None:
    assert set(form_of(organization, call=typed).errors) == {"call"}


@pytest.mark.parametrize(
    ("model", "says"),
    [("gpt 4o", "spaces"), ("gpt\u200b4o", "spaces"), ("a\0b", ""), ("openai/gpt-4o", "gpt-4o"), ("x" * 129, "")],
)
def test_a_model_that_no_call_can_name_is_refused(organization: Organization, model: str, says: str) -> None:
    assert says in form_of(organization, model=model).errors["model"][0]


@pytest.mark.parametrize("provider", ["", "acme-llm", "openai "])
def test_an_unknown_provider_is_refused(organization: Organization, provider: str) -> None:
    assert "provider" in form_of(organization, provider=provider).errors


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ({"input": "50"}, []), ({"input": "50.000001"}, ["input"]),
        ({"input": "0.125"}, []), ({"input": "0.124999"}, ["input"]),
        ({"output": "200.5", "cache_read": "1000"}, ["output", "cache_read"]),
        ({"input": "0"}, ["input"]),
    ],
    ids=str,
)  # fmt: skip
def test_twenty_times_the_list_price_asks_for_a_second_look(
    organization: Organization, typed: dict[str, str], found: list[str]
) -> None:
    """B20: gpt-4o is listed at 2.50, 1.25 and 10."""
    assert doubted(form_of(organization, **typed)) == found


def test_a_doubt_says_how_far_from_the_list(organization: Organization) -> None:
    form = form_of(organization, input="2500", output="0.1")
    assert form.is_valid()
    assert [doubt.words for doubt in form.doubts] == [
        "Input: $2,500.00 per 1M tokens is 1,000 times the list price of $2.50.",
        "Output: $0.10 per 1M tokens is 1/100 of the list price of $10.00.",
    ]


@pytest.mark.parametrize(
    ("usd", "found"), [("0.001", []), ("0.000999", ["input"]), ("1000", []), ("1000.5", ["input"])]
)
def test_without_a_list_price_the_whole_list_is_the_measure(
    organization: Organization, usd: str, found: list[str]
) -> None:
    assert doubted(form_of(organization, model="acme-70b", input=usd)) == found


def test_a_free_model_asks_for_a_second_look(organization: Organization) -> None:
    form = form_of(organization, model="acme-7b", input="0", output="0")
    assert form.is_valid()
    assert "no dollar budget ever stops it" in form.doubts[0].words
    assert doubted(form_of(organization, model="acme-7b", input="0", output="0", call="0.01")) == []


def test_a_confirmation_is_of_these_prices_and_no_others(organization: Organization) -> None:
    form = form_of(organization, input="2500")
    assert not form.may_be_set("")
    assert not form.may_be_set("yes")
    assert form.may_be_set(form.signature)
    for other in ({"input": "2501"}, {"input": "2500", "model": "gpt-4o-mini"}, {"input": "2500", "output": "11"}):
        assert not form_of(organization, **other).may_be_set(form.signature)
