"""The buttons that stop: one agent at once, all of them after a question; nobody else's, and not for viewers."""

import pytest

from accounts.models import AuditEntry, Organization
from agents import budgets
from agents.models import Agent
from tests import cast
from tests.agents.pages_house import browser

pytestmark = pytest.mark.django_db
STOP_ALL = "/agents/stop/"


def _is_stopped(person: cast.Person) -> bool:
    agent = Agent.objects.get(id=person.agent.id)
    return agent.stopped_at is not None and agent.paused_at is not None


def test_stop_now_works_by_button_and_resume_takes_it_back() -> None:
    alice = cast.alice()
    client, address = browser(alice), f"/agents/{alice.agent.id}/"
    assert f'action="{address}stop/"' in client.get(address).content.decode()
    stopped = client.post(f"{address}stop/", follow=True).content.decode()
    assert _is_stopped(alice)
    assert "support-triage is stopped" in stopped
    assert "Stopped since" in stopped
    assert f'action="{address}stop/"' not in stopped
    resumed = client.post(f"{address}resume/", follow=True).content.decode()
    assert not _is_stopped(alice)
    assert f'action="{address}pause/"' in resumed
    assert f'action="{address}stop/"' in resumed
    assert list(AuditEntry.objects.filter(action="agent.stopped").values_list("user", flat=True)) == [alice.user.pk]


def test_a_paused_agent_can_still_be_stopped() -> None:
    alice = cast.alice()
    client, address = browser(alice), f"/agents/{alice.agent.id}/"
    paused = client.post(f"{address}pause/", follow=True).content.decode()
    assert f'action="{address}stop/"' in paused
    client.post(f"{address}stop/")
    assert _is_stopped(alice)


def test_the_red_button_asks_first_and_then_stops_everybody() -> None:
    alice = cast.alice()
    second = budgets.create_agent(alice.organization, "second", daily_limit_pico=1, by=None)
    client = browser(alice)
    assert f'href="{STOP_ALL}" data-dialog="stop-all"' in client.get("/overview/").content.decode()
    question = client.get(STOP_ALL).content.decode()
    assert "2 agents of Acme Robotics: second, support-triage." in question
    assert not _is_stopped(alice)
    answer = client.post(STOP_ALL, follow=True)
    assert answer.redirect_chain == [("/overview/", 302)]
    shown = answer.content.decode()
    assert "All agents are stopped, 2 of them now" in shown
    assert STOP_ALL not in shown, "there is nothing left to stop"
    assert shown.count("Paused") >= 2
    assert _is_stopped(alice)
    assert Agent.objects.get(id=second.id).stopped_at is not None


def test_the_question_works_as_a_dialog_and_as_a_page() -> None:
    alice = cast.alice()
    client = browser(alice)
    for address in ("/overview/", STOP_ALL):
        page = client.get(address).content.decode()
        assert f'<form class="form" method="post" action="{STOP_ALL}">' in page
    assert 'id="stop-all"' in client.get("/overview/").content.decode()


def test_pressing_it_again_says_so_and_is_written_once() -> None:
    alice = cast.alice()
    client = browser(alice)
    client.post(STOP_ALL)
    assert "All agents of Acme Robotics are stopped already" in client.get(STOP_ALL).content.decode()
    assert "All agents were stopped already" in client.post(STOP_ALL, follow=True).content.decode()
    assert AuditEntry.objects.filter(action="organization.stopped").count() == 1


def test_stopping_all_says_that_calls_create_no_agents_any_more_and_where_that_is_switched_on_again() -> None:
    """Only where they might have; the page of organisation keys shows that it is off."""
    alice = cast.alice()
    client, said = browser(alice), "Calls create no new agents"
    client.post(f"/agents/{alice.agent.id}/stop/")
    assert not any(said in client.get(address).content.decode() for address in ("/overview/", STOP_ALL))
    assert said not in client.post(STOP_ALL, follow=True).content.decode()
    Organization.objects.filter(pk=alice.organization.pk).update(allows_new_agents=True)
    for address in ("/overview/", STOP_ALL):
        assert said in client.get(address).content.decode(), "there is something left to stop"
    assert "To switch it on again" not in client.get("/settings/keys/").content.decode()
    answer = client.post(STOP_ALL, follow=True).content.decode()
    assert f"{said} until an admin allows it again under Settings → Organisation keys." in answer
    keys = client.get("/settings/keys/").content.decode()
    assert '<option value="no" selected>' in keys
    assert "To switch it on again, choose “Create the agent” and save." in keys


def test_a_member_may_stop() -> None:
    bob = cast.bob(cast.alice())
    assert browser(bob).post(STOP_ALL).status_code == 302
    assert _is_stopped(bob)


def test_a_viewer_sees_no_button_and_stops_nothing() -> None:
    alice = cast.alice()
    client, address = browser(cast.vera(alice)), f"/agents/{alice.agent.id}/"
    for shown in (client.get("/overview/"), client.get(address)):
        assert "Stop" not in shown.content.decode()
    assert client.get(STOP_ALL).status_code == 403
    assert {client.post(STOP_ALL).status_code, client.post(f"{address}stop/").status_code} == {403}
    assert not _is_stopped(alice)


def test_charlie_stops_his_own_agents_only() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    client = browser(charlie)
    assert client.post(f"/agents/{alice.agent.id}/stop/").status_code == 404
    assert "support-triage" not in client.get(STOP_ALL).content.decode()
    client.post(STOP_ALL)
    assert _is_stopped(charlie)
    assert not _is_stopped(alice)


def test_looking_stops_nobody() -> None:
    alice = cast.alice()
    client = browser(alice)
    assert client.get(f"/agents/{alice.agent.id}/stop/").status_code == 405
    assert client.get(STOP_ALL).status_code == 200
    assert not _is_stopped(alice)
