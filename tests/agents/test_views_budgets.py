"""Budgets on pages: listed in words, made from presets, changed, topped up, ended (product.md B1, B2, B6)."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from agents import budgets
from agents.budget_terms import BudgetTerms
from agents.models import Agent, Balance, Budget, Scope, Unit, Window
from agents.money import PICO_PER_USD as USD
from tests import cast
from tests.agents.pages_house import CENT, book_call, browser
from tests.agents.shown_forms import shown_form

pytestmark = pytest.mark.django_db
ORGANIZATION = "/settings/budgets/"
PRESET = {"mode": "hard", "thresholds": "50, 80, 100"}
NO_AMOUNTS = ["-7", "NaN", "inf", "1e309", "9" * 30, "10,5", "٣", "five", "0x10", "\x00"]


def list_of(agent: Agent) -> str:
    return f"/agents/{agent.id}/budgets/"


def shown(person: cast.Person, address: str) -> str:
    return " ".join(browser(person).get(address).content.decode().split())


def posted(person: cast.Person, address: str, form: dict[str, str]) -> str:
    answer = browser(person).post(address, form, follow=True)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def made(person: cast.Person, agent: Agent | None = None, **terms: Any) -> Budget:
    return budgets.create_budget(person.organization, agent, BudgetTerms(**terms), person.user)


def daily(person: cast.Person) -> Budget:
    return Budget.objects.get(agent=person.agent, scope=Scope.AGENT, window=Window.DAY, unit=Unit.USD)


def meter(person: cast.Person) -> Budget:
    return Budget.objects.get(organization=person.organization, agent=None, window=Window.DAY)


def state() -> list[dict[str, Any]]:
    return list(Budget.objects.order_by("id").values())


# What is offered


@pytest.mark.parametrize(
    ("preset", "typed", "says", "scope", "window"),
    [
        ("month", {"usd": "100"}, "at most $100.00 a month", Scope.AGENT, Window.MONTH),
        ("total", {"usd": "0.50"}, "at most $0.50 in all", Scope.AGENT, Window.TOTAL),
        ("session", {"usd": "2", "calls": ""}, "at most $2.00 per session", Scope.SESSION, Window.SESSION),
        ("session", {"usd": "", "calls": "40"}, "at most 40 calls per session", Scope.SESSION, Window.SESSION),
        ("session", {"usd": "2", "calls": "9"}, "at most $2.00 and 9 calls per session", Scope.SESSION, Window.SESSION),
        ("user", {"usd": "1"}, "at most $1.00 per user and day", Scope.AGENT_USER, Window.DAY),
        ("model", {"usd": "0"}, "at most $0.00 per model and day: nothing paid passes", Scope.MODEL, Window.DAY),
    ],
)  # fmt: skip
def test_a_member_makes_each_preset_of_an_agent(
    preset: str, typed: dict[str, str], says: str, scope: str, window: str
) -> None:
    alice = cast.alice()
    bob = cast.bob(alice)
    page = posted(bob, list_of(alice.agent), PRESET | {"preset": preset, "mode": "hard", **typed})
    assert f"From the next call on: {says}." in page
    assert says.capitalize() in page
    rows = Budget.objects.filter(agent=alice.agent, scope=scope, window=window)
    assert rows.count() == sum(1 for amount in typed.values() if amount)
    assert set(AuditEntry.objects.filter(action="budget.added").values_list("user", flat=True)) == {bob.user.pk}


def test_the_presets_are_eight() -> None:
    alice = cast.alice()
    agents_page, organizations_page = shown(alice, list_of(alice.agent)), shown(alice, ORGANIZATION)
    titles = ("Per day", "Per month", "In all", "Per session", "Per user and day", "Per model and day")
    assert [title in agents_page for title in titles] == [True] * 6
    assert [title in organizations_page for title in titles] == [True, True, False, False, False, False]
    # The one that every agent has is not offered again; the organisation's only counts until it has a limit.
    assert "In force: at most $5.00 a day." in agents_page
    assert "In force" not in organizations_page.split("Add a budget")[1]


def test_owners_and_admins_give_the_organisations_day_a_limit_and_make_a_month() -> None:
    alice = cast.alice()
    assert "Unlimited dollars a day, only counted" in shown(alice, ORGANIZATION)
    page = posted(alice, ORGANIZATION, PRESET | {"preset": "day", "usd": "20", "thresholds": "90"})
    assert "From the next call on: at most $20.00 a day." in page
    posted(alice, ORGANIZATION, PRESET | {"preset": "month", "usd": "100", "mode": "soft"})
    assert Budget.objects.filter(organization=alice.organization, agent=None).count() == 2
    assert (meter(alice).limit, meter(alice).thresholds) == (20 * USD, [90])
    page = shown(alice, ORGANIZATION)
    assert "An alert at $100.00 a month, nothing is refused" in page


def test_a_preset_gives_a_limit_to_a_budget_that_calls_had_made_to_count() -> None:
    alice = cast.alice()
    counted = budgets.ensure_meter(alice.agent.id, Scope.SESSION, Unit.USD, Window.SESSION)
    posted(alice, list_of(alice.agent), PRESET | {"preset": "session", "usd": "2"})
    counted.refresh_from_db()
    assert counted.limit == 2 * USD
    page = shown(alice, list_of(alice.agent))
    # The other half of the preset can still be added.
    assert "In force: at most $2.00 per session." in page
    assert 'id="session_calls"' in page
    assert 'id="session_usd"' not in page


@pytest.mark.parametrize("typed", [*NO_AMOUNTS, "", "9000000.01"])
def test_a_bad_amount_is_named_at_its_field_and_makes_nothing(typed: str) -> None:
    """A14."""
    alice = cast.alice()
    before = state()
    page = posted(alice, list_of(alice.agent), PRESET | {"preset": "month", "usd": typed})
    assert 'id="month_usd_error"' in page
    assert state() == before


@pytest.mark.parametrize("typed", [*NO_AMOUNTS, "1.5", "1" * 17])
def test_a_bad_number_of_calls_is_named_at_its_field(typed: str) -> None:
    alice = cast.alice()
    page = posted(alice, list_of(alice.agent), PRESET | {"preset": "session", "calls": typed})
    assert 'id="session_calls_error"' in page
    assert not Budget.objects.filter(scope=Scope.SESSION).exists()


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("thresholds", "100, 50"), ("thresholds", "0"), ("thresholds", "half"), ("thresholds", "1,2,3,4,5,6"),
     ("thresholds", ""), ("mode", "maybe"), ("mode", "")],
)  # fmt: skip
def test_bad_terms_are_named_at_their_field(field: str, wrong: str) -> None:
    alice = cast.alice()
    page = posted(alice, list_of(alice.agent), PRESET | {"preset": "month", "usd": "1", field: wrong})
    assert f'id="month_{field}_error"' in page
    assert not Budget.objects.filter(window=Window.MONTH).exists()


def test_a_field_that_no_form_has_is_an_error() -> None:
    """A11."""
    alice = cast.alice()
    before = state()
    page = posted(alice, list_of(alice.agent), PRESET | {"preset": "month", "usd": "1", "max_budget": "9"})
    assert "There is no field max_budget here; nothing was changed." in page
    page = posted(alice, list_of(alice.agent), PRESET | {"preset": "fortnight", "usd": "1"})
    assert "preset: choose one of the budgets below" in page
    page = posted(alice, f"/budgets/{daily(alice).pk}/", {"limit": "7", "budget_duration": "1d"})
    assert "There is no field budget_duration here; nothing was changed." in page
    page = posted(alice, f"/agents/{alice.agent.id}/limit/", {"daily_limit": "7", "monthly_limit": "9"})
    assert "There is no field monthly_limit here; nothing was changed." in page
    assert state() == before


def test_a_budget_that_is_there_is_not_made_twice() -> None:
    alice = cast.alice()
    made(alice, alice.agent, scope="session", window="session", limit=2 * USD)
    before = state()
    for preset, typed in (("day", {"usd": "9"}), ("session", {"usd": "9", "calls": "40"})):
        page = posted(alice, list_of(alice.agent), PRESET | {"preset": preset, **typed})
        assert "There is such a budget already: change it in the list." in page
    assert state() == before


# What is listed


def test_what_was_made_elsewhere_is_listed_with_a_right_sentence() -> None:
    alice = cast.alice(time_zone="Europe/Berlin")
    agent = alice.agent
    made(alice, agent, scope="sub_agent", window="week", unit="tokens", limit=12_000)
    made(alice, agent, scope="model", scope_name="gpt-4o", window="rolling_24h", unit="calls", limit=7, mode="soft")
    made(alice, agent, scope="session", window="day", limit=None)
    made(alice, None, scope="user", window="day", limit=3 * USD)
    page = shown(alice, list_of(agent))
    for words in (
        "At most 12,000 tokens per sub-agent and week",
        "An alert at 7 calls in any 24 hours for the model gpt-4o, nothing is refused",
        "Unlimited dollars per session and day, only counted",
        "at most $3.00 per user and day",
    ):
        assert words in page
    assert "At most 12,000 tokens per sub-agent and week" in shown(alice, f"/agents/{agent.id}/")
    assert "At most $3.00 per user and day" in shown(alice, ORGANIZATION)
    # Calls at a time are a guard, though the ledger holds them like a budget.
    budgets.add_budget(
        Budget(organization=alice.organization, agent=agent, scope="agent", unit="parallel", window="total", limit=3),
        None,
    )
    assert "calls at a time" not in shown(alice, list_of(agent))


def test_a_row_shows_what_is_spent_held_and_left_and_the_very_reset() -> None:
    """D7: in the organisation's zone, with its name."""
    alice = cast.alice(time_zone="Asia/Kolkata")
    book_call(alice, cost_pico=125 * CENT)
    Balance.objects.filter(budget=daily(alice)).update(held=50 * CENT)
    page = shown(alice, list_of(alice.agent))
    assert "$1.25 spent, $0.50 held, $3.25 left" in page
    assert "resets in " in page
    assert ", 00:00 IST" in page
    assert 'width="25.0%"' in page


