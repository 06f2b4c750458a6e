"""Five dollars crossed step by step by real calls: client, proxy, ledger, worker, timetable and mail are real."""

import time
from collections.abc import Iterator

import openai
import pytest
from django.conf import settings
from django.db.models import Sum
from redis import Redis

from agents.models import Call, CallStatus, HourlyUsage
from alerts.models import Alert, Delivery, DeliveryState
from shredder.celery import app
from tests.alerts.conftest import PostOffice, text_of
from tests.alerts.processes import celery_processes
from tests.proxy.stage import Stage, Worker, all_settled, stage

USD = 10**12
QUEUE = app.conf.task_default_queue
MAIL_SECONDS_MAX = 120.0
QUEUE_SECONDS_MAX = 60.0
SUMS_SECONDS_MAX = 60.0
ONE_CALL = "[[tokens_out=16000 tokens_in=20]]"  # about 16 cents of gpt-4o


@pytest.fixture(scope="module")
def office() -> Iterator[PostOffice]:
    open_office = PostOffice()
    open_office.open()
    yield open_office
    open_office.close()


@pytest.fixture(scope="module")
def installation(
    committed_database: str, office: PostOffice, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Two web processes and two workers of two."""
    folder = tmp_path_factory.mktemp("installation")
    with stage(folder, workers=2) as ready:
        mail = {"EMAIL_URL": f"smtp://127.0.0.1:{office.port}", "SITE_URL": ready.server.address}
        with celery_processes(folder, workers=2, beats=1, environment=mail):
            yield ready


def test_five_dollars_step_by_step_send_three_mails_and_refuse_the_call_that_does_not_fit(
    installation: Stage, office: PostOffice
) -> None:
    worker = installation.worker("5")
    client = installation.openai_client(worker.key)
    _spend(client, worker, 2.5)
    _wait_for_mails(office, 1)  # as the timetable has it; later ones need not wait for it
    _spend(client, worker, 4.0)
    _let_a_round_pass()
    _wait_for_mails(office, 2)
    refusal = _spend_until_refused(client)
    _check_refusal(refusal, worker)
    for _ in range(3):
        _let_a_round_pass()
    _wait_for_mails(office, 3)
    fifty, eighty, hundred = office.mails
    assert "has reached 50 % of its $5.00 daily budget" in fifty["Subject"]
    assert "has reached 80 % of its $5.00 daily budget" in eighty["Subject"]
    assert "was refused at $4.9" in hundred["Subject"]
    assert {mail["To"] for mail in office.mails} == {installation.alice.user.email}
    assert installation.server.address in text_of(hundred)
    assert [alert.threshold for alert in Alert.objects.order_by("raised_at")] == [50, 80, 100]
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.SENT}
    _check_sums(worker)


def _spend(client: openai.OpenAI, worker: Worker, dollars: float) -> None:
    """Make calls until that much is spent, one after the other."""
    while worker.spent_pico < dollars * USD:
        _call(client)
        all_settled()


def _spend_until_refused(client: openai.OpenAI) -> openai.RateLimitError:
    for _ in range(20):
        try:
            _call(client)
        except openai.RateLimitError as error:
            return error
        all_settled()
    raise AssertionError("the budget never refused")


def _call(client: openai.OpenAI) -> None:
    client.chat.completions.create(
        model="gpt-4o", max_tokens=16_000, messages=[{"role": "user", "content": f"Say hello {ONE_CALL}"}]
    )


def _let_a_round_pass() -> None:
    """Have the workers look for alerts and mails, as the timetable does every few seconds, and wait until they have."""
    for name in ("alerts.tasks.raise_alerts", "alerts.tasks.deliver_waiting"):
        app.send_task(name)
    with Redis.from_url(settings.REDIS_URL) as broker:
        deadline = time.monotonic() + QUEUE_SECONDS_MAX
        while broker.llen(QUEUE) or broker.hlen("unacked"):  # acknowledged once they have run
            assert time.monotonic() < deadline, "the workers do not work"
            time.sleep(0.05)


def _wait_for_mails(office: PostOffice, count: int) -> None:
    deadline = time.monotonic() + MAIL_SECONDS_MAX
    while len(office.mails) < count:
        assert time.monotonic() < deadline, f"only these mails came: {office.subjects}"
        time.sleep(0.1)


def _check_refusal(refusal: openai.RateLimitError, worker: Worker) -> None:
    """W9's body, and one request of the client, not three."""
    body = refusal.body
    assert isinstance(body, dict)
    assert (body["type"], body["code"]) == ("insufficient_quota", "insufficient_quota")
    refused = Call.objects.filter(agent_id=worker.agent.id, status=CallStatus.REFUSED)
    deadline = time.monotonic() + MAIL_SECONDS_MAX
    while not refused.exists():
        assert time.monotonic() < deadline, "the refusal is not in the book"
        time.sleep(0.1)
    assert [(row.reason, row.repeat_count) for row in refused] == [("budget_exceeded", 1)]
    assert worker.spent_pico <= 5 * USD


def _check_sums(worker: Worker) -> None:
    """The worker sums the hours, and they are what the book and the balance say."""
    app.send_task("agents.tasks.roll_up")  # rather than wait for the timetable
    deadline = time.monotonic() + SUMS_SECONDS_MAX
    rows = HourlyUsage.objects.filter(agent_id=worker.agent.id)
    while rows.aggregate(sum=Sum("cost_pico"))["sum"] != worker.spent_pico:
        assert time.monotonic() < deadline, list(rows.values("hour", "cost_pico"))
        time.sleep(0.5)
    assert rows.aggregate(sum=Sum("refused_count"))["sum"] == 1
