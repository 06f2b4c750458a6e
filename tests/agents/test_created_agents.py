"""Agents that their first call makes (W6 b, W7): only where allowed, held by a hard limit, so many a day, and once."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from queue import SimpleQueue
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from accounts.models import Organization
from agents import budgets, created_agents
from agents.created_agents import AgentRejected, CreationTerms, agent_for
from agents.models import Agent, Budget, Mode, Scope, Unit, Window
from agents.money import PICO_PER_USD
from tests import cast

pytestmark = pytest.mark.django_db
DOLLAR = PICO_PER_USD
MAKER = "organisation key awx_org_ab12cd34…"


def open_house(
    person: cast.Person, *, new_agents_max: int = 20, daily_pico: int = 2 * DOLLAR, limit_pico: int | None = 50 * DOLLAR
) -> Organization:
    """The person's organisation, which lets calls create agents under a hard daily limit of its own."""
    created_agents.change_terms(person.organization, CreationTerms(True, new_agents_max, daily_pico), by=person.user)
    if limit_pico is not None:
        budgets.set_limit(budgets.ensure_organization_meter(person.organization), limit_pico, person.user)
    person.organization.refresh_from_db()
    return person.organization


def named(organization: Organization, slug: str = "writer", daily_pico: int | None = None) -> Agent:
    return agent_for(organization, slug, daily_pico=daily_pico, maker=MAKER)


def problem(organization: Organization, slug: str = "writer") -> str:
    with pytest.raises(AgentRejected) as caught:
        named(organization, slug)
    assert not Agent.objects.filter(organization=organization, slug="writer", archived_at=None).exists()
    return caught.value.problem


def own_limit_pico(agent: Agent) -> int | None:
    budget = Budget.objects.get(agent=agent)
    assert (budget.scope, budget.unit, budget.window, budget.mode) == (Scope.AGENT, Unit.USD, Window.DAY, Mode.HARD)
    return budget.limit


def test_an_agent_that_is_there_answers_to_its_id_and_to_nobody_elses_key() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    assert named(alice.organization, "support-triage") == alice.agent
    assert problem(charlie.organization, "support-triage") == "not_allowed"


def test_a_call_creates_no_agent_unless_the_organisation_allows_it() -> None:
    assert problem(cast.alice().organization) == "not_allowed"


def test_a_call_that_names_no_agent_has_none() -> None:
    assert problem(open_house(cast.alice()), "") == "missing"


@pytest.mark.parametrize(
    "change", [{"limit": None}, {"mode": Mode.SOFT}, {"window": Window.MONTH}, {"unit": Unit.TOKENS}]
)
def test_no_agent_is_created_without_a_hard_daily_dollar_limit_of_the_organisation(change: dict[str, object]) -> None:
    """E7: whatever a header names, a budget of the organisation stands behind it."""
    organization = open_house(cast.alice())
    Budget.objects.filter(organization=organization, agent=None).update(**change)
    assert problem(organization) == "no_budget"


@pytest.mark.parametrize(
    ("asked_pico", "limit_pico"),
    [(None, 2 * DOLLAR), (DOLLAR, DOLLAR), (2 * DOLLAR, 2 * DOLLAR), (2 * DOLLAR + 1, 2 * DOLLAR), (0, 0)],
)
def test_a_created_agent_gets_the_smaller_of_header_and_default(asked_pico: int | None, limit_pico: int) -> None:
    """E8: a header can lower a limit and never raise it."""
    organization = open_house(cast.alice())
    assert own_limit_pico(named(organization, daily_pico=asked_pico)) == limit_pico


def test_a_header_never_moves_the_limit_of_an_agent_that_is_there() -> None:
    """E8, E9."""
    alice = cast.alice()
    organization = open_house(alice, daily_pico=100 * DOLLAR)
    for asked_pico in (DOLLAR, 90 * DOLLAR):
        assert own_limit_pico(named(organization, "support-triage", asked_pico)) == 5 * DOLLAR


def test_the_audit_log_says_whose_key_created_an_agent() -> None:
    organization = open_house(cast.alice())
    agent = named(organization)
    entry = organization.audit_entries.filter(action="agent.created").latest("at")
    assert (entry.target, entry.user, entry.details["created_by"]) == ("writer", None, MAKER)
    assert (agent.created_by_call, agent.name, agent.created_by) == (True, "writer", None)


def test_an_archived_id_stays_refused() -> None:
    organization = open_house(cast.alice())
    budgets.archive(named(organization), None)
    assert problem(organization) == "archived"


def test_a_suspended_organisation_has_no_agents() -> None:
    alice = cast.alice()
    organization = open_house(alice)
    organization.suspended_at = alice.organization.created_at
    assert problem(organization, "support-triage") == "suspended"