def test_a_long_list_is_cut_into_pages() -> None:
    alice = cast.alice()
    rows = [
        Budget(
            organization=alice.organization, agent=alice.agent, scope="model", scope_name=f"m-{number:03}", limit=USD
        )
        for number in range(120)
    ]
    Budget.objects.bulk_create(rows)
    first, last = shown(alice, list_of(alice.agent)), shown(alice, f"{list_of(alice.agent)}?page=3")
    assert first.count('class="budget-row"') == 50
    assert "m-119" in last
    assert shown(alice, f"/agents/{alice.agent.id}/").count('class="budget-row"') == 6


def test_an_agent_is_blocked_when_any_of_its_hard_budgets_is_used_up() -> None:
    alice = cast.alice()
    book_call(alice, cost_pico=20 * CENT)
    assert "another budget is used up" not in shown(alice, "/overview/")
    made(alice, alice.agent, scope="agent", window="month", limit=20 * CENT, mode="soft")
    assert "another budget is used up" not in shown(alice, "/overview/")
    budgets.change_terms(Budget.objects.get(window=Window.MONTH), mode="hard", thresholds=(100,), by=None)
    page = shown(alice, "/overview/")
    assert "Blocked" in page
    assert "another budget is used up" in page
    assert "another budget</a>, which is used up" in shown(alice, f"/agents/{alice.agent.id}/")


