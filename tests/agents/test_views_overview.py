"""The overview and the list of agents, for those who may see them."""

import html
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agents import budgets
from agents.days import day_of, day_period
from agents.ledger import partitions
from tests import cast
from tests.agents.pages_house import CENT, book_call, browser, refuse_call

pytestmark = pytest.mark.django_db
OVERVIEW, AGENTS = "/overview/", "/agents/"


def test_alice_sees_her_agent_against_its_budget() -> None:
    alice = cast.alice(time_zone="Europe/Berlin")
    book_call(alice, cost_pico=410 * CENT)
    refuse_call(alice, asked_pico=CENT, repeat_count=12)
    page = browser(alice).get(OVERVIEW).content.decode()
    for words in ("support-triage", "$4.10", "of $5.00", "$0.90 left", "12 refused", "had asked for $0.12", "Blocked"):
        assert words in page
    assert re.search(r"resets in .+ 00:00 CET", page)
    assert 'width="82.0%"' in page


def test_the_number_of_refusals_links_to_those_of_the_same_day() -> None:
    alice = cast.alice(time_zone="Asia/Tokyo")
    partitions.ensure(days_back=2)
    midnight = day_period(day_of(timezone.now(), "Asia/Tokyo"), "Asia/Tokyo").start_at
    yesterday, today = refuse_call(alice, midnight - timedelta(minutes=1)), refuse_call(alice, midnight)
    client = browser(alice)
    for address in (OVERVIEW, f"/agents/{alice.agent.id}/"):
        links = set(re.findall(r'href="(/calls/\?[^"]*status=refused[^"]*)"', client.get(address).content.decode()))
        assert links
        for link in links:
            shown = client.get(html.unescape(link)).content.decode()
            assert str(today.call_id) in shown
            assert str(yesterday.call_id) not in shown


def test_the_page_asks_again_for_its_living_part_only() -> None:
    client = browser(cast.alice())
    whole, part = client.get(OVERVIEW), client.get(OVERVIEW, headers={"HX-Request": "true"})
    assert 'hx-trigger="every 5s"' in whole.content.decode()
    assert "<html" not in part.content.decode()
    assert "Spent today" in part.content.decode()
    assert "HX-Request" in part["Vary"]
    assert "no-store" in part["Cache-Control"]


def test_an_organisation_without_agents_is_shown_the_way() -> None:
    alice = cast.alice()
    budgets.archive(alice.agent, by=alice.user)
    for address in (OVERVIEW, AGENTS):
        page = browser(alice).get(address).content.decode()
        assert f"<h{2 if address == AGENTS else 3}>No agents yet" in page  # no level of headings is left out
        assert reverse("agents:agent_new") in page


def test_nothing_on_these_pages_needs_a_looser_policy() -> None:
    alice = cast.alice()
    book_call(alice, cost_pico=CENT)
    client = browser(alice)
    for address in (OVERVIEW, AGENTS, "/calls/", f"/agents/{alice.agent.id}/", "/agents/new/"):
        response = client.get(address)
        page = response.content.decode()
        assert " style=" not in page
        drawings = re.findall(r'<svg[^>]*role="img".*?</svg>', page, re.DOTALL)
        assert not any("<a " in drawing for drawing in drawings), "screen readers hear no link within a picture"
        assert not re.search(r"\son[a-z]+=", page)
        assert not re.search(r"<script(?![^>]*\ssrc=)", page)
        assert "default-src 'none'" in response["Content-Security-Policy"]


@pytest.mark.parametrize("address", [OVERVIEW, AGENTS])
def test_charlie_sees_his_own_agents_only(address: str) -> None:
    cast.alice()
    page = browser(cast.charlie()).get(address).content.decode()
    assert "newsletter" in page
    assert "support-triage" not in page


@pytest.mark.parametrize("address", [OVERVIEW, AGENTS, "/agents/new/", "/calls/"])
def test_who_is_not_signed_in_is_sent_there(address: str) -> None:
    response = Client().get(address)
    assert response.status_code == 302
    assert "login" in response["Location"]


def test_a_viewer_is_not_offered_what_is_not_hers() -> None:
    vera = cast.vera(cast.alice())
    page = browser(vera).get(OVERVIEW).content.decode()
    assert "New agent" not in page


def test_agents_with_evil_names_are_text_everywhere() -> None:
    alice = cast.alice()
    evil = '"><img src=x onerror=alert(1)>'
    agent = budgets.create_agent(alice.organization, evil, daily_limit_pico=5 * CENT, by=None)
    book_call(alice, agent=agent)
    client = browser(alice)
    for address in (OVERVIEW, AGENTS, "/calls/", f"/calls/?agent={agent.id}", f"/agents/{agent.id}/"):
        page = client.get(address).content.decode()
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page
