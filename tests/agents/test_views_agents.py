"""Creating, watching and changing an agent, and the only moment in which its keys are seen."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts.credentials import connect
from accounts.models import AuditEntry
from agents import budgets, callers
from agents.key_text import KeyRejected
from agents.models import Agent, AgentKey, Balance, Budget, KeyMode, OrganizationKey
from agents.money import PICO_PER_USD
from agents.views.agent_new import agent_new
from tests import cast
from tests.agents.pages_house import CENT, book_call, browser, refuse_call
from tests.agents.test_created_agents import begun_beside

pytestmark = pytest.mark.django_db
NEW = "/agents/new/"
WHOLE_KEY = re.compile(r"awx_(?:live|test|org)_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}")


def _ticket(page: str) -> str:
    found = re.search(r'name="ticket"\s+value="([^"]+)"', page)
    assert found is not None
    return found[1]


def _create(client: Client, name: str = "scout", limit: str = "5") -> tuple[Any, dict[str, str]]:
    form = {"name": name, "daily_limit": limit, "ticket": _ticket(client.get(NEW).content.decode())}
    return client.post(NEW, form), form


def _daily_limit(agent: Agent) -> int | None:
    return Budget.objects.get(agent=agent, ended_at=None).limit


def test_a_new_agent_shows_two_working_keys_in_the_very_answer() -> None:
    alice = cast.alice()
    response, _ = _create(browser(alice), limit="0.50")
    page = response.content.decode()
    agent = Agent.objects.get(name="scout")
    assert response.status_code == 200
    assert _daily_limit(agent) == PICO_PER_USD // 2
    shown = set(WHOLE_KEY.findall(page))
    assert {callers.caller_for(key).agent_id for key in shown} == {agent.id}
    assert {callers.caller_for(key).practice for key in shown} == {True, False}
    assert "You will not see these keys again" in page
    assert "no-store" in response["Cache-Control"]


def test_no_key_is_left_in_session_address_or_later_pages() -> None:
    client = browser(cast.alice())
    response, _ = _create(client)
    shown = set(WHOLE_KEY.findall(response.content.decode()))
    agent = Agent.objects.get(name="scout")
    later = client.get(reverse("agents:agent_detail", args=[agent.id])).content.decode()
    assert WHOLE_KEY.search(later) is None
    assert all(str(key) in later for key in agent.keys.all())
    secrets = [key[-38:] for key in shown]
    assert not any(secret in str(dict(client.session)) for secret in secrets)


def test_sending_the_form_again_neither_makes_nor_shows_anything() -> None:
    client = browser(cast.alice())
    _, form = _create(client)
    again = client.post(NEW, form)
    agent = Agent.objects.get(name="scout")
    assert again.status_code == 302
    assert again["Location"] == reverse("agents:agent_detail", args=[agent.id])
    assert agent.keys.count() == 2


def test_snippets_carry_the_key_that_works_now() -> None:
    alice = cast.alice()
    client = browser(alice)
    sandbox = _create(client, "one")[0].content.decode()
    assert "export OPENAI_API_KEY=awx_test_" in sandbox
    assert "No provider is connected yet" in sandbox
    connect(alice.organization, "openai", "sk-1234567890", by=alice.user)
    live = _create(client, "two")[0].content.decode()
    assert "export OPENAI_API_KEY=awx_live_" in live
    for tab in (
        "Environment",
        "Python (OpenAI)",
        "Python (Anthropic)",
        "Node",
        "LangChain",
        "LlamaIndex",
        "LiteLLM",
        "CrewAI",
        "curl",
    ):
        assert f">{tab}</label>" in live
    assert re.search(r"OPENAI_BASE_URL=http://[^/]+/proxy/v1\n", live)
    assert re.search(r"ANTHROPIC_BASE_URL=http://[^/]+/proxy\n", live)


@pytest.mark.parametrize("limit", ["-7", "NaN", "1e309", "10,5", "99999999", ""])
def test_a_bad_budget_is_named_and_makes_nothing(limit: str) -> None:
    response, _ = _create(browser(cast.alice()), limit=limit)
    page = response.content.decode()
    assert 'id="id_daily_limit_error"' in page
    assert 'value="scout"' in page
    assert not Agent.objects.filter(name="scout").exists()
    assert AgentKey.objects.count() == 2


def test_the_box_waits_and_then_turns_green() -> None:
    alice = cast.alice()
    client = browser(alice)
    address = reverse("agents:agent_waiting", args=[alice.agent.id])
    waiting = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "Waiting for the first call" in waiting
    assert 'hx-trigger="every 3s"' in waiting
    assert "<html" not in waiting
    refuse_call(alice, reason="provider_not_connected")
    turned_away = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "the provider is not connected" in turned_away
    call = book_call(alice, practice=True)
    green = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "The first call is here" in green
    assert f"/calls/{call.call_id}/" in green
    assert "hx-trigger" not in green


def test_a_new_limit_holds_and_is_written_down() -> None:
    alice = cast.alice()
    response = browser(alice).post(f"/agents/{alice.agent.id}/limit/", {"daily_limit": "7.25"}, follow=True)
    assert "is now $7.25 a day" in response.content.decode()
    assert _daily_limit(alice.agent) == 725 * CENT
    assert AuditEntry.objects.filter(action="budget.limit_set", user=alice.user).exists()


@pytest.mark.parametrize("typed", ["-7", "nan", "10,5", ""])
def test_a_bad_limit_keeps_the_old_one_and_what_was_typed(typed: str) -> None:
    alice = cast.alice()
    page = browser(alice).post(f"/agents/{alice.agent.id}/limit/", {"daily_limit": typed}).content.decode()
    assert 'id="id_daily_limit_error"' in page
    assert re.findall(r"<[^>]*\sautofocus", page) == [_begun(page, "daily_limit")]
    assert _daily_limit(alice.agent) == 500 * CENT


def test_the_cursor_stands_in_the_field_that_will_not_do_and_in_no_other() -> None:
    page = browser(cast.alice()).post(NEW, {"name": "x", "daily_limit": "-7", "ticket": "t"}).content.decode()
    assert re.findall(r"<[^>]*\sautofocus", page) == [_begun(page, "daily_limit")]


def _begun(page: str, name: str) -> str:
    """The field's tag up to the word that puts the cursor there."""
    found = re.search(rf'<input[^>]*name="{name}"[^>]*\sautofocus', page)
    assert found is not None, f"the cursor does not stand in {name}"
    return found[0]


