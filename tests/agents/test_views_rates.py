"""The page of an organisation's own rates."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.credentials import Upstream, connect
from accounts.models import AuditEntry, Membership, Role
from agents import rates
from agents.models import CustomRate
from agents.money import PICO_PER_USD
from agents.pricebook import current_book
from tests import cast
from tests.agents.pages_house import book_call, browser

pytestmark = pytest.mark.django_db
PAGE = "/settings/rates/"
FORM = {"provider": "openai", "model": "acme-70b", "input": "0.25", "output": "1"}
SLIP = FORM | {"model": "gpt-4o", "input": "2500", "output": "10"}
HTMX = {"HX-Request": "true", "HX-Target": "rate-example"}


def shown(client: Client, address: str = PAGE) -> str:
    return " ".join(client.get(address).content.decode().split())


def posted(client: Client, form: dict[str, str], **more: Any) -> str:
    return " ".join(client.post(PAGE, form, follow=True, **more).content.decode().split())


def test_an_owner_sets_a_rate_and_sees_it_beside_the_list() -> None:
    alice = cast.alice()
    page = posted(browser(alice), FORM | {"model": "gpt-4o", "input": "2", "output": "8", "action": "save"})
    rate = CustomRate.objects.get()
    assert (rate.organization, rate.created_by) == (alice.organization, alice.user)
    assert (rate.input_pico, rate.output_pico) == (2 * PICO_PER_USD, 8 * PICO_PER_USD)
    assert "Your rate for gpt-4o holds from the next call on." in page
    for text in ("$2.00", "list $2.50", "$8.00", "list $10.00", "$0.0060", "list $0.0075"):
        assert text in page


def test_the_unit_is_fixed_and_the_example_worked_out() -> None:
    client = browser(cast.alice())
    assert "USD per 1M tokens" in shown(client)
    page = posted(client, FORM | {"call": "0.001", "action": "example"})
    assert 'would cost <strong class="num">$0.001750</strong>; the price list does not have this model' in page
    assert 'value="0.25"' in page
    assert not CustomRate.objects.exists()


def test_the_example_alone_answers_while_one_types_and_stores_nothing() -> None:
    client = browser(cast.alice())
    answer = client.post(PAGE, FORM | {"model": "gpt-4o", "action": "example"}, headers=HTMX).content.decode()
    assert answer.lstrip().startswith('<p id="rate-example"')
    assert "by the price list" in answer
    wrong = client.post(PAGE, FORM | {"input": "10,5", "action": "example"}, headers=HTMX).content.decode()
    assert "Input: Use a point for decimals" in wrong
    assert not CustomRate.objects.exists()


@pytest.mark.parametrize("typed", ["-7", "NaN", "1e309", "10,5", "10001", ""])
def test_a_bad_price_is_named_at_its_field_and_sets_nothing(typed: str) -> None:
    """A14, B20."""
    page = posted(browser(cast.alice()), FORM | {"input": typed, "action": "save"})
    assert 'id="id_input_error"' in page
    assert 'value="acme-70b"' in page
    assert not CustomRate.objects.exists()


def test_a_slip_of_the_unit_is_saved_only_when_confirmed() -> None:
    """B20."""
    client = browser(cast.alice())
    page = posted(client, SLIP | {"action": "save"})
    assert "1,000 times the list price" in page
    assert not CustomRate.objects.exists()
    signature = re.search(r'name="confirmed" value="([^"]+)"', page)
    assert signature is not None
    posted(client, SLIP | {"input": "2600", "action": "save", "confirmed": signature[1]})
    assert not CustomRate.objects.exists()
    posted(client, SLIP | {"action": "save", "confirmed": signature[1]})
    assert CustomRate.objects.get().input_pico == 2_500 * PICO_PER_USD


def test_change_begins_with_the_rate_in_force_and_with_the_list_otherwise() -> None:
    client = browser(cast.alice())
    listed = shown(client, f"{PAGE}?provider=openai&model=gpt-4o")
    assert re.search(r'name="input" value="2.5"', listed)
    posted(client, FORM | {"model": "gpt-4o", "input": "2", "action": "save"})
    assert re.search(r'name="input" value="2"', shown(client, f"{PAGE}?provider=openai&model=gpt-4o"))
    assert "?provider=openai&amp;model=gpt-4o#set-rate" in shown(client)


@pytest.mark.parametrize(
    "query", ["?model=%00", "?model=" + "x" * 5_000, "?provider=nobody&model=a%2Fb", "?provider=%ff", "?provider=%00"]
)
def test_nonsense_in_the_address_is_no_fault(query: str) -> None:
    assert browser(cast.alice()).get(PAGE + query).status_code == 200


def test_a_new_price_replaces_the_old_one_in_the_table() -> None:
    client = browser(cast.alice())
    posted(client, FORM | {"action": "save"})
    page = posted(client, FORM | {"input": "0.75", "action": "save"})
    assert CustomRate.objects.count() == 2
    assert page.count('<th scope="row">') == 1
    assert "$0.75" in page


@pytest.mark.parametrize(
    ("model", "says"), [("gpt-4o", "the price list decides"), ("acme-70b", "is refused from the next one on")]
)
def test_ending_a_rate_says_what_calls_cost_then(model: str, says: str) -> None:
    alice = cast.alice()
    client = browser(alice)
    posted(client, FORM | {"model": model, "input": "1", "action": "save"})
    rate = CustomRate.objects.get()
    assert says in shown(client, f"{PAGE}{rate.id}/end/")
    assert CustomRate.objects.get().ended_at is None
    for _ in range(2):
        assert client.post(f"{PAGE}{rate.id}/end/").status_code == 302
    assert CustomRate.objects.get().ended_at is not None
    assert AuditEntry.objects.filter(action="rate.ended", user=alice.user).count() == 1
    assert "No rates of your own" in shown(client)


def test_more_rates_than_there_may_be_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "RATES_MAX", 0)
    assert "at most 0 rates" in posted(browser(cast.alice()), FORM | {"action": "save"})
    assert not CustomRate.objects.exists()


def test_admins_change_rates_and_members_and_viewers_look() -> None:
    alice = cast.alice()
    posted(browser(alice), FORM | {"action": "save"})
    rate = CustomRate.objects.get()
    bob = cast.bob(alice)
    for person in (bob, cast.vera(alice)):
        client = browser(person)
        page = shown(client)
        assert "acme-70b" in page
        assert "Only owners and admins change rates." in page
        assert "<form" not in page.partition("<main")[2]
        assert client.post(PAGE, FORM | {"input": "9", "action": "save"}).status_code == 403
        assert client.get(f"{PAGE}{rate.id}/end/").status_code == 403
        assert client.post(f"{PAGE}{rate.id}/end/").status_code == 403
    assert rates.current(alice.organization.id) == [rate]
    Membership.objects.filter(user=bob.user).update(role=Role.ADMIN)
    assert browser(bob).post(f"{PAGE}{rate.id}/end/").status_code == 302


def test_charlie_neither_sees_nor_ends_acmes_rate() -> None:
    alice, charlie = cast.alice(), browser(cast.charlie())
    posted(browser(alice), FORM | {"action": "save"})
    rate = CustomRate.objects.get()
    assert "acme-70b" not in shown(charlie)
    assert '"0.25"' not in shown(charlie, f"{PAGE}?provider=openai&model=acme-70b")
    assert charlie.get(f"{PAGE}{rate.id}/end/").status_code == 404
    assert charlie.post(f"{PAGE}{rate.id}/end/").status_code == 404
    assert rates.current(alice.organization.id) == [rate]


def test_a_calls_page_shows_the_rates_of_its_day() -> None:
    alice = cast.alice()
    posted(browser(alice), FORM | {"call": "0.5", "action": "save"})
    old = CustomRate.objects.get()
    row = {"row": f"custom/{old.id}"}
    call = book_call(alice, model="acme-70b", pricing=row, price_version=current_book().version, cost_pico=0)
    posted(browser(alice), FORM | {"input": "0.75", "action": "save"})
    page = shown(browser(alice), f"/calls/{call.call_id}/")
    assert "your own rate, row custom/" in page
    assert "$0.25" in page
    assert "The call itself" in page
    assert "$0.500000" in page


def test_a_custom_providers_rate_stands_beside_the_list_price_of_its_kind() -> None:
    """W4, B12: what the list says of a provider does not depend on what it is called here."""
    alice = cast.alice()
    for name, preset, options in (
        ("fast", "groq", {}),
        ("europe", "azure", {"deployments": {"prod": "gpt-4o"}}),
        ("local", "vllm", {}),
    ):
        upstream = Upstream(f"https://{name}.example/v1", preset, options)
        connect(alice.organization, name, "sk-0123", by=alice.user, upstream=upstream)
    client = browser(alice)
    page = shown(client, f"{PAGE}?provider=fast&model=openai/gpt-oss-120b")
    assert 'value="0.15"' in page
    assert 'value="2.5"' in shown(client, f"{PAGE}?provider=europe&model=prod")
    assert 'value="2.5"' not in shown(client, f"{PAGE}?provider=europe&model=gpt-4o")
    assert 'value="2.5"' not in shown(client, f"{PAGE}?provider=local&model=gpt-4o")
    slip = FORM | {"provider": "europe", "model": "prod", "input": "2500", "output": "10", "action": "save"}
    assert "times the list price" in posted(client, slip)
