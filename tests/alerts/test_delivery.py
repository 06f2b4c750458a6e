"""Bringing alerts to their addresses through a real mail server."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.utils import timezone

from agents.models import database_now
from alerts import delivery, raising
from alerts.models import Alert, Delivery, DeliveryState
from tests import cast
from tests.alerts.books import day_budget, refuse, spend
from tests.alerts.conftest import PostOffice, html_of, text_of

SECOND = timedelta(seconds=1)


def raise_and_deliver(at: datetime) -> None:
    """What the two tasks do."""
    for delivery_id in raising.raise_alerts(at):
        delivery.deliver(delivery_id, timezone.now())
    delivery.deliver_waiting(timezone.now())


@pytest.mark.django_db
def test_crossing_fifty_eighty_and_a_hundred_sends_three_mails_with_the_right_numbers(
    post_office: PostOffice,
) -> None:
    """G6."""
    budget = day_budget(cast.alice(time_zone="UTC"))
    now = database_now()
    for step, cents in enumerate(range(0, 510, 10)):
        spend(budget, cents, now)
        raise_and_deliver(now + step * SECOND)
    assert post_office.subjects == [
        "support-triage has reached 50 % of its $5.00 daily budget",
        "support-triage has reached 80 % of its $5.00 daily budget",
        "support-triage has reached 100 % of its $5.00 daily budget",
    ]
    assert "has spent $4.00 of its $5.00 daily budget (80 %)." in text_of(post_office.mails[1])
    assert {mail["To"] for mail in post_office.mails} == {"alice@acme.example"}


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_send_each_mail_once(post_office: PostOffice) -> None:
    """G2, G3: eight workers, all raising and delivering at the same moment, again and again."""
    budget = day_budget(cast.alice())
    now = database_now()
    for cents in (240, 250, 330, 400, 460, 500, 600):
        spend(budget, cents, now)
        _at_once(8, lambda: raise_and_deliver(database_now()))
    assert [subject.split("reached ")[1][:4] for subject in post_office.subjects] == ["50 %", "80 %", "100 "]
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.SENT}


@pytest.mark.django_db(transaction=True)
def test_many_workers_send_one_waiting_mail_once(post_office: PostOffice) -> None:
    post_office.delay_seconds = 0.2
    spend(day_budget(cast.alice()), 300, database_now())
    raising.raise_alerts(database_now())
    _at_once(8, lambda: delivery.deliver_waiting(timezone.now()))
    assert len(post_office.mails) == 1


def _at_once(count: int, work: Callable[[], object]) -> None:
    barrier = Barrier(count)

    def run() -> None:
        barrier.wait()
        try:
            work()
        finally:
            connection.close()

    threads = [Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.django_db
def test_a_dead_mail_server_is_tried_again_with_back_off_and_the_mail_is_sent_once(post_office: PostOffice) -> None:
    """G7."""
    spend(day_budget(cast.alice()), 300, database_now())
    post_office.close()
    now = timezone.now()
    raise_and_deliver(database_now())
    row = Delivery.objects.get()
    assert (row.state, row.attempt_count) == (DeliveryState.WAITING, 1)
    assert "could not be reached" in row.error
    assert timedelta(seconds=29) < row.next_attempt_at - now < timedelta(seconds=40)
    post_office.open()
    assert delivery.deliver_waiting(timezone.now()) == 0
    assert delivery.deliver_waiting(timezone.now() + timedelta(seconds=41)) == 0, "the claim itself looks at the clock"
    Delivery.objects.update(next_attempt_at=now)
    assert [delivery.deliver_waiting(timezone.now()) for _ in range(3)] == [1, 0, 0]
    assert len(post_office.mails) == 1
    row.refresh_from_db()
    assert (row.state, row.error, row.sent_at is not None) == (DeliveryState.SENT, "", True)


@pytest.mark.django_db
def test_after_the_last_attempt_the_delivery_has_failed_and_says_why(post_office: PostOffice) -> None:
    spend(day_budget(cast.alice()), 300, database_now())
    raising.raise_alerts(database_now())
    post_office.close()
    for _ in range(delivery.ATTEMPTS_MAX + 3):
        Delivery.objects.update(next_attempt_at=timezone.now())
        delivery.deliver_waiting(timezone.now())
    row = Delivery.objects.get()
    assert (row.state, row.attempt_count) == (DeliveryState.FAILED, delivery.ATTEMPTS_MAX)
    assert "could not be reached" in row.error


def test_attempts_reach_over_about_an_hour() -> None:
    assert timedelta(minutes=50) < sum(delivery.BACK_OFF, timedelta()) < timedelta(minutes=70)


@pytest.mark.django_db
def test_an_address_that_is_refused_for_good_fails_at_once_and_others_get_theirs(post_office: PostOffice) -> None:
    alice = cast.alice()
    bob = cast.bob(alice)
    alice.agent.created_by = bob.user
    alice.agent.save()
    post_office.refused.add(bob.user.email)
    spend(day_budget(alice), 300, database_now())
    raise_and_deliver(database_now())
    states = dict(Delivery.objects.values_list("address", "state"))
    assert states == {alice.user.email: DeliveryState.SENT, bob.user.email: DeliveryState.FAILED}


@pytest.mark.django_db
def test_a_claim_of_a_dead_process_is_taken_over(post_office: PostOffice) -> None:
    spend(day_budget(cast.alice()), 300, database_now())
    raising.raise_alerts(database_now())
    long_ago = timezone.now() - delivery.CLAIM_MAX - SECOND
    Delivery.objects.update(state=DeliveryState.SENDING, claimed_at=long_ago, attempt_count=1)
    assert delivery.deliver_waiting(timezone.now()) == 1
    assert len(post_office.mails) == 1


@pytest.mark.django_db
def test_a_claim_that_may_still_run_is_left_alone(post_office: PostOffice) -> None:
    spend(day_budget(cast.alice()), 300, database_now())
    raising.raise_alerts(database_now())
    Delivery.objects.update(state=DeliveryState.SENDING, claimed_at=timezone.now(), attempt_count=1)
    assert delivery.deliver_waiting(timezone.now()) == 0
    assert post_office.mails == []


@pytest.mark.django_db
def test_claims_that_die_again_and_again_end_as_failed(post_office: PostOffice) -> None:
    spend(day_budget(cast.alice()), 300, database_now())
    raising.raise_alerts(database_now())
    long_ago = timezone.now() - delivery.CLAIM_MAX - SECOND
    Delivery.objects.update(state=DeliveryState.SENDING, claimed_at=long_ago, attempt_count=delivery.ATTEMPTS_MAX)
    delivery.deliver_waiting(timezone.now())
    assert Delivery.objects.get().state == DeliveryState.FAILED


@pytest.mark.django_db
def test_the_mail_names_agent_amount_rate_reset_and_where_to_go(post_office: PostOffice) -> None:
    alice = cast.alice(time_zone="Europe/Oslo")
    budget = day_budget(alice)
    spend(budget, 487, database_now())
    refuse(alice, budget, database_now(), spent_cents=487, asked_cents=20)
    raise_and_deliver(database_now())
    [mail] = post_office.mails
    text, html = text_of(mail), html_of(mail)
    assert mail["Subject"] == "support-triage was refused at $4.87 of its $5.00 daily budget"
    for part in (text, html):
        assert "A call that could cost up to $0.20 was refused at $4.87 of $5.00." in part
        assert "(Europe/Oslo)" in part
        assert f"/agents/{alice.agent.id}/" in part
        assert f"/calls/?agent={alice.agent.id}" in part
    assert mail["Message-ID"] == f"<{Delivery.objects.get().id}@awx-shredder>"


@pytest.mark.django_db
def test_links_come_from_the_sites_own_address_only(post_office: PostOffice, settings: object) -> None:
    settings.SITE_URL = "https://shredder.example"  # type: ignore[attr-defined]
    spend(day_budget(cast.alice()), 300, database_now())
    raise_and_deliver(database_now())
    assert "https://shredder.example/agents/" in text_of(post_office.mails[0])


@pytest.mark.django_db
def test_a_hostile_agent_name_neither_adds_headers_nor_markup(post_office: PostOffice) -> None:
    alice = cast.alice()
    alice.agent.name = "x\r\nBcc: charlie@borealis.example\n<script>alert(1)</script>"
    alice.agent.save()
    spend(day_budget(alice), 300, database_now())
    raise_and_deliver(database_now())
    [mail] = post_office.mails
    assert mail["Bcc"] is None
    assert "<script>" not in html_of(mail)


@pytest.mark.django_db
def test_alerts_survive_a_crash_between_raising_and_delivering(post_office: PostOffice) -> None:
    spend(day_budget(cast.alice()), 300, database_now())
    raising.raise_alerts(database_now())  # and the process dies: nobody is told to deliver
    delivery.deliver_waiting(timezone.now())
    assert Alert.objects.count() == len(post_office.mails) == 1
