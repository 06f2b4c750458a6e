"""After a load: nothing runs any more, the audit is green, and the ledger has what the provider billed."""

from collections import Counter
from decimal import Decimal

from agents.audit import audit
from agents.models import Reservation
from agents.money import PICO_PER_USD
from tests.proxy.stage import Stage, Worker, all_settled
from tests.servers import wait_until_ready

QUIET_SECONDS_MAX = 60.0


def close_books(on: Stage, worker: Worker, *, exact: bool = True) -> None:
    """Wait until nothing runs and compare every account; the worker's calls are all that the fake has billed.

    exact: nothing was abandoned, so that the ledger has the bill and not a pico more.
    """
    all_settled(QUIET_SECONDS_MAX)
    billed_pico = on.fake.billed_pico()
    assert worker.held_pico == 0
    spent_pico = worker.spent_pico
    assert spent_pico == billed_pico if exact else spent_pico >= billed_pico, f"{spent_pico} for {billed_pico} billed"
    each_call_covers_its_bill(on, worker, exact=exact)
    audit_is_green()


def stop_and_start_again(on: Stage) -> None:
    """Let every process end its calls and leave: when nobody waits, nothing else tells that the last one is over."""
    all_settled(QUIET_SECONDS_MAX)
    assert set(on.server.stop()) == {0}
    for index in range(len(on.server.processes)):
        on.server.start_again(index)
    wait_until_ready(on.server)


def each_call_covers_its_bill(on: Stage, worker: Worker, *, exact: bool) -> None:
    """Each line of the bill has its call, by the provider's own id of the request, and the call costs no less.

    Google names no requests: its lines and its calls are compared as sums.
    """
    paid_pico = Counter[str]()
    for row in worker.calls():
        paid_pico[row.provider_request_id] += row.cost_pico
    billed_pico = Counter[str]()
    for line in on.fake.bill():
        billed_pico[line["request_id"]] += int(Decimal(line["cost_usd"]) * PICO_PER_USD)
    for request_id, billed in billed_pico.items():
        paid = paid_pico[request_id]
        assert paid == billed if exact else paid >= billed, f"{paid} paid for {billed} of {request_id or 'Google'}"


def audit_is_green() -> None:
    """The database agrees with itself, nothing runs and nothing cost more than its ceiling."""
    report = audit()
    assert report.ok, "\n".join(report.lines())
    assert report.overrun_pico == 0
    assert not Reservation.objects.exists()