def test_the_overview_shows_what_all_agents_may_spend_together() -> None:
    alice = cast.alice()
    assert "All agents together" not in shown(alice, "/overview/")
    budgets.set_limit(meter(alice), 20 * USD, by=None)
    book_call(alice, cost_pico=5 * USD)
    budgets.top_up(meter(alice), 5 * USD, None)
    page = shown(alice, "/overview/")
    assert "At most $20.00 a day" in page
    assert "$5.00 spent, $20.00 left; topped up by $5.00 until the reset" in page


# What is changed


def test_a_change_holds_and_keeps_what_was_spent() -> None:
    alice = cast.alice()
    book_call(alice, cost_pico=125 * CENT)
    budget = daily(alice)
    form = {"limit": "7.25", "mode": "soft", "thresholds": "60 90"}
    page = posted(alice, f"/budgets/{budget.pk}/", form)
    assert "From the next call on: an alert at $7.25 a day, nothing is refused." in page
    budget.refresh_from_db()
    assert (budget.limit, budget.mode, budget.thresholds) == (725 * CENT, "soft", [60, 90])
    assert "$1.25 spent, $6.00 left" in page
    assert "Nothing refuses calls of support-triage by their cost now" in page


def test_a_field_that_is_not_sent_stays_as_it_is() -> None:
    """F7: not sent is not empty."""
    alice = cast.alice()
    budgets.set_limit(meter(alice), 20 * USD, by=None)
    budget = daily(alice)
    budgets.change_terms(budget, mode="soft", thresholds=(70,), by=None)
    posted(alice, f"/budgets/{budget.pk}/", {"limit": "6"})
    posted(alice, f"/budgets/{budget.pk}/", {"thresholds": "75"})
    posted(alice, f"/agents/{alice.agent.id}/limit/", {})
    budget.refresh_from_db()
    assert (budget.limit, budget.mode, budget.thresholds) == (6 * USD, "soft", [75])
    posted(alice, f"/budgets/{budget.pk}/", {"limit": ""})
    budget.refresh_from_db()
    assert budget.limit is None


