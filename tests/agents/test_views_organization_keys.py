"""The page of organisation keys: made and shown once, revoked for good; and what their calls may create."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from agents import budgets, callers, organization_keys
from agents.created_agents import NEW_AGENTS_MAX, CreationTerms, agent_for, terms_of
from agents.key_text import KeyRejected
from agents.models import OrganizationKey
from agents.money import PICO_PER_USD
from tests import cast
from tests.agents.pages_house import browser

pytestmark = pytest.mark.django_db
PAGE, NEW, NEW_AGENTS = "/settings/keys/", "/settings/keys/new/", "/settings/keys/new-agents/"
WHOLE_KEY = re.compile(r"awx_org_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}")
TERMS = {"allowed": "yes", "new_agents_max": "7", "daily_limit": "1.50"}


def shown(client: Client, address: str = PAGE) -> str:
    return " ".join(client.get(address).content.decode().split())


def posted(client: Client, address: str, form: dict[str, str]) -> str:
    return " ".join(client.post(address, form, follow=True).content.decode().split())


def ticket(client: Client) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', shown(client))
    assert found is not None
    return found[1]


def made(client: Client, **fields: str) -> str:
    """The whole key, from the page that shows it."""
    answer = posted(client, NEW, {"name": "Crew", "expires": "", "ticket": ticket(client), **fields})
    return WHOLE_KEY.findall(answer)[0]


def test_a_key_is_shown_once_with_snippets_that_name_an_agent_and_works() -> None:
    alice = cast.alice()
    client = browser(alice)
    sent = {"name": "Crew", "expires": "", "ticket": ticket(client)}
    page = posted(client, NEW, sent)
    (whole,) = set(WHOLE_KEY.findall(page))
    assert "X-AWX-Agent-ID: researcher" in page
    assert callers.caller_for(whole, "support-triage").agent_id == alice.agent.id

    again = posted(client, NEW, sent)
    assert "cannot be shown again" in again
    assert whole not in again + shown(client)
    assert OrganizationKey.objects.count() == 1
    for text in (f"awx_org_{whole[8:16]}…", "Crew", "last used"):
        assert text in shown(client)


@pytest.mark.parametrize(("days", "expected"), [("", None), ("30", 30), ("365", 365)])
def test_a_key_may_end_by_itself(days: str, expected: int | None) -> None:
    client = browser(cast.alice())
    made(client, expires=days)
    expires_at = OrganizationKey.objects.get().expires_at
    assert (expires_at and round((expires_at - timezone.now()).total_seconds() / 86_400)) == expected
    assert ("expires" in shown(client).replace('name="expires"', "").partition("</ul>")[0]) == bool(expected)


@pytest.mark.parametrize(
    "form",
    [{"name": ""}, {"name": "x" * 101}, {"name": "a\x07b"}, {"expires": "31"}, {"expires": "-1"}, {"mode": "live"}],
)
def test_a_form_that_will_not_do_makes_no_key(form: dict[str, str]) -> None:
    client = browser(cast.alice())
    answer = client.post(NEW, {"name": "Crew", "expires": "", "ticket": ticket(client), **form})
    assert answer.status_code == 200
    assert not OrganizationKey.objects.exists()
    assert "error" in answer.content.decode() or "notice-bad" in answer.content.decode()


def test_revoking_asks_for_the_organisations_name_and_is_for_good() -> None:
    alice = cast.alice()
    client, whole = browser(alice), made(browser(alice))
    key = OrganizationKey.objects.get()
    address = f"{PAGE}{key.id}/revoke/"
    assert "Type Acme Robotics to revoke the key." in posted(client, address, {"confirm": "acme"})
    assert callers.caller_for(whole, "support-triage")
    assert f"The key {key} is revoked" in posted(client, address, {"confirm": "Acme Robotics"})
    with pytest.raises(KeyRejected, match="revoked"):
        callers.caller_for(whole, "support-triage")
    assert "Revoked" in shown(client)
    assert client.get(address).status_code == 404
    assert f"The key {key} is revoked already" in posted(client, address, {"confirm": "Acme Robotics"})
    actions = AuditEntry.objects.filter(action__startswith="organization_key.").order_by("at")
    assert [entry.action for entry in actions] == ["organization_key.issued", "organization_key.revoked"]
    assert whole[-38:] not in repr([entry.details for entry in actions])


def test_what_calls_may_create_is_typed_in_dollars_and_warned_about_while_no_limit_holds() -> None:
    alice = cast.alice()
    client = browser(alice)
    assert "Set one under Budgets" not in shown(client)
    page = posted(client, NEW_AGENTS, TERMS)
    alice.organization.refresh_from_db()
    assert terms_of(alice.organization) == CreationTerms(True, 7, 3 * PICO_PER_USD // 2)
    assert 'value="1.5"' in page
    assert "Set one under Budgets" in page
    budgets.set_limit(budgets.ensure_organization_meter(alice.organization), PICO_PER_USD, alice.user)
    assert "Set one under Budgets" not in shown(client)


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("allowed", "perhaps"), ("allowed", ""),
        ("new_agents_max", "0"), ("new_agents_max", str(NEW_AGENTS_MAX + 1)), ("new_agents_max", "-5"),
        ("new_agents_max", "2.5"), ("new_agents_max", ""), ("new_agents_max", "9" * 30),
        ("daily_limit", ""), ("daily_limit", "-1"), ("daily_limit", "ten"), ("daily_limit", "10,5"),
        ("daily_limit", "9000001"), ("daily_limit", "NaN"), ("unknown", "1"),
    ],
)  # fmt: skip
def test_terms_that_will_not_do_change_nothing_and_are_named(field: str, typed: str) -> None:
    alice = cast.alice()
    before = terms_of(alice.organization)
    page = posted(browser(alice), NEW_AGENTS, TERMS | {field: typed})
    alice.organization.refresh_from_db()
    assert terms_of(alice.organization) == before
    assert f'id="new_{field}_error"' in page or "There is no field unknown here" in page


def test_a_field_that_was_not_sent_keeps_its_value() -> None:
    alice = cast.alice()
    posted(browser(alice), NEW_AGENTS, TERMS)
    posted(browser(alice), NEW_AGENTS, {"allowed": "no"})
    alice.organization.refresh_from_db()
    assert terms_of(alice.organization) == CreationTerms(False, 7, 3 * PICO_PER_USD // 2)


@pytest.mark.parametrize("colleague", [cast.bob, cast.vera])
def test_members_and_viewers_have_no_part_in_it(colleague: Any) -> None:
    alice = cast.alice()
    key, _ = organization_keys.issue(alice.organization, by=alice.user, name="Crew")
    client = browser(colleague(alice))
    assert "Organisation keys" not in shown(client, "/settings/")
    statuses = {client.get(address).status_code for address in (PAGE, f"{PAGE}{key.id}/revoke/")}
    statuses |= {client.post(address, TERMS).status_code for address in (NEW, NEW_AGENTS, f"{PAGE}{key.id}/revoke/")}
    assert statuses == {403}


def test_charlie_neither_sees_nor_revokes_alices_key() -> None:
    alice, charlie = cast.alice(), browser(cast.charlie())
    key, _ = organization_keys.issue(alice.organization, by=alice.user, name="Crew")
    assert key.public_id not in shown(charlie)
    assert charlie.post(f"{PAGE}{key.id}/revoke/", {"confirm": "Borealis"}).status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_the_audit_log_names_the_key_that_created_an_agent() -> None:
    alice = cast.alice()
    client = browser(alice)
    posted(client, NEW_AGENTS, TERMS)
    budgets.set_limit(budgets.ensure_organization_meter(alice.organization), PICO_PER_USD, alice.user)
    alice.organization.refresh_from_db()
    agent_for(alice.organization, "writer", daily_pico=None, maker="organisation key awx_org_ab12cd34…")
    assert "organisation key awx_org_ab12cd34…" in shown(client, "/settings/audit/")