def test_an_archived_agent_says_so_and_offers_nothing_to_change() -> None:
    alice = cast.alice()
    book_call(alice)
    budgets.archive(alice.agent, by=alice.user)
    page = browser(alice).get(f"/agents/{alice.agent.id}/").content.decode()
    assert "Archived since" in page
    assert "Latest calls" in page
    assert "<form" not in page.partition("<main")[2]


def test_pausing_and_resuming_work_by_button() -> None:
    alice = cast.alice()
    client, address = browser(alice), f"/agents/{alice.agent.id}/"
    paused = client.post(f"{address}pause/", follow=True).content.decode()
    assert "Paused since" in paused
    assert f'action="{address}resume/"' in paused
    resumed = client.post(f"{address}resume/", follow=True).content.decode()
    assert f'action="{address}pause/"' in resumed


def test_renaming_keeps_the_id() -> None:
    alice = cast.alice()
    client = browser(alice)
    page = client.post(f"/agents/{alice.agent.id}/rename/", {"name": "Front desk"}, follow=True).content.decode()
    assert "<h1>Front desk</h1>" in page
    assert Agent.objects.get(id=alice.agent.id).slug == "support-triage"
    assert 'id="rename_name_error"' in client.post(f"/agents/{alice.agent.id}/rename/", {"name": ""}).content.decode()


def test_a_further_key_is_shown_once() -> None:
    alice = cast.alice()
    client, address = browser(alice), f"/agents/{alice.agent.id}/"
    form = {"name": "CI", "mode": KeyMode.LIVE, "ticket": _ticket(client.get(address).content.decode())}
    shown = set(WHOLE_KEY.findall(client.post(f"{address}keys/new/", form).content.decode()))
    assert len(shown) == 1
    assert callers.caller_for(shown.pop()).agent_id == alice.agent.id
    again = client.post(f"{address}keys/new/", form, follow=True).content.decode()
    assert WHOLE_KEY.search(again) is None
    assert alice.agent.keys.count() == 3


def test_revoking_needs_the_name_and_ends_the_key() -> None:
    alice = cast.alice()
    key = alice.agent.keys.get(mode=KeyMode.LIVE)
    client, address = browser(alice), f"/agents/{alice.agent.id}/keys/{key.id}/revoke/"
    assert "support-triage" in client.get(address).content.decode()
    client.post(address, {"confirm": "something"})
    assert callers.caller_for(alice.live_key).key_id == key.id
    page = client.post(address, {"confirm": "support-triage"}, follow=True).content.decode()
    assert "is revoked" in page
    with pytest.raises(KeyRejected):
        callers.caller_for(alice.live_key)
    assert client.get(address).status_code == 404
    old_tab = client.post(address, {"confirm": "support-triage"}, follow=True).content.decode()
    assert "is revoked already" in old_tab
    assert AuditEntry.objects.filter(action="key.revoked").count() == 1


def test_a_name_with_two_spaces_can_be_typed_as_it_is_shown() -> None:
    alice = cast.alice()
    Agent.objects.update(name="night  shift")
    key = alice.agent.keys.get(mode=KeyMode.LIVE)
    address = f"/agents/{alice.agent.id}/keys/{key.id}/revoke/"
    assert browser(alice).post(address, {"confirm": "nightshift"}).status_code == 200
    assert browser(alice).post(address, {"confirm": "night shift"}).status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["agent", "agent key", "organisation key"])