@pytest.mark.parametrize(
    ("unit", "limit"), [("usd", 1), ("usd", None), ("usd", 0), ("calls", 40), ("tokens", 10**15), ("calls", None)]
)
def test_what_the_page_shows_can_be_sent_back_and_changes_nothing(unit: str, limit: int | None) -> None:
    alice = cast.alice()
    budget = made(alice, alice.agent, scope="sub_agent", window="week", unit=unit, limit=limit, thresholds=(5, 95))
    address, before = f"/budgets/{budget.pk}/", state()
    form = shown_form(browser(alice).get(address).content.decode(), address)
    assert set(form) == {"limit", "mode", "thresholds"}
    assert "Nothing was changed." in posted(alice, address, form)
    assert state() == before
    assert not AuditEntry.objects.filter(action__in=("budget.limit_set", "budget.changed")).exists()


@pytest.mark.parametrize("typed", NO_AMOUNTS)
def test_a_bad_limit_is_named_and_the_old_one_stays(typed: str) -> None:
    alice = cast.alice()
    before = state()
    page = posted(alice, f"/budgets/{daily(alice).pk}/", {"limit": typed})
    assert 'id="id_limit_error"' in page
    assert "At most $5.00 a day" in page
    assert state() == before


def test_the_last_thing_that_holds_an_agent_cannot_be_taken_away() -> None:
    """B2: unlimited is possible only where a wider budget exists."""
    alice = cast.alice()
    own = daily(alice)
    page = posted(alice, f"/budgets/{own.pk}/", {"limit": ""})
    assert "Nothing else holds support-triage" in page
    wide = meter(alice)
    budgets.set_limit(wide, 20 * USD, by=None)
    assert "only counted" in posted(alice, f"/budgets/{own.pk}/", {"limit": ""})
    # Now the organisation's is the last one.
    assert "Nothing else holds support-triage" in posted(alice, f"/budgets/{wide.pk}/", {"limit": ""})
    month = made(alice, scope="organization", window="month", limit=100 * USD)
    posted(alice, f"/budgets/{wide.pk}/", {"limit": ""})
    wide.refresh_from_db()
    assert wide.limit is None
    assert "Nothing else holds support-triage" in posted(alice, f"/budgets/{month.pk}/end/", {})
    budgets.archive(alice.agent, by=alice.user)
    assert "The budget has ended" in posted(alice, f"/budgets/{month.pk}/end/", {})


