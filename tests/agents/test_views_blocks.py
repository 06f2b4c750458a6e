"""An agent that a rule against loops has blocked (B8): where it says so, until when, and who ends it."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from agents import budgets
from agents.models import Agent, GuardEvent, GuardRule, RuleMode
from agents.reports.standing import State, standing
from tests import cast
from tests.agents.pages_house import browser

pytestmark = pytest.mark.django_db

ZONE = "Europe/Berlin"
WORDS = "Budget used up several times in a row"
BUTTON = 'form="resume"'


def block(person: cast.Person, minutes: float = 45) -> datetime:
    """Leave a person's agent as `agents.watch.blocking` does; returns the end of it."""
    until = timezone.now() + timedelta(minutes=minutes)
    Agent.objects.filter(id=person.agent.id).update(blocked_until=until, blocked_rule=GuardRule.WINDOWS)
    person.agent.refresh_from_db()
    return until


def trip(person: cast.Person, rule: GuardRule, minutes: float = 45, *, version: int = 0) -> datetime:
    """Leave a person's agent as the proxy's own guards do, under the policy as it is or another; returns the end."""
    now = timezone.now()
    GuardEvent.objects.create(
        organization=person.organization, agent=person.agent, rule=rule, mode=RuleMode.BLOCK, episode_at=now,
        until_at=now + timedelta(minutes=minutes), facts={"policy_version": version or person.agent.policy_version},
    )  # fmt: skip
    return now + timedelta(minutes=minutes)


def until_words(until: datetime) -> str:
    local = until.astimezone(ZoneInfo(ZONE))
    return f"Blocked until {local:%a} {local.day} {local:%b}, {local:%H:%M} {local:%Z}"


def pages(person: cast.Person, of: cast.Person) -> dict[str, str]:
    """The agent's page, the list and the overview, each whole and as it renews itself."""
    client = browser(person)
    addresses = (f"/agents/{of.agent.id}/", "/agents/", "/overview/")
    shown = {address: client.get(address).content.decode() for address in addresses}
    parts = {f"{one} renewed": client.get(one, headers={"HX-Request": "true"}).content.decode() for one in addresses}
    return shown | parts


def entries(action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action))


def test_a_member_reads_the_rule_and_its_end_in_the_organisations_zone_on_every_page() -> None:
    alice = cast.alice(time_zone=ZONE)
    bob = cast.bob(alice)
    until = block(alice)
    for page in pages(bob, alice).values():
        assert until_words(until) in page
        assert WORDS.lower() in page.lower()
        assert ">Blocked</span>" in page


def test_a_member_ends_the_block_by_the_button_and_it_is_written_down_once() -> None:
    alice = cast.alice()
    bob = cast.bob(alice)
    block(alice)
    version, address = alice.agent.policy_version, f"/agents/{alice.agent.id}/"
    client = browser(bob)
    shown = client.get(address).content.decode()
    assert f'<form id="resume" method="post" action="{address}resume/" hidden>' in shown
    assert shown.count(BUTTON) == 1
    assert f'action="{address}pause/"' in shown
    # Should the block come while the page is open, its button comes, too.
    assert BUTTON in client.get(address, headers={"HX-Request": "true"}).content.decode()
    for _ in range(2):
        assert "takes calls again" in client.post(f"{address}resume/", follow=True).content.decode()
    agent = Agent.objects.get(id=alice.agent.id)
    assert (agent.blocked_until, agent.blocked_rule) == (None, "")
    assert agent.policy_version > version, "each process looks at the agent again"
    (entry,) = entries("agent.resumed")
    assert (entry.user, entry.target, entry.details) == (bob.user, alice.agent.name, {"rule": "loop_windows"})
    for page in pages(bob, alice).values():
        assert "Blocked" not in page