def test_a_double_click_makes_one_and_its_second_says_so(what: str) -> None:
    alice = cast.alice()
    client, again = browser(alice), Client()
    again.cookies = client.cookies
    form = {"name": "twice", "daily_limit": "5", "ticket": "t"}
    address, back = NEW, None
    if what == "agent key":
        address, back = f"/agents/{alice.agent.id}/keys/new/", f"/agents/{alice.agent.id}/"
        form = {"name": "twice", "mode": KeyMode.LIVE, "ticket": "t"}
    elif what == "organisation key":
        address, back = "/settings/keys/new/", "/settings/keys/"
        form = {"name": "twice", "expires": "", "ticket": "t"}
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert WHOLE_KEY.search(client.post(address, form).content.decode())
            second = begun_beside(pool, lambda: again.post(address, form))
        answer = second.result(timeout=5)
    made = Agent.objects.exclude(id=alice.agent.id).first()
    assert answer["Location"] == (back or f"/agents/{made.id if made else None}/")
    assert Agent.objects.filter(name="twice").count() == (what == "agent")
    assert AgentKey.objects.filter(name="twice").count() == (what == "agent key")
    assert OrganizationKey.objects.count() == (what == "organisation key")


def test_who_signed_out_before_sending_the_form_makes_no_agent() -> None:
    alice = cast.alice()
    client = browser(alice)
    request = RequestFactory().post(NEW, {"name": "late", "daily_limit": "5", "ticket": "t"})
    request.user, request.session = alice.user, client.session  # type: ignore[assignment]
    Session.objects.all().delete()
    with pytest.raises(SessionInterrupted):
        agent_new(request)
    assert not Agent.objects.filter(name="late").exists()


def test_the_living_part_of_an_agents_page_has_no_forms_to_lose() -> None:
    alice = cast.alice()
    book_call(alice)
    part = browser(alice).get(f"/agents/{alice.agent.id}/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "<form" not in part
    assert "Latest calls" in part


def _addresses(person: cast.Person) -> dict[str, list[str]]:
    key = person.agent.keys.get(mode=KeyMode.LIVE)
    base = f"/agents/{person.agent.id}/"
    changes = ["limit/", "rename/", "pause/", "resume/", "keys/new/", f"keys/{key.id}/revoke/"]
    return {"look": [base, f"{base}waiting/"], "change": [base + change for change in changes]}


def test_charlie_meets_404_at_every_address_of_alices_agent() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    client, addresses = browser(charlie), _addresses(alice)
    typed = {"daily_limit": "1", "name": "mine", "mode": "live", "confirm": "support-triage", "ticket": "t"}
    for address in addresses["look"]:
        assert client.get(address).status_code == 404
    for address in addresses["change"]:
        assert client.post(address, typed).status_code == 404
    alice.agent.refresh_from_db()
    assert (alice.agent.name, alice.agent.paused_at, _daily_limit(alice.agent)) == ("support-triage", None, 500 * CENT)
    assert callers.caller_for(alice.live_key).agent_id == alice.agent.id


def test_charlies_agent_does_not_open_alices_key() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    key = alice.agent.keys.get(mode=KeyMode.LIVE)
    address = f"/agents/{charlie.agent.id}/keys/{key.id}/revoke/"
    assert browser(charlie).post(address, {"confirm": "newsletter"}).status_code == 404
    assert callers.caller_for(alice.live_key).key_id == key.id


def test_a_viewer_looks_and_changes_nothing() -> None:
    alice = cast.alice()
    client, addresses = browser(cast.vera(alice)), _addresses(alice)
    page = client.get(addresses["look"][0]).content.decode()
    assert "<form" not in page.partition("<main")[2]
    for address in [*addresses["change"], NEW]:
        assert client.post(address, {"name": "x", "daily_limit": "1"}).status_code == 403
    assert Agent.objects.count() == 1


def test_a_member_may_change_agents() -> None:
    bob = cast.bob(cast.alice())
    assert browser(bob).post(f"/agents/{bob.agent.id}/pause/").status_code == 302
    assert Agent.objects.get(id=bob.agent.id).paused_at is not None


def test_changes_are_not_made_by_looking() -> None:
    alice = cast.alice()
    client = browser(alice)
    for address in _addresses(alice)["change"][:5]:
        answer = client.get(address)
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
        assert "Back to the start" in answer.content.decode()


def test_what_test_keys_used_is_shown_apart_and_counts_as_no_money() -> None:
    alice = cast.alice()
    book_call(alice, cost_pico=3 * CENT)
    Balance.objects.create(
        budget=Budget.objects.get(agent=alice.agent), practice=True, spent=7 * CENT,
        window_start=timezone.now() - timedelta(hours=1), window_end=timezone.now() + timedelta(hours=1),
        opened_at=timezone.now(),
    )  # fmt: skip
    shown = browser(alice).get(f"/agents/{alice.agent.id}/").content.decode()
    assert "$0.07 of practice money" in shown
    assert "<strong>$0.03</strong>" in shown
