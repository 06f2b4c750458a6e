"""Between proxy and PostgreSQL: lost answers, an absent store, too few connections. Refused, never over, never lost."""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from django.db import connection

from agents.audit import audit
from agents.ledger.connection import conninfo_of_django
from tests.faults.tcp_proxy import ProxyThread, proxied
from tests.proxy.load import Outcome, chat_body, run_load
from tests.proxy.stage import Stage, Worker, all_settled, settled, stage
from tests.servers import database_url

JSON = {"content-type": "application/json"}
PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def role(committed_database: str) -> Iterator[str]:
    """A user of the database whose connections can be counted and limited: a superuser's cannot."""
    name = f"squeezed_{secrets.token_hex(4)}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}' IN ROLE CURRENT_USER")
    yield name
    with connection.cursor() as cursor:
        cursor.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER")
        cursor.execute(f"DROP OWNED BY {name}")
        cursor.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
def line(committed_database: str) -> Iterator[ProxyThread]:
    """The network between the server and PostgreSQL."""
    with proxied(conninfo_of_django()) as thread:
        yield thread


@pytest.fixture(scope="module")
def whole_stage(
    committed_database: str, role: str, line: ProxyThread, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    address = urlsplit(database_url())._replace(netloc=f"{role}:{role}@127.0.0.1:{line.proxy.port}")
    environment = {"DATABASE_URL": urlunsplit(address)}
    with stage(tmp_path_factory.mktemp("stage"), environment=environment) as ready:
        yield ready


@pytest.fixture
def on(whole_stage: Stage, line: ProxyThread) -> Iterator[Stage]:
    whole_stage.fake.reset()
    wait_for(lambda: is_ready(whole_stage))
    yield whole_stage
    line.set(is_away=False, lose_answer=lambda: False)


def wait_for(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_ready(on: Stage) -> bool:
    return httpx.get(f"{on.server.address}/readyz", timeout=30).status_code == 200


def chat(on: Stage, worker: Worker, words: str = "tokens_out=5") -> httpx.Response:
    return on.post(worker.key, content=chat_body(words), headers=JSON)


def started(on: Stage, worker: Worker, words: str) -> Future[httpx.Response]:
    """A call that its provider is working on."""
    running = ThreadPoolExecutor(1).submit(chat, on, worker, words)
    wait_for(lambda: on.fake.stats()["open"] > 0)
    return running


def assert_turned_away(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert answer.headers["x-should-retry"] == "true"
    assert answer.json()["error"]["awx"]["reason"] == "ledger_away"


def run_calls(on: Stage, worker: Worker, count: int) -> Outcome:
    bodies = [chat_body(f"tokens_out={number % 9 + 1} delay_ms={number % 7 * 10}") for number in range(count)]
    return asyncio.run(run_load(on.server.address, worker.key, bodies, at_once=20))


def test_with_a_fifth_of_all_answers_lost_nothing_unknown_is_forwarded_and_the_sums_are_exact(
    on: Stage, line: ProxyThread
) -> None:
    """Rows 2 and 10 of docs/reliability.md; I3: operations that time out after applying count once."""
    worker, dice = on.worker("100"), random.Random(7)
    assert chat(on, worker).status_code == 200
    before = on.fake.stats()["requests"]
    line.set(lose_answer=lambda: dice.random() < 0.2)
    outcome = run_calls(on, worker, 100)
    line.set(lose_answer=lambda: False)
    all_settled()
    assert line.proxy.lost_count > 3
    assert set(outcome.statuses) <= {200, 503}
    assert worker.held_pico == 0
    assert worker.spent_pico == on.fake.billed_pico()
    ends = Counter((row.status, row.seq) for row in worker.calls())
    assert ends["settled", 0] == on.fake.stats()["requests"] == before + outcome.statuses[200]
    assert set(ends) <= {("settled", 0), ("voided", 0)}
    report = audit()
    assert report.ok, "\n".join(report.lines())


@contextmanager
def refusing_writes() -> Iterator[None]:
    """Every change of a balance fails, as on a full disk."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$"
        )
        cursor.execute("CREATE TRIGGER refuse BEFORE UPDATE ON balance FOR EACH STATEMENT EXECUTE FUNCTION refuse()")
        yield
        cursor.execute("DROP FUNCTION refuse CASCADE")


def test_a_store_that_cannot_write_refuses_calls_within_a_second_and_forwards_nothing(on: Stage) -> None:
    """I1."""
    worker = on.worker()
    assert chat(on, worker).status_code == 200
    all_settled()
    with refusing_writes():
        for _ in range(3):
            began = time.monotonic()
            assert_turned_away(chat(on, worker))
            assert time.monotonic() - began < 1
    assert on.fake.stats()["requests"] == 1
    wait_for(lambda: chat(on, worker).status_code == 200)


def connections_of(role: str) -> dict[int, str]:
    """The server's connections: process ids and what each is for."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid, application_name FROM pg_stat_activity WHERE usename = %s", [role])
        return dict(cursor.fetchall())


@contextmanager
def squeezed(role: str, keep: str) -> Iterator[None]:
    """No more connections can be had, and all are gone whose purpose does not contain `keep`."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
        for pid, purpose in connections_of(role).items():
            if not keep or keep not in purpose:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        yield
        cursor.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")


def test_without_a_connection_for_the_look_up_no_key_is_called_invalid(on: Stage, role: str) -> None:
    """Row 24 of docs/reliability.md; I6: 503 with Retry-After, never 401; who is known is served."""
    known, unknown = on.worker(), on.worker()
    assert chat(on, known).status_code == 200
    with squeezed(role, keep="shredder ledger"):
        assert_turned_away(chat(on, unknown))
        assert chat(on, known).status_code == 200
    wait_for(lambda: chat(on, unknown).status_code == 200)


def test_without_a_connection_for_the_ledger_calls_are_refused_and_endings_wait(on: Stage, role: str) -> None:
    """Row 24 of docs/reliability.md; I6."""
    worker = on.worker()
    running = started(on, worker, "tokens_out=7 delay_ms=800")
    with squeezed(role, keep=""):
        for _ in range(3):
            assert_turned_away(chat(on, worker))
        answer = running.result()
        assert answer.status_code == 200, "the answer of a running call is not held up"
        assert worker.held_pico > 0
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.status, row.basis) == ("settled", "usage")
    wait_for(lambda: is_ready(on))
    assert worker.held_pico == 0
    assert worker.spent_pico == on.fake.billed_pico() > 0
    assert on.fake.stats()["requests"] == 1


def test_a_process_that_starts_before_its_database_recovers_and_one_that_dies_without_it_is_charged(
    on: Stage, line: ProxyThread
) -> None:
    """Row 11 of docs/reliability.md; I7: readiness was false meanwhile, and no key was called invalid."""
    worker = on.worker()
    running = started(on, worker, "tokens_out=7 delay_ms=400")
    line.set(is_away=True)
    assert running.result().status_code == 200
    on.server.kill(0)
    on.server.start_again(0)
    wait_for(lambda: is_alive(on))
    assert not is_ready(on)
    assert_turned_away(chat(on, worker))
    assert on.fake.stats()["requests"] == 1
    line.set(is_away=False)
    wait_for(lambda: is_ready(on))
    assert chat(on, worker).status_code == 200
    all_settled()
    first, second = worker.calls()
    assert (first.status, first.basis, first.cost_pico) == ("expired", "worst_case", first.held_pico)
    assert (second.status, second.basis) == ("settled", "usage")
    assert worker.spent_pico >= on.fake.billed_pico() > 0
    assert worker.held_pico == 0


def is_alive(on: Stage) -> bool:
    try:
        return httpx.get(f"{on.server.address}/healthz", timeout=30).status_code == 200
    except httpx.HTTPError:
        return False