def test_a_viewer_sees_the_block_and_cannot_end_it() -> None:
    alice = cast.alice(time_zone=ZONE)
    vera, until = cast.vera(alice), block(alice)
    for page in pages(vera, alice).values():
        assert until_words(until) in page
        assert BUTTON not in page
        assert "<form" not in page.partition("<main")[2]
    client = browser(vera)
    assert "Members can end it sooner" in client.get(f"/agents/{alice.agent.id}/").content.decode()
    assert client.post(f"/agents/{alice.agent.id}/resume/").status_code == 403
    assert Agent.objects.get(id=alice.agent.id).blocked_until == until


def test_charlie_learns_nothing_of_the_block_and_cannot_end_it() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    until, client = block(alice), browser(charlie)
    assert client.get(f"/agents/{alice.agent.id}/").status_code == 404
    assert client.post(f"/agents/{alice.agent.id}/resume/").status_code == 404
    for page in pages(charlie, charlie).values():
        assert "Blocked" not in page
        assert WORDS.lower() not in page.lower()
    assert Agent.objects.get(id=alice.agent.id).blocked_until == until


def test_a_block_is_gone_at_the_very_moment_of_its_end() -> None:
    alice = cast.alice()
    until = block(alice)
    before = standing(alice.organization, alice.agent, until - timedelta(microseconds=1))
    assert before.state is State.BLOCKED
    assert before.loop_block is not None
    assert (before.loop_block.words, before.loop_block.until_at) == (WORDS, until)
    after = standing(alice.organization, alice.agent, until)
    assert (after.state, after.loop_block) == (State.NEW, None)


def test_a_block_that_has_passed_is_shown_nowhere_and_resuming_it_is_no_news() -> None:
    alice = cast.alice()
    block(alice, minutes=-1)
    for page in pages(alice, alice).values():
        assert "Blocked" not in page
        assert BUTTON not in page
    budgets.resume(alice.agent, by=alice.user)
    assert alice.agent.blocked_until is None
    assert entries("agent.resumed") == []


def test_of_an_agent_that_is_paused_as_well_one_button_ends_both() -> None:
    alice = cast.alice(time_zone=ZONE)
    budgets.pause(alice.agent, by=alice.user)
    until, address = block(alice), f"/agents/{alice.agent.id}/"
    client = browser(alice)
    shown = client.get(address).content.decode()
    for words in ("Paused since", until_words(until), ">Paused</span>"):
        assert words in shown
    assert BUTTON not in shown
    assert shown.count("Resume</button>") == 1
    client.post(f"{address}resume/")
    agent = Agent.objects.get(id=alice.agent.id)
    assert (agent.paused_at, agent.blocked_until, agent.blocked_rule) == (None, None, "")
    assert len(entries("agent.resumed")) == 1


@pytest.mark.parametrize("rule", [GuardRule.REPEAT, GuardRule.BUSY])
def test_a_block_of_the_proxys_own_is_shown_and_ended_by_the_same_button(rule: GuardRule) -> None:
    alice = cast.alice(time_zone=ZONE)
    until, version = trip(alice, rule), alice.agent.policy_version
    for page in pages(alice, alice).values():
        assert until_words(until) in page
        assert rule.label.lower() in page.lower()
    browser(alice).post(f"/agents/{alice.agent.id}/resume/")
    assert Agent.objects.get(id=alice.agent.id).policy_version > version, "which ends it in each process"
    (entry,) = entries("agent.resumed")
    assert entry.details == {"rule": rule.value}
    for page in pages(alice, alice).values():
        assert "Blocked" not in page


def test_what_is_no_block_any_more_or_none_by_a_loop_is_not_shown() -> None:
    alice = cast.alice()
    trip(alice, GuardRule.REPEAT, version=alice.agent.policy_version + 1)
    trip(alice, GuardRule.BUSY, minutes=-1)
    trip(alice, GuardRule.HELD_BACK)
    trip(alice, GuardRule.RETRIES)
    for page in pages(alice, alice).values():
        assert "Blocked" not in page


def test_of_two_blocks_the_one_that_ends_last_is_shown() -> None:
    alice = cast.alice(time_zone=ZONE)
    block(alice, minutes=10)
    until = trip(alice, GuardRule.REPEAT, minutes=20)
    assert until_words(until) in pages(alice, alice)["/agents/"]
