"""Books that differ are told: once to each organisation that is concerned, and in the log at every run."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection

from agents.audit import AuditReport, Check, audit
from agents.models import Balance
from alerts import raising, tasks
from alerts.emails import letter
from alerts.models import Alert, AlertKind, Delivery
from shredder.celery import TIMETABLE
from tests import cast
from tests.alerts.books import day_budget, spend
from tests.cast import Person

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


def found(*differences: tuple[Person | None, str], hours: int = 0) -> AuditReport:
    """A report with these differences; each sentence is its own key."""
    check = Check("spent", "spent is the sum of its calls")
    for person, sentence in differences:
        check.add(sentence, person.organization.id if person else None)
    return AuditReport(at=AT + timedelta(hours=hours), checks=[check])


def told(person: Person) -> list[list[str]]:
    alerts = Alert.objects.for_org(person.organization).filter(kind=AlertKind.AUDIT).order_by("raised_at")
    return [alert.facts["differences"] for alert in alerts]


@pytest.mark.django_db
def test_each_organisation_hears_of_its_own_books_only() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    raising.raise_differences(found((alice, "balance 1"), (alice, "balance 2"), (None, "a day")))
    assert told(alice) == [["balance 1", "balance 2"]]
    assert told(charlie) == []
    assert set(Delivery.objects.values_list("address", flat=True)) == {alice.user.email}


@pytest.mark.django_db
def test_a_difference_is_told_once_and_a_new_one_again() -> None:
    alice = cast.alice()
    for hours in range(3):
        raising.raise_differences(found((alice, "one"), hours=hours))
    raising.raise_differences(found((alice, "one"), (alice, "two"), hours=3))
    raising.raise_differences(found((alice, "two"), hours=4))
    assert told(alice) == [["one"], ["two"]]


@pytest.mark.django_db
def test_a_green_run_tells_nothing_and_what_comes_back_is_new() -> None:
    alice = cast.alice()
    raising.raise_differences(found((alice, "one")))
    assert raising.raise_differences(found(hours=1)) == []
    assert told(alice) == [["one"]]
    raising.raise_differences(found((alice, "one"), hours=2))
    assert told(alice) == [["one"], ["one"]]


@pytest.mark.django_db
def test_a_flood_is_one_message_that_counts_the_rest() -> None:
    alice = cast.alice()
    flood = [(alice, f"balance {number:04}") for number in range(1_500)]
    raising.raise_differences(found(*flood))
    [alert] = Alert.objects.filter(kind=AlertKind.AUDIT)
    written = letter(alert)
    assert written.subject.startswith("Books differ: 1000 differences")
    assert [one for one in written.sentences if one.startswith("balance")] == [f"balance {n:04}" for n in range(10)]
    assert "And 990 more." in written.sentences
    assert (
        raising.raise_differences(found(*[(alice, f"balance {number:04}") for number in range(1_500)], hours=1)) == []
    )


@pytest.mark.django_db
def test_calls_of_an_organisation_that_is_gone_disturb_nobody() -> None:
    report = found((cast.alice(), "one"))
    report.checks[0].add("two", UUID(int=7))
    assert len(raising.raise_differences(report)) == 1


@pytest.mark.django_db
def test_every_run_says_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    alice = cast.alice()
    for hours in range(2):
        raising.raise_differences(found((alice, "one"), (None, "two"), hours=hours))
    raising.raise_differences(found(hours=2))
    lines = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert [line.__dict__["differences"] for line in lines] == [["one", "two"]] * 2


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Deliveries that the task started, and whether a transaction was open."""
    rows: list[tuple[str, bool]] = []
    monkeypatch.setattr(tasks.deliver, "delay", lambda row: rows.append((row, connection.in_atomic_block)))
    return rows


@pytest.mark.django_db(transaction=True)
def test_the_task_audits_and_tells_what_it_found(started: list[tuple[str, bool]]) -> None:
    """A balance says more than its calls: told by one run, quiet in the next, told again when it grows."""
    alice = cast.alice()
    tasks.audit_books.apply(throw=True)
    assert started == []
    spend(day_budget(alice), 300, audit().at)
    for _ in range(2):
        tasks.audit_books.apply(throw=True)
    assert started == [(str(Delivery.objects.get().id), False)]
    [[sentence]] = told(alice)
    assert sentence.endswith(f"spent is {3 * 10**12}, should be 0, difference +{3 * 10**12}")
    Balance.objects.update(spent=4 * 10**12)
    tasks.audit_books.apply(throw=True)
    assert len(told(alice)) == len(started) == 2
    Balance.objects.update(spent=0)
    tasks.audit_books.apply(throw=True)
    assert len(told(alice)) == 2


@pytest.mark.django_db(transaction=True)
def test_a_task_that_meets_another_audit_leaves_it_alone(started: list[tuple[str, bool]]) -> None:
    import psycopg

    from agents.ledger.connection import conninfo_of_django

    spend(day_budget(cast.alice()), 300, audit().at)
    with psycopg.connect(conninfo_of_django(), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('audit', 0))")
        tasks.audit_books.apply(throw=True)
    assert started == []


def test_the_books_are_audited_every_hour() -> None:
    assert TIMETABLE[tasks.audit_books.name] == 3_600
