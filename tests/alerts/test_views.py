"""The page of alerts: what was told, to whom, and why it did not arrive."""

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import database_now
from alerts import delivery, raising
from alerts.models import Alert, AlertKind, Delivery, DeliveryState
from tests import cast
from tests.alerts.books import day_budget, new_budget, spend, use
from tests.alerts.conftest import PostOffice, html_of
from tests.cast import Person

pytestmark = pytest.mark.django_db


def browser(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


def page(client: Client, query: str = "") -> str:
    response = client.get(f"/alerts/{query}")
    assert response.status_code == 200
    return response.content.decode()


def raised(person: Person, cents: int = 300) -> None:
    spend(day_budget(person), cents, database_now())
    raising.raise_alerts(database_now())


def test_the_history_shows_what_was_told_and_that_it_arrived(post_office: PostOffice) -> None:
    """G5: the page shows the last delivery."""
    alice = cast.alice()
    raised(alice)
    delivery.deliver_waiting(timezone.now())
    shown = page(browser(alice))
    assert "support-triage has reached 50 % of its $5.00 daily budget" in shown
    assert "Sent</span> alice@acme.example" in shown
    assert "Last delivery:" in shown


def test_a_failure_and_its_reason_are_shown(post_office: PostOffice) -> None:
    alice = cast.alice()
    post_office.refused.add("alice@acme.example")
    raised(alice)
    delivery.deliver_waiting(timezone.now())
    shown = page(browser(alice))
    assert "1 message could not be delivered" in shown
    assert "The mail server said 550 no such mailbox" in shown


def test_a_retry_that_waits_says_when(post_office: PostOffice) -> None:
    alice = cast.alice()
    post_office.close()
    raised(alice)
    delivery.deliver_waiting(timezone.now())
    assert "Next attempt" in page(browser(alice))


def test_an_empty_history_says_when_the_first_alert_comes() -> None:
    assert "No alerts yet" in page(browser(cast.alice()))


def test_the_test_button_sends_a_real_mail_to_whoever_pressed_it(post_office: PostOffice) -> None:
    """G5."""
    bob = cast.bob(cast.alice())
    client = browser(bob)
    answer = client.post("/alerts/test/", follow=True)
    assert "A test message was sent to bob@acme.example." in answer.content.decode()
    assert [mail["To"] for mail in post_office.mails] == ["bob@acme.example"]
    client.post("/alerts/test/")
    client.post("/alerts/test/")
    assert len(post_office.mails) <= 2, "at most one a minute; two when the minute just changed"


def test_the_test_button_says_why_it_failed(post_office: PostOffice) -> None:
    post_office.close()
    answer = browser(cast.alice()).post("/alerts/test/", follow=True)
    assert "could not be sent" in answer.content.decode()
    assert Delivery.objects.get().state == DeliveryState.WAITING


def test_a_test_message_cannot_be_sent_by_a_link(post_office: PostOffice) -> None:
    assert browser(cast.alice()).get("/alerts/test/").status_code == 405


def test_charlie_sees_nothing_of_alices_alerts() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    raised(alice)
    shown = page(browser(charlie))
    assert "support-triage" not in shown
    assert "alice@acme.example" not in shown


def test_charlie_gets_a_404_for_alices_agent() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    raised(alice)
    assert browser(charlie).get(f"/alerts/?agent={alice.agent.id}").status_code == 404
    assert browser(charlie).get("/alerts/?agent=nonsense").status_code == 404
    assert browser(alice).get(f"/alerts/?agent={alice.agent.id}").status_code == 200


def test_a_stranger_has_to_sign_in() -> None:
    assert Client().get("/alerts/").status_code == 302
    assert Client().post("/alerts/test/").status_code == 302


def test_only_the_asked_agents_alerts_are_shown() -> None:
    alice = cast.alice()
    raised(alice)
    Alert.objects.create(
        organization=alice.organization,
        kind=AlertKind.KEY_REJECTED,
        subject="openai",
        facts={"provider": "openai", "key_hint": "abcd"},
    )
    client = browser(alice)
    assert "no longer accepts your key" in page(client)
    assert "no longer accepts your key" not in page(client, f"?agent={alice.agent.id}")


def test_many_alerts_come_in_pages() -> None:
    alice = cast.alice()
    for number in range(30):
        Alert.objects.create(
            organization=alice.organization, kind=AlertKind.KEY_REJECTED, subject=f"provider-{number:02}",
            facts={"provider": f"provider-{number:02}", "key_hint": "abcd"},
        )  # fmt: skip
    client = browser(alice)
    assert "provider-29" in page(client)
    assert "provider-03 no longer" not in page(client)
    assert "provider-03 no longer" in page(client, "?page=2")


def test_an_alert_of_a_crowd_says_where_it_is_told_and_its_words_are_plain() -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="session", unit="calls", window="session", limit=50)
    now = database_now()
    for number in range(7):
        use(alice, budget, 40, now, subject=f"run-{number}")
    raising.raise_alerts(now)
    shown = page(browser(alice))
    assert "Session run-3 of agent support-triage has used 40 of 50 calls" in shown
    assert shown.count("One of many: in the sum of its hour") == 2


def test_a_session_cannot_put_markup_on_the_page_or_into_the_mail(post_office: PostOffice) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="session", unit="calls", window="session", limit=50)
    use(alice, budget, 40, database_now(), subject="<script>alert(1)</script>")
    raising.raise_alerts(database_now())
    delivery.deliver_waiting(timezone.now())
    assert "<script>alert(1)" not in page(browser(alice))
    assert "<script>alert(1)" not in html_of(post_office.mails[0])