def test_the_twenty_first_new_agent_of_a_day_waits_for_the_organisations_midnight(time_machine) -> None:
    """The day is the organisation's: Kiritimati is fourteen hours ahead of UTC."""
    alice = cast.alice(time_zone="Pacific/Kiritimati")
    organization = open_house(alice)
    midnight = datetime(2026, 11, 26, tzinfo=ZoneInfo("Pacific/Kiritimati"))
    time_machine.move_to(midnight - timedelta(hours=24, seconds=1), tick=False)
    named(organization, "of-the-day-before")
    time_machine.move_to(midnight - timedelta(hours=24), tick=False)
    for number in range(20):
        named(organization, f"worker-{number}")
    budgets.create_agent(organization, "Made by a person", daily_limit_pico=DOLLAR, by=alice.user)
    time_machine.move_to(midnight - timedelta(microseconds=1), tick=False)
    assert problem(organization, "worker-20") == "too_many"
    assert named(organization, "worker-7").slug == "worker-7", "those that are there go on"
    time_machine.move_to(midnight, tick=False)
    assert named(organization, "worker-20").slug == "worker-20"


def test_archiving_makes_no_room_for_another_agent_that_day() -> None:
    organization = open_house(cast.alice(), new_agents_max=1)
    budgets.archive(named(organization, "first"), None)
    assert problem(organization) == "too_many"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "slugs", [["writer"] * 8, [f"worker-{number}" for number in range(8)]], ids=["same", "different"]
)
def test_first_calls_at_once_make_each_agent_once_and_no_more_than_the_day_allows(slugs: list[str]) -> None:
    """A2: whichever worker is first, the others find what it made."""
    organization = open_house(cast.alice(), new_agents_max=3)

    def call(slug: str) -> str:
        try:
            return str(named(organization, slug).id)
        except AgentRejected as rejected:
            return rejected.problem
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, slugs))
    made = Agent.objects.filter(organization=organization, created_by_call=True)
    expected = min(3, len(set(slugs)))
    assert made.count() == Budget.objects.filter(agent__in=made).count() == expected
    assert set(answers) - {"too_many"} == {str(agent.id) for agent in made}


def begun_beside[T](pool: ThreadPoolExecutor, work: Callable[[], T]) -> Future[T]:
    """Work on a connection of its own that waits, by now, for the transaction that is open here."""
    started: SimpleQueue[int] = SimpleQueue()

    def connected() -> T:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                started.put(cursor.fetchone()[0])
            return work()
        finally:
            connection.close()

    working, deadline = pool.submit(connected), time.monotonic() + 5
    pid = started.get(timeout=5)
    with connection.cursor() as cursor:
        while cursor.execute("SELECT pg_backend_pid() = ANY (pg_blocking_pids(%s))", [pid]).fetchone() != (True,):
            assert not working.done(), "it waited for nobody"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    return working


@pytest.mark.django_db(transaction=True)
def test_an_agent_that_is_being_created_when_all_are_stopped_is_stopped_too() -> None:
    """B5: the call was first, and the stop waits for what it makes."""
    alice = cast.alice()
    organization = open_house(alice)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            agent = named(organization)
            stopping = begun_beside(pool, lambda: budgets.stop_all(alice.organization, alice.user))
        assert stopping.result(timeout=5) == 2
    agent.refresh_from_db()
    assert agent.stopped_at is not None


@pytest.mark.django_db(transaction=True)
def test_no_agent_is_created_while_all_are_being_stopped_or_after() -> None:
    """B5: a loop goes on under no new id. The call saw that it might create one, and waited for the stop."""
    alice = cast.alice()
    organization = open_house(alice)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            budgets.stop_all(alice.organization, alice.user)
            calling = begun_beside(pool, lambda: problem(organization))
        assert calling.result(timeout=5) == "not_allowed"
    organization.refresh_from_db()
    assert problem(organization) == "not_allowed"
    assert named(organization, "support-triage") == alice.agent, "which the stop took"
    assert named(open_house(alice)).stopped_at is None, "somebody allowed it again"


@pytest.mark.django_db(transaction=True)
def test_a_stop_of_all_takes_back_what_somebody_allows_at_that_moment() -> None:
    alice = cast.alice()
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            organization = open_house(alice, limit_pico=None)
            stopping = begun_beside(pool, lambda: budgets.stop_all(alice.organization, alice.user))
        assert stopping.result(timeout=5) == 1
    assert problem(organization) == "not_allowed"


def test_a_change_of_the_terms_is_audited_once() -> None:
    alice = cast.alice()
    for _ in range(2):
        created_agents.change_terms(alice.organization, CreationTerms(True, 5, DOLLAR), by=alice.user)
    (entry,) = alice.organization.audit_entries.filter(action="organization.new_agents_changed")
    assert entry.details["to"] == {"allowed": "yes", "a_day": "5", "daily_pico": str(DOLLAR)}
