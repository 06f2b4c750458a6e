"""The call log and a call's page."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.ids import uuid7
from agents import budgets
from agents.ledger import partitions
from agents.models import CallStatus, Reservation
from agents.pricebook import current_book
from agents.reports.calls import CallPage
from tests import cast
from tests.agents.pages_house import CENT, book_call, browser, refuse_call

pytestmark = pytest.mark.django_db
LOG = "/calls/"


def _page(person: cast.Person, address: str = LOG) -> str:
    return browser(person).get(address).content.decode()


def _shown_ids(page: str) -> list[str]:
    return re.findall(r'class="log-time"><a\s+href="/calls/([0-9a-f-]{36})/', page)


def _run_call(person: cast.Person, **start: str) -> Reservation:
    now = timezone.now()
    return Reservation.objects.create(
        call_id=uuid7(), organization_id=person.organization.id, agent_id=person.agent.id, owner=uuid4(),
        reserved_at=now, deadline_at=now + timedelta(minutes=5), usd_pico=7 * CENT, tokens=1, balance_ids=[],
        start={"model": "gpt-4o", "provider": "openai", **start},
    )  # fmt: skip


def test_the_log_is_newest_first_and_pages_without_gap_or_double() -> None:
    alice, now = cast.alice(), timezone.now()
    made = [str(book_call(alice, now - timedelta(seconds=120 - number)).call_id) for number in range(120)]
    seen: list[str] = []
    address = LOG
    for _ in range(4):
        page = _page(alice, address)
        seen += _shown_ids(page)
        # A call that arrives between two pages shifts nothing.
        book_call(alice)
        older = re.search(r'href="/calls/\?([^"]+)"\s+rel="next"', page)
        if older is None:
            break
        address = f"{LOG}?{older[1].replace('&amp;', '&')}"
    assert seen == made[::-1]
    assert "That is all." in page


def test_running_calls_stand_on_top_with_what_they_hold() -> None:
    alice = cast.alice()
    done, running = book_call(alice), _run_call(alice)
    page = _page(alice)
    assert _shown_ids(page) == [str(running.call_id), str(done.call_id)]
    assert "holds $0.07" in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [("status=running", 1), ("status=settled", 0), ("model=gpt-4o", 1), ("model=x", 0), ("session=s", 0),
     ("q=gpt-4", 1), ("cost_min=1", 0), ("range=custom&since=2026-11-01&until=2026-11-02", 0)],
)  # fmt: skip
def test_filters_hold_for_running_calls_too(query: str, shown: int) -> None:
    alice = cast.alice()
    _run_call(alice)
    assert len(_shown_ids(_page(alice, f"{LOG}?{query}"))) == shown


def test_a_flood_of_refusals_is_one_row_with_count_and_sum() -> None:
    alice = cast.alice()
    refuse_call(alice, asked_pico=2 * CENT, repeat_count=1234)
    page = _page(alice)
    assert "× 1,234" in page
    assert "asked $24.68" in page
    assert "the budget is used up" in page


def test_no_calls_yet_is_not_no_calls_match() -> None:
    alice = cast.alice()
    assert "No calls yet" in _page(alice)
    assert "Connect your agents" in _page(alice)
    book_call(alice)
    page = _page(alice, f"{LOG}?model=nothing")
    assert "No calls match" in page
    assert "Clear the filters" in page
    beyond = _page(alice, f"{LOG}?before=00000000-0000-0000-0000-000000000001")
    assert "No older calls" in beyond
    assert "There were no calls" not in beyond


def test_an_empty_log_offers_each_what_they_may() -> None:
    alice = cast.alice()
    budgets.archive(alice.agent, by=alice.user)
    assert "/agents/new/" in _page(alice)
    assert "/agents/new/" not in _page(cast.vera(alice))


def test_calls_out_of_range_are_not_shown() -> None:
    partitions.ensure(days_back=9)
    alice, now = cast.alice(), timezone.now()
    book_call(alice, now - timedelta(hours=2))
    old = book_call(alice, now - timedelta(days=5))
    assert _shown_ids(_page(alice, f"{LOG}?range=1h")) == []
    assert str(old.call_id) not in _page(alice)
    assert str(old.call_id) in _page(alice, f"{LOG}?range=7d")


@pytest.mark.parametrize("query", ["", "?range=", "?model=x"])
def test_the_filter_form_shows_the_range_in_force(query: str) -> None:
    page = _page(cast.alice(), f"{LOG}{query}")
    assert re.findall(r'<option value="(\w+)" selected>', page.partition('name="range"')[2])[0] == "24h"
    assert re.search(r'<a class="chip"[^>]*aria-current="true">24 hours<', page)


def test_days_beside_a_preset_range_are_not_passed_over() -> None:
    page = _page(cast.alice(), f"{LOG}?range=24h&since=2026-11-01&until=2026-11-02")
    assert "Choose Custom for days of your own, or leave the days empty." in page
    assert "A filter cannot be read" in page


def test_a_bad_filter_is_named_and_breaks_nothing() -> None:
    alice = cast.alice()
    book_call(alice)
    response = browser(alice).get(f"{LOG}?cost_min=-7&before=nonsense&after=x")
    page = response.content.decode()
    assert response.status_code == 200
    assert "must not be negative" in page
    assert _shown_ids(page) == []


def test_a_search_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    book_call(alice)

    def slowly(*_: object) -> CallPage:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(3)")
        raise AssertionError("the statement was not given up")

    monkeypatch.setattr("agents.reports.patience.PAGE_SECONDS", 0.05)
    monkeypatch.setattr("agents.reports.calls.page_of", slowly)
    page = _page(alice, f"{LOG}?q=everything")
    assert "This search takes too long" in page


def test_an_open_log_asks_only_for_the_number_of_new_calls() -> None:
    alice = cast.alice()
    first = book_call(alice)
    book_call(alice)
    client = browser(alice)
    with CaptureQueriesContext(connection) as queries:
        response = client.get(f"{LOG}?after={first.call_id}", headers={"HX-Request": "true"})
    page = response.content.decode()
    assert "1 new call: show" in page
    assert "<html" not in page
    assert len([query for query in queries if "SELECT" in query["sql"]]) <= 5


def test_the_logs_queries_do_not_grow_with_its_rows() -> None:
    alice = cast.alice()
    client = browser(alice)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(LOG)
        return len(queries)

    book_call(alice)
    few = count()
    for _ in range(30):
        book_call(alice)
        refuse_call(alice)
    assert count() == few <= 13


def test_every_query_on_the_book_is_bounded_by_ids() -> None:
    alice = cast.alice()
    book_call(alice)
    client = browser(alice)
    with CaptureQueriesContext(connection) as queries:
        client.get(LOG)
        client.get(reverse("agents:overview"))
        client.get(reverse("agents:agent_detail", args=[alice.agent.id]))
    on_book = [query["sql"] for query in queries if 'FROM "call"' in query["sql"]]
    assert on_book
    assert all('"call"."call_id" >=' in sql or '"call"."call_id" <' in sql for sql in on_book)


def test_a_settled_call_explains_its_cost_line_by_line() -> None:
    """C2."""
    alice = cast.alice()
    row = current_book().row("openai", "gpt-4o-mini", timezone.now())
    rates = row.rates("default", 1500)
    assert rates.input is not None
    assert rates.cache_read is not None
    assert rates.output is not None
    cost_pico = 1000 * rates.input + 500 * rates.cache_read + 50 * rates.output
    call = book_call(
        alice, cost_pico=cost_pico, cache_read_tokens=500, price_version=current_book().version,
        pricing={"row": row.row_id}, provider_request_id="req_77", duration_ms=1900, first_byte_ms=400, basis="usage",
    )  # fmt: skip
    page = _page(alice, f"{LOG}{call.call_id}/")
    assert row.row_id in page
    assert "Input read from the cache" in page
    assert f"${rates.input * 1_000_000 / 10**12:.2f}" in page
    assert page.count("$0.000217") + page.count("$0.0002175") >= 1
    for fact in ("req_77", "1.9 s", "400 ms", "Provider&#x27;s usage", current_book().version):
        assert fact in page


def test_a_call_of_an_unknown_price_book_still_has_its_page() -> None:
    alice = cast.alice()
    call = book_call(alice, price_version="000000000000", pricing={"row": "openai/gone", "audio_input": 7})
    page = _page(alice, f"{LOG}{call.call_id}/")
    assert "Audio input" in page
    assert "openai/gone" in page


def test_a_refusal_shows_the_numbers_that_decided() -> None:
    alice = cast.alice()
    facts = {"scope": "agent", "unit": "usd", "limit": "5.000000", "spent": "4.870000", "held": "0.000000"}
    call = refuse_call(alice, asked_pico=20 * CENT, facts=facts)
    page = _page(alice, f"{LOG}{call.call_id}/")
    assert "Refused before it left: the budget is used up." in page
    assert "$4.87" in page
    assert "Nothing reached the provider" in page


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"scope": "call", "unit": "tokens", "limit": "8000", "asked": "12345"}, ["Limit for one call", "12,345"]),
        ({"scope": "call", "unit": "usd", "limit": "0.010000", "asked": "0.250000"}, ["Limit for one call", "$0.25"]),
        ({"scope": "agent", "unit": "calls", "limit": "100", "spent": "100", "held": "0"}, ["Spent then", "100"]),
        ({"scope": "agent", "unit": "usd", "limit": "nonsense", "spent": None}, []),
    ],
)
def test_a_refusal_speaks_in_the_unit_of_its_limit(facts: dict[str, object], shown: list[str]) -> None:
    alice = cast.alice()
    page = _page(alice, f"{LOG}{refuse_call(alice, facts=facts).call_id}/")
    assert [words for words in shown if words not in page] == []


def test_a_cached_answer_says_what_it_saved_and_which_call_made_it() -> None:
    alice = cast.alice()
    first = book_call(alice, cost_pico=3 * CENT)
    again = book_call(
        alice, cost_pico=0, status=CallStatus.CACHED, held_pico=0, input_tokens=0, output_tokens=0,
        facts={"saved_pico": 3 * CENT, "original": str(first.call_id)},
    )  # fmt: skip
    log, page = _page(alice, f"{LOG}?status=cached"), _page(alice, f"{LOG}{again.call_id}/")
    assert _shown_ids(log) == [str(again.call_id)]
    assert "Answered from the cache" in log
    assert "saved $0.0300" in log
    assert "$0.0300" in page
    assert f"/calls/{first.call_id}/" in page
    assert "Basis of the cost" not in page


def test_an_expired_call_says_how_it_was_corrected() -> None:
    alice = cast.alice()
    call = book_call(alice, cost_pico=10 * CENT, status=CallStatus.EXPIRED)
    book_call(alice, call.reserved_at, call_id=call.call_id, seq=1, status="corrected", reason="late_settle",
              cost_pico=-4 * CENT)  # fmt: skip
    page = _page(alice, f"{LOG}{call.call_id}/")
    assert "-$0.040000" in page
    assert "$0.060000" in page


def test_a_running_call_has_a_page_until_it_ends() -> None:
    alice = cast.alice()
    hold = _run_call(alice)
    assert "Running" in _page(alice, f"{LOG}{hold.call_id}/")


def test_charlie_and_an_unknown_id_meet_the_same_404() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    call, hold = book_call(alice), _run_call(alice)
    client = browser(charlie)
    for call_id in (call.call_id, hold.call_id, uuid7()):
        assert client.get(f"{LOG}{call_id}/").status_code == 404
    assert "support-triage" not in _page(charlie)
    assert _shown_ids(_page(charlie, f"{LOG}?q={call.call_id}&range=30d")) == []


def test_what_programs_write_is_shown_as_text() -> None:
    alice = cast.alice()
    evil = "<script>alert(1)</script>"
    call = book_call(alice, model=evil, session=evil, user_subject=evil, reason="<b>x", tags={evil: evil})
    for page in (_page(alice), _page(alice, f"{LOG}{call.call_id}/"), _page(alice, f"{LOG}?q={evil}&session={evil}")):
        assert evil not in page
        assert "&lt;script&gt;" in page


def test_a_stranger_without_an_account_signs_in_first() -> None:
    response = Client().get(LOG)
    assert response.status_code == 302
    assert "login" in response["Location"]
