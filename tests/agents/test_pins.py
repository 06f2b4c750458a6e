"""Which key of a provider an agent uses: the usual one unless it is pinned, and never another account's by accident."""

from dataclasses import replace

import pytest

from accounts import credentials
from accounts.credentials import Upstream
from accounts.models import AuditEntry, ProviderCredential
from agents import budgets, callers, pins
from agents.models import PinnedCredential
from tests import cast
from tests.accounts.test_settings_pages import browser

pytestmark = pytest.mark.django_db


def acme() -> cast.Person:
    alice = cast.alice()
    credentials.connect(alice.organization, "openai", "sk-usual", by=alice.user)
    credentials.connect(alice.organization, "openai", "sk-research", by=alice.user, label="research")
    return alice


def further() -> ProviderCredential:
    return ProviderCredential.objects.get(label="research")


def used(person: cast.Person) -> dict[str, str]:
    known = callers.caller_for(person.live_key).credentials
    return {name: credential.api_key for name, credential in known.items()}


def test_an_agent_uses_the_usual_key_until_it_is_pinned_to_another() -> None:
    """W4."""
    alice = acme()
    assert used(alice) == {"openai": "sk-usual"}
    before = callers.caller_for(alice.live_key).agent_version
    pins.pin(alice.agent, {"openai": further()}, by=alice.user)
    assert used(alice) == {"openai": "sk-research"}
    assert callers.caller_for(alice.live_key).agent_version > before
    entry = AuditEntry.objects.get(action="agent.keys_pinned")
    assert "sk-" not in str(entry.details)
    pins.pin(alice.agent, {"openai": None}, by=alice.user)
    assert used(alice) == {"openai": "sk-usual"}


def test_other_agents_keep_the_usual_key() -> None:
    alice = acme()
    other = budgets.create_agent(alice.organization, "other", daily_limit_pico=10**12, by=alice.user)
    pins.pin(alice.agent, {"openai": further()}, by=alice.user)
    assert pins.credentials_of(other)["openai"].api_key == "sk-usual"


def test_an_agent_whose_key_is_gone_spends_nobody_elses_money() -> None:
    alice = acme()
    pins.pin(alice.agent, {"openai": further()}, by=alice.user)
    credentials.disconnect(further(), by=alice.user)
    assert used(alice) == {}
    (choice,) = pins.choices_of(alice.agent)
    assert choice.lost
    visitor = browser(alice)
    assert "disconnected" in visitor.get(f"/agents/{alice.agent.id}/").content.decode()
    visitor.post(f"/agents/{alice.agent.id}/provider-keys/", {"openai": "usual"})
    assert used(alice) == {"openai": "sk-usual"}


def test_a_key_of_another_organisation_cannot_be_pinned() -> None:
    alice, charlie = acme(), cast.charlie()
    with pytest.raises(ValueError, match="not a key of this organisation"):
        pins.pin(charlie.agent, {"openai": further()}, by=charlie.user)
    credentials.connect(charlie.organization, "openai", "sk-charlie", by=charlie.user, label="own")
    page = browser(charlie).post(f"/agents/{charlie.agent.id}/provider-keys/", {"openai": str(further().id)})
    assert page.status_code == 200
    assert "not one of the available choices" in page.content.decode()
    assert not PinnedCredential.objects.exists()
    assert browser(charlie).get(f"/agents/{alice.agent.id}/provider-keys/").status_code == 404


def test_an_admin_pins_on_the_agents_page_and_a_member_only_looks() -> None:
    alice = acme()
    address = f"/agents/{alice.agent.id}/provider-keys/"
    colleague = browser(cast.bob(alice))
    assert "The usual key" in colleague.get(address).content.decode()
    assert colleague.post(address, {"openai": str(further().id)}).status_code == 403
    browser(alice).post(address, {"openai": str(further().id)})
    assert used(alice) == {"openai": "sk-research"}
    assert "research" in browser(alice).get(f"/agents/{alice.agent.id}/").content.decode()


def test_a_key_that_was_rejected_is_the_pinned_one_where_the_agent_has_one() -> None:
    alice = acme()
    pins.pin(alice.agent, {"openai": further()}, by=alice.user)
    assert pins.pinned_id(alice.agent.id, "openai") == further().id
    assert pins.pinned_id(alice.agent.id, "anthropic") is None


def test_a_callers_own_key_goes_to_a_custom_provider_as_that_one_takes_keys() -> None:
    """W6 d: its address, kind and flags are the organisation's, the key is the caller's."""
    alice = acme()
    upstream = Upstream("https://acme.openai.azure.com/openai/v1", "azure", {"deployments": {"prod": "gpt-4o"}})
    known = credentials.connect(alice.organization, "europe", "sk-stored", by=alice.user, upstream=upstream)
    caller = replace(callers.caller_for(alice.live_key), own_key=callers.OwnKey("openai", "sk-own"))
    (used,) = caller.with_own_key("europe/prod").credentials.values()
    assert (used.provider, used.api_key, used.credential_id) == ("europe", "sk-own", known.id)
    assert Upstream(used.base_url, used.preset, used.options) == upstream
