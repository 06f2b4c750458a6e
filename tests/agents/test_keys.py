from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.credentials import connect
from agents import budgets, callers, keys
from agents.key_text import KeyRejected
from agents.models import AgentKey, KeyMode
from tests import cast

pytestmark = pytest.mark.django_db


def test_a_key_has_the_published_form_and_opens_its_agents_policy():
    alice = cast.alice()
    caller = callers.caller_for(alice.live_key)

    assert alice.live_key.startswith("awx_live_")
    assert len(alice.live_key) == len("awx_live_") + 8 + 1 + 38
    assert (caller.agent_id, caller.organization_id, caller.practice) == (alice.agent.id, alice.organization.id, False)
    assert {budget.scope for budget in caller.budgets} == {"agent", "organization"}


def test_a_test_key_is_for_practice():
    assert callers.caller_for(cast.alice().test_key).practice


def test_the_database_holds_no_key():
    alice = cast.alice()
    stored = " ".join(str(value) for row in AgentKey.objects.values_list() for value in row)

    assert alice.live_key[-38:] not in stored


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key[:20] + ("A" if key[20] != "A" else "B") + key[21:],
        lambda key: key.replace("live", "beta"),
    ],
)
def test_a_key_with_one_character_wrong_is_malformed_without_a_look_at_the_database(spoil, django_assert_num_queries):
    whole = cast.alice().live_key

    with django_assert_num_queries(0), pytest.raises(KeyRejected) as refusal:
        callers.caller_for(spoil(whole))
    assert refusal.value.problem == "malformed"


@pytest.mark.parametrize("text", ["sk-awx_live_", "", "' OR (SELECT pg_sleep(5))--"])
def test_what_is_no_awx_key_is_looked_up_once_by_its_hash_and_is_nobodys(text, django_assert_num_queries):
    """E1: what stands there never reaches a query as it came."""
    with django_assert_num_queries(1) as looked, pytest.raises(KeyRejected, match="foreign"):
        callers.caller_for(text)
    assert not text or text not in looked.captured_queries[0]["sql"]


def test_a_well_formed_key_that_was_never_issued_is_unknown():
    alice = cast.alice()
    AgentKey.objects.filter(agent=alice.agent).delete()

    with pytest.raises(KeyRejected) as refusal:
        callers.caller_for(alice.live_key)
    assert refusal.value.problem == "unknown"


def test_a_key_that_shares_only_the_public_id_is_unknown():
    alice = cast.alice()
    AgentKey.objects.filter(agent=alice.agent).update(digest="0" * 64)

    with pytest.raises(KeyRejected, match="unknown"):
        callers.caller_for(alice.live_key)


def test_a_revoked_key_says_so_and_the_policy_version_moves():
    alice = cast.alice()
    keys.revoke(AgentKey.objects.get(mode=KeyMode.LIVE), by=alice.user)
    version = alice.agent.policy_version
    alice.agent.refresh_from_db()

    assert alice.agent.policy_version > version
    with pytest.raises(KeyRejected, match="revoked"):
        callers.caller_for(alice.live_key)


def test_a_key_that_is_revoked_twice_keeps_its_first_end_and_one_entry():
    alice = cast.alice()
    key = AgentKey.objects.get(mode=KeyMode.LIVE)
    keys.revoke(key, by=alice.user)
    revoked_at = AgentKey.objects.get(pk=key.pk).revoked_at
    keys.revoke(key, by=alice.user)

    assert AgentKey.objects.get(pk=key.pk).revoked_at == revoked_at
    assert alice.organization.audit_entries.filter(action="key.revoked").count() == 1


def test_a_key_works_until_the_moment_that_it_expires(time_machine):
    alice = cast.alice()
    end = timezone.now() + timedelta(hours=1)
    _, whole = keys.issue(alice.agent, KeyMode.LIVE, by=alice.user, expires_at=end)
    time_machine.move_to(end - timedelta(seconds=1), tick=False)
    assert callers.caller_for(whole).agent_id == alice.agent.id

    time_machine.move_to(end, tick=False)
    with pytest.raises(KeyRejected, match="expired"):
        callers.caller_for(whole)


def test_the_snapshot_carries_the_organisations_credentials_and_nobody_elses():
    alice, charlie = cast.alice(), cast.charlie()
    connect(alice.organization, "openai", "sk-of-alice", by=alice.user)

    assert callers.caller_for(alice.live_key).credentials["openai"].api_key == "sk-of-alice"
    assert callers.caller_for(charlie.live_key).credentials == {}
    assert "sk-of-alice" not in repr(callers.caller_for(alice.live_key))


def test_a_paused_agent_is_shown_as_paused():
    alice = cast.alice()
    budgets.pause(alice.agent, by=alice.user)

    assert callers.caller_for(alice.live_key).paused


def test_last_use_is_written_at_most_once_a_minute():
    alice = cast.alice()
    callers.caller_for(alice.live_key)
    first = AgentKey.objects.get(mode=KeyMode.LIVE).last_used_at
    callers.caller_for(alice.live_key)

    assert first is not None
    assert AgentKey.objects.get(mode=KeyMode.LIVE).last_used_at == first