def test_unlimited_is_said_aloud_with_what_holds_instead() -> None:
    alice = cast.alice()
    assert "Left empty, it is unlimited" not in shown(alice, f"/agents/{alice.agent.id}/")
    made(alice, alice.agent, scope="agent", window="month", limit=50 * USD)
    assert "only its own $50.00 a month holds it" in shown(alice, f"/agents/{alice.agent.id}/")
    budgets.set_limit(meter(alice), 20 * USD, by=None)
    assert "only the organisation’s $20.00 a day holds it" in shown(alice, f"/agents/{alice.agent.id}/")
    posted(alice, f"/agents/{alice.agent.id}/limit/", {"daily_limit": ""})
    for person in (alice, cast.vera(alice)):
        page = shown(person, f"/agents/{alice.agent.id}/")
        assert "No daily limit:</strong> only the organisation’s $20.00 a day holds support-triage." in page


def test_an_agent_whose_daily_budget_was_ended_gets_a_new_one() -> None:
    alice = cast.alice()
    budgets.end_budget(daily(alice), by=None)
    posted(alice, f"/agents/{alice.agent.id}/limit/", {"daily_limit": "3"})
    assert Budget.objects.get(agent=alice.agent, ended_at=None).limit == 3 * USD


def test_ending_says_what_it_does_and_keeps_the_history() -> None:
    alice = cast.alice()
    budget = made(alice, alice.agent, scope="session", window="session", limit=2 * USD)
    assert "nothing of support-triage is refused because of it" in shown(alice, f"/budgets/{budget.pk}/")
    page = posted(alice, f"/budgets/{budget.pk}/end/", {})
    assert "The budget has ended: at most $2.00 per session." in page
    budget.refresh_from_db()
    assert budget.ended_at is not None
    assert browser(alice).get(f"/budgets/{budget.pk}/").status_code == 404
    assert browser(alice).post(f"/budgets/{budget.pk}/end/").status_code == 404


def test_what_every_agent_and_organisation_has_cannot_end() -> None:
    alice = cast.alice()
    made(alice, scope="organization", window="month", limit=100 * USD)
    assert "Every agent keeps its daily budget" in posted(alice, f"/budgets/{daily(alice).pk}/end/", {})
    assert "An organisation keeps its daily budget" in posted(alice, f"/budgets/{meter(alice).pk}/end/", {})
    assert not Budget.objects.filter(ended_at__isnull=False).exists()


# Top-up


def top_up_of(person: cast.Person) -> str:
    return f"/budgets/{daily(person).pk}/top-up/"


def test_a_member_tops_up_the_day_and_everybody_sees_it() -> None:
    alice = cast.alice()
    book_call(alice, cost_pico=5 * USD)
    address, bob = f"/agents/{alice.agent.id}/", cast.bob(alice)
    form = shown_form(browser(bob).get(address).content.decode(), top_up_of(alice))
    assert form["amount"] == "5"
    page = posted(bob, top_up_of(alice), form)
    assert "support-triage may spend $5.00 more until " in page
    for person in (alice, cast.vera(alice)):
        page = shown(person, address)
        assert "of $10.00 spent" in page
        assert "by $5.00 until the reset, beside $5.00 a day" in page
        assert 'id="top-up"' in page
    assert "Blocked" not in shown(alice, "/agents/")
    assert "$10.00" in shown(alice, "/agents/")
    assert "of $10.00" in shown(alice, "/overview/")
    assert daily(alice).limit == 5 * USD
    assert 'name="daily_limit" value="5"' in shown(alice, address)
    entry = AuditEntry.objects.get(action="budget.topped_up")
    assert (entry.user, entry.details["amount"]) == (bob.user, str(5 * USD))


def test_a_form_that_is_sent_twice_adds_once() -> None:
    alice = cast.alice()
    form = shown_form(browser(alice).get(f"/agents/{alice.agent.id}/").content.decode(), top_up_of(alice))
    posted(alice, top_up_of(alice), form)
    page = posted(alice, top_up_of(alice), form)
    assert "It was topped up, or has begun anew, since you looked" in page
    assert Balance.objects.get(budget=daily(alice)).extra == 5 * USD
    # The form of the answer is one to send again.
    again = shown_form(browser(alice).get(f"/agents/{alice.agent.id}/").content.decode(), top_up_of(alice))
    posted(alice, top_up_of(alice), again)
    assert Balance.objects.get(budget=daily(alice)).extra == 10 * USD


