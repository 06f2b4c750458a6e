"""What people may type, and the field that is named when it will not do."""

import pytest

from agents import budgets
from agents.forms import AgentForm, LimitForm, RenameForm, RevokeForm
from agents.models import Budget
from agents.money import PICO_PER_USD
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("typed", "pico"),
    [("5", 5 * PICO_PER_USD), (" $0.25 ", PICO_PER_USD // 4), ("0", 0), ("0.000000000001", 1), ("9000000", 9 * 10**18)],
)
def test_an_amount_becomes_pico_dollars(typed: str, pico: int) -> None:
    form = LimitForm({"daily_limit": typed}, organization=cast.alice().organization)
    assert form.is_valid(), form.errors
    assert form.cleaned_data["daily_limit"] == pico


@pytest.mark.parametrize(
    "typed",
    [
        "-7",
        "NaN",
        "1e309",
        "10,5",
        "inf",
        "9000000.01",
        "1" * 41,
        "0.0000000000001",
        "five",
        "1 000",
        "٣",
        "\x00",
        "+5",
    ],
)
def test_what_is_no_amount_is_named_at_its_field(typed: str) -> None:
    form = LimitForm({"daily_limit": typed}, organization=cast.alice().organization)
    assert not form.is_valid()
    assert list(form.errors) == ["daily_limit"]


def test_unlimited_needs_a_wider_budget() -> None:
    alice = cast.alice()
    form = LimitForm({"daily_limit": ""}, organization=alice.organization)
    assert "organisation has a budget" in form.errors["daily_limit"][0]
    meter = Budget.objects.get(organization=alice.organization, agent=None)
    budgets.set_limit(meter, PICO_PER_USD, by=alice.user)
    form = LimitForm({"daily_limit": ""}, organization=alice.organization)
    assert form.is_valid()
    assert form.cleaned_data["daily_limit"] is None


def test_a_charlie_budget_does_not_make_alices_agents_unlimited() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    budgets.set_limit(Budget.objects.get(organization=charlie.organization, agent=None), PICO_PER_USD, by=None)
    assert not LimitForm({"daily_limit": ""}, organization=alice.organization).is_valid()


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\nb", "a\x00b", "a\u202eb", "a\u2028b", "\u200d"])
def test_a_name_is_one_visible_line(name: str) -> None:
    form = AgentForm({"name": name, "daily_limit": "5"}, organization=cast.alice().organization)
    assert list(form.errors) == ["name"]
    assert list(RenameForm({"name": name}).errors) == ["name"]


@pytest.mark.parametrize("name", ["👩\u200d💻 dev", "サポート\u3000受付", "می\u200cخواهم", "support\u00a0triage"])
def test_a_name_may_be_of_any_script(name: str) -> None:
    assert RenameForm({"name": name}).is_valid()
    assert RevokeForm({"confirm": name.replace("\u200c", "").replace("\u3000", " ")}, expected=name).is_valid()


def test_a_new_agent_starts_at_five_dollars() -> None:
    form = AgentForm(organization=cast.alice().organization)
    assert 'value="5"' in str(form["daily_limit"])
    assert list(form.fields) == ["name", "daily_limit"]


def test_a_key_is_revoked_only_with_the_agents_very_name() -> None:
    assert not RevokeForm({"confirm": "Support-Triage"}, expected="support-triage").is_valid()
    assert RevokeForm({"confirm": "support-triage"}, expected="support-triage").is_valid()
