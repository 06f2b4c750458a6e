"""Organisation keys and connected provider keys: whoever holds one must name an agent (W6 b, c)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import credentials
from accounts.models import ProviderCredential
from agents import callers, organization_keys
from agents.created_agents import AgentRejected
from agents.key_text import KeyRejected
from agents.models import OrganizationKey
from tests import cast

pytestmark = pytest.mark.django_db
PROVIDER_KEY = "sk-proj-of-acme-0123456789"


def key_of(person: cast.Person) -> tuple[OrganizationKey, str]:
    return organization_keys.issue(person.organization, by=person.user, name="Crew")


def why_rejected(key: str, slug: str = "support-triage") -> str:
    with pytest.raises(KeyRejected) as caught:
        callers.caller_for(key, slug)
    return caught.value.problem


def test_an_organisation_key_opens_the_policy_of_the_agent_that_is_named() -> None:
    alice = cast.alice()
    key, whole = key_of(alice)
    caller = callers.caller_for(whole, "support-triage")
    by_agent_key = callers.caller_for(alice.live_key)

    assert whole.startswith("awx_org_")
    assert len(whole) == len("awx_org_") + 8 + 1 + 38
    assert (caller.agent_id, caller.budgets) == (by_agent_key.agent_id, by_agent_key.budgets)
    assert (caller.key_id, caller.organization_key_id, caller.practice) == (None, key.id, False)


def test_an_organisation_key_without_an_agent_opens_nothing() -> None:
    """E7: no credential reaches a provider without a budgeted agent behind it."""
    alice = cast.alice()
    with pytest.raises(AgentRejected, match="missing"):
        callers.caller_for(key_of(alice)[1])


def test_charlies_organisation_key_does_not_open_alices_agent() -> None:
    cast.alice()
    with pytest.raises(AgentRejected, match="not_allowed"):
        callers.caller_for(key_of(cast.charlie())[1], "support-triage")


def test_the_database_holds_no_organisation_key() -> None:
    _, whole = key_of(cast.alice())
    stored = " ".join(str(value) for row in OrganizationKey.objects.values_list() for value in row)
    assert whole[-38:] not in stored


def test_a_revoked_organisation_key_says_so_and_the_organisations_policy_moves() -> None:
    alice = cast.alice()
    key, whole = key_of(alice)
    version = callers.caller_for(whole, "support-triage").organization_version
    for _ in range(2):
        organization_keys.revoke(key, by=alice.user)

    assert why_rejected(whole) == "revoked"
    assert callers.caller_for(alice.live_key).organization_version > version
    assert alice.organization.audit_entries.filter(action="organization_key.revoked").count() == 1


def test_an_organisation_key_works_until_the_moment_that_it_expires(time_machine) -> None:
    alice = cast.alice()
    end = timezone.now() + timedelta(days=30)
    _, whole = organization_keys.issue(alice.organization, by=alice.user, expires_at=end)
    time_machine.move_to(end - timedelta(seconds=1), tick=False)
    assert callers.caller_for(whole, "support-triage").expires_at == end
    time_machine.move_to(end, tick=False)
    assert why_rejected(whole) == "expired"


def test_an_organisation_key_with_another_secret_is_unknown_and_a_changed_one_is_no_key() -> None:
    alice = cast.alice()
    _, whole = key_of(alice)
    OrganizationKey.objects.update(digest="0" * 64)
    assert why_rejected(whole) == "unknown"
    assert why_rejected(whole.replace("awx_org_", "awx_live_")) == "malformed"
    assert why_rejected(whole[:-1]) == "malformed"


def test_a_connected_provider_key_is_recognised_and_names_an_agent_of_its_organisation() -> None:
    alice = cast.alice()
    for provider in ("openai", "anthropic"):  # twice within one organisation is still one organisation
        credentials.connect(alice.organization, provider, PROVIDER_KEY, by=alice.user)
    caller = callers.caller_for(PROVIDER_KEY, "support-triage")

    assert (caller.agent_id, caller.key_id, caller.organization_key_id) == (alice.agent.id, None, None)
    assert caller.credentials["openai"].api_key == PROVIDER_KEY
    with pytest.raises(AgentRejected, match="missing"):
        callers.caller_for(PROVIDER_KEY)


def test_a_provider_key_that_two_organisations_connected_says_nothing() -> None:
    for person in (cast.alice(), cast.charlie()):
        credentials.connect(person.organization, "openai", PROVIDER_KEY, by=person.user)
    assert why_rejected(PROVIDER_KEY) == "ambiguous"


def test_a_provider_key_opens_nothing_once_it_is_disconnected_or_replaced() -> None:
    alice = cast.alice()
    credential = credentials.connect(alice.organization, "openai", PROVIDER_KEY, by=alice.user)
    credentials.connect(alice.organization, "openai", f"{PROVIDER_KEY}-new", by=alice.user)
    assert why_rejected(PROVIDER_KEY) == "foreign"
    credentials.disconnect(credential, by=alice.user)
    assert why_rejected(f"{PROVIDER_KEY}-new") == "foreign"


def test_a_placeholder_that_anybody_could_guess_is_nobodys_key() -> None:
    """Servers without keys take any text: the same few stand in every guide."""
    alice = cast.alice()
    for placeholder in ("none", "EMPTY", "ollama", "sk-no-key-required", "x" * 19):
        credentials.connect(alice.organization, "openai", placeholder, by=alice.user)
        assert why_rejected(placeholder) == "foreign"
    credentials.connect(alice.organization, "openai", "x" * 20, by=alice.user)
    assert callers.caller_for("x" * 20, "support-triage").agent_id == alice.agent.id


def test_neither_key_nor_plain_hash_of_a_provider_key_is_stored() -> None:
    alice = cast.alice()
    stored = credentials.connect(alice.organization, "openai", PROVIDER_KEY, by=alice.user)
    assert ProviderCredential.objects.get().fingerprint == credentials.fingerprint_of(PROVIDER_KEY)
    assert PROVIDER_KEY not in stored.fingerprint