def test_a_top_up_is_gone_with_its_window() -> None:
    alice = cast.alice()
    posted(alice, top_up_of(alice), {"amount": "5"})
    yesterday = timezone.now() - timedelta(days=1)
    Balance.objects.filter(budget=daily(alice)).update(window_start=yesterday, window_end=timezone.now())
    page = shown(alice, f"/agents/{alice.agent.id}/")
    assert "of $5.00 spent" in page
    assert "Topped up by" not in page


@pytest.mark.parametrize("typed", [*NO_AMOUNTS, "0", "", "9000000"])
def test_a_bad_top_up_is_named_at_its_field(typed: str) -> None:
    alice = cast.alice()
    page = posted(alice, top_up_of(alice), {"amount": typed})
    assert 'id="top_up_amount_error"' in page
    assert not Balance.objects.filter(extra__gt=0).exists()


def test_only_a_limit_over_one_window_that_ends_can_be_topped_up() -> None:
    alice = cast.alice()
    month = made(alice, alice.agent, scope="agent", window="month", unit="calls", limit=40)
    assert "Add for this month" in shown(alice, f"/budgets/{month.pk}/")
    posted(alice, f"/budgets/{month.pk}/top-up/", {"amount": "10"})
    assert "topped up by 10 calls until the reset" in shown(alice, list_of(alice.agent))
    others = [
        made(alice, alice.agent, scope="agent", window="total", limit=USD),
        made(alice, alice.agent, scope="agent", window="rolling_24h", limit=USD),
        made(alice, alice.agent, scope="model", window="day", limit=USD),
        meter(alice),
    ]
    for budget in others:
        assert "top-up" not in shown(alice, f"/budgets/{budget.pk}/")
        page = posted(alice, f"/budgets/{budget.pk}/top-up/", {"amount": "5"})
        assert "This budget has no limit over a day, week or month to top up" in page
    assert not Balance.objects.filter(budget__in=others, extra__gt=0).exists()


# Who may


def test_a_viewer_sees_everything_and_no_form() -> None:
    alice = cast.alice()
    vera = cast.vera(alice)
    budget = daily(alice)
    for address in (list_of(alice.agent), ORGANIZATION, f"/budgets/{budget.pk}/", f"/agents/{alice.agent.id}/"):
        page = shown(vera, address)
        assert page.count("<form") == shown(vera, "/profile/").count("<form") - 1, address  # theme and sign-out
    for address in (list_of(alice.agent), ORGANIZATION, f"/budgets/{budget.pk}/", f"/budgets/{budget.pk}/end/"):
        assert browser(vera).post(address, {"limit": "9"}).status_code == 403


def test_a_member_changes_agents_budgets_but_not_the_organisations() -> None:
    alice = cast.alice()
    bob = cast.bob(alice)
    wide = meter(alice)
    assert "Save budget" not in shown(bob, f"/budgets/{wide.pk}/")
    assert "Only owners and admins" in shown(bob, ORGANIZATION)
    before = state()
    for address in (ORGANIZATION, f"/budgets/{wide.pk}/", f"/budgets/{wide.pk}/end/", f"/budgets/{wide.pk}/top-up/"):
        assert browser(bob).post(address, {"limit": "9", "preset": "month", "usd": "1"}).status_code == 403
    assert state() == before
    assert "Save budget" in shown(bob, f"/budgets/{daily(alice).pk}/")


def test_charlie_finds_no_budget_of_acmes() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    ids = [daily(alice).pk, meter(alice).pk, 2**62, 2**64]
    before = state()
    for address in ("/budgets/{}/", "/budgets/{}/end/", "/budgets/{}/top-up/"):
        for pk in ids:
            assert browser(charlie).post(address.format(pk), {"limit": "0", "amount": "5"}).status_code == 404
    assert browser(charlie).get(f"/budgets/{ids[0]}/").status_code == 404
    assert browser(charlie).post(list_of(alice.agent), PRESET | {"preset": "month", "usd": "1"}).status_code == 404
    assert state() == before
