"""Every page, as everybody: strangers sign in first, other organisations see nothing, viewers change nothing.

The addresses come from the URL configuration, so a new page is walked without a line here; one with a new kind of
argument fails until `values_of` knows a value for it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts import credentials
from accounts.models import AuditEntry, Membership, Organization, ProviderCredential, Role
from agents import budgets, organization_keys, rates
from agents.budget_terms import BudgetTerms
from agents.models import Agent, AgentKey, Basis, Budget, CustomRate, OrganizationKey, Scope
from tests import cast
from tests.accounts.confirming import confirmed
from tests.alerts.books import call
from tests.cast import Person

pytestmark = pytest.mark.django_db

OURS = ("accounts", "agents", "alerts")
PUBLIC = {"accounts:home", "accounts:theme"}
# What a viewer may post, since it is their own: theme, name, a test message to themselves.
PERSONAL = {"accounts:theme", "accounts:profile", "agents:onboarding", "alerts:send_test"}
# What an admin may not even look at, and an owner only once they have confirmed who they are.
OF_OWNERS = {"accounts:provider_new"}
OF_A_TENANT = {
    "agent_id",
    "budget_id",
    "credential_id",
    "call_id",
    "key_id",
    "organization_key_id",
    "rate_id",
}  # arguments that name something of one organisation
RATE = {"model": "acme-70b", "input_pico": 10**12, "output_pico": 10**12}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Fits into every name; a page that prints it unescaped gains an element, a handler or a sum.
PAYLOAD = "\"><script>alert(1)</script>'onmouseover='x{{ 7|add:7 }}</title><svg onload=x>"


@dataclass(frozen=True)
class Page:
    """One named address and the arguments that it takes."""

    name: str
    arguments: frozenset[str]

    def address(self, values: dict[str, object]) -> str:
        return reverse(self.name, kwargs={argument: values[argument] for argument in self.arguments})


def pages() -> list[Page]:
    return sorted(_walk(get_resolver().url_patterns, ""), key=lambda page: page.name)


def _walk(patterns: list[URLPattern | URLResolver], namespace: str) -> Iterator[Page]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, pattern.namespace or namespace)
        elif namespace in OURS:
            yield Page(f"{namespace}:{pattern.name}", frozenset(pattern.pattern.converters))


def values_of(person: Person) -> dict[str, object]:
    """A value for every argument, of this person's organisation."""
    credentials.connect(person.organization, "openai", "sk-test-0123", by=person.user)
    further = credentials.connect(person.organization, "openai", "sk-test-4567", by=person.user, label="research")
    made = call(person, timezone.now(), basis=Basis.WORST_CASE)
    key = AgentKey.objects.filter(agent=person.agent).earliest("id")
    rate = rates.set_rate(CustomRate(organization=person.organization, provider="openai", **RATE), by=person.user)
    terms = BudgetTerms(scope=Scope.MODEL, scope_name="gpt-4o", limit=10**12)
    budget = budgets.create_budget(person.organization, person.agent, terms, by=person.user)
    return {
        "agent_id": person.agent.id, "budget_id": budget.id, "call_id": made.call_id, "key_id": key.id,
        "organization_key_id": organization_keys.issue(person.organization, by=person.user, name="Crew")[0].id,
        "provider": "openai", "rate_id": rate.id, "credential_id": further.id,
    }  # fmt: skip


def browser(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


def test_walk_finds_the_pages() -> None:
    names = {page.name for page in pages()}
    assert {"accounts:settings", "agents:overview", "agents:agent_detail", "agents:call_list"} <= names


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_anonymous_reader_is_sent_to_sign_in(page: Page) -> None:
    if page.name in PUBLIC:
        return
    address = page.address(values_of(cast.alice()))
    answers = [Client().get(address), Client().post(address)]
    assert {answer.status_code for answer in answers} <= {302, 405}
    for answer in answers:
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_charlie_finds_nothing_of_acmes(page: Page) -> None:
    if not page.arguments & OF_A_TENANT:
        return
    address = page.address(values_of(cast.alice()))
    stranger = browser(cast.charlie())
    assert {stranger.get(address).status_code, stranger.post(address).status_code} <= {404, 405}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_charlie_reads_no_name_of_acmes(page: Page) -> None:
    alice, charlie = cast.alice(), cast.charlie()
    values_of(alice)
    type(alice.organization).objects.filter(id=alice.organization.id).update(name="Wombat organisation")
    Agent.objects.filter(id=alice.agent.id).update(name="Wombat agent", slug="wombat-agent")
    OrganizationKey.objects.update(name="wombat-key")
    CustomRate.objects.update(model="wombat-70b")
    ProviderCredential.objects.exclude(label="").update(label="wombat key")
    Budget.objects.filter(scope=Scope.MODEL).update(scope_name="wombat-70b")
    shown = browser(charlie).get(page.address(values_of(charlie)))
    if shown.status_code == 200:
        assert "wombat" not in shown.content.decode().lower()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_viewer_changes_nothing(page: Page) -> None:
    alice = cast.alice()
    address = page.address(values_of(alice))
    viewer = browser(cast.vera(alice))
    assert viewer.get(address).status_code in {200, 302, 403, 405}
    if page.name not in PERSONAL:
        assert viewer.post(address, {"name": "changed", "limit": "9"}).status_code in {403, 405}


def test_admin_opens_every_page_but_those_of_owners() -> None:
    alice = cast.alice()
    values, bob = values_of(alice), cast.bob(alice)
    Membership.objects.filter(user=bob.user).update(role=Role.ADMIN)
    admin = browser(bob)
    assert {page.name for page in pages() if admin.get(page.address(values)).status_code == 403} == OF_OWNERS
    assert {admin.post(page.address(values)).status_code for page in pages() if page.name in OF_OWNERS} == {403}


def test_owner_confirms_before_the_pages_of_owners_and_no_others() -> None:
    alice = cast.alice()
    values, owner = values_of(alice), browser(alice)
    asking = {page.name for page in pages() if asks(owner.get(page.address(values)))}
    assert asking == OF_OWNERS
    assert all(asks(owner.post(page.address(values))) for page in pages() if page.name in OF_OWNERS)


def asks(answer: HttpResponse) -> bool:
    """Whether the answer sends to the page on which people confirm who they are."""
    return answer.headers.get("Location", "").startswith("/accounts/reauthenticate/?next=")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_owner_opens_every_page_and_it_keeps_the_policy(page: Page) -> None:
    alice = cast.alice()
    answer = confirmed(browser(alice), alice).get(page.address(values_of(alice)))
    assert answer.status_code in {200, 302, 405}
    if answer.status_code == 200:
        check_policy(answer)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_name_of_a_tenant_never_becomes_markup(page: Page) -> None:
    alice = cast.alice()
    values = values_of(alice)
    type(alice.organization).objects.update(name=PAYLOAD)
    Agent.objects.update(name=PAYLOAD)
    AgentKey.objects.update(name=PAYLOAD)
    OrganizationKey.objects.update(name=PAYLOAD)
    type(alice.user).objects.update(name=PAYLOAD)
    CustomRate.objects.update(model=PAYLOAD)
    ProviderCredential.objects.exclude(label="").update(label=PAYLOAD[:60])
    Budget.objects.filter(scope=Scope.MODEL).update(scope_name=PAYLOAD)
    call(alice, timezone.now(), model=PAYLOAD, session=PAYLOAD, user_subject=PAYLOAD, sub_agent=PAYLOAD[:64])
    answer = browser(alice).get(page.address(values))
    if answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html"):
        check_policy(answer)
        assert PAYLOAD not in answer.content.decode()


@pytest.mark.parametrize(
    "address",
    [
        "/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/email/",
        "/accounts/password/change/", "/accounts/logout/", "/accounts/2fa/", "/accounts/reauthenticate/", "/nowhere/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("signed_in", [True, False])
def test_page_of_the_account_keeps_the_policy(address: str, signed_in: bool) -> None:
    client = browser(cast.alice()) if signed_in else Client()
    answer = client.get(address)
    assert answer.status_code in {200, 302, 404}
    if answer.status_code != 302:
        check_policy(answer)


def test_looking_at_every_page_changes_nothing() -> None:
    alice = cast.alice()
    values = values_of(alice)
    visitor = browser(alice)
    before = rows()
    for page in pages():
        visitor.get(page.address(values))
    assert rows() == before


def test_everything_that_a_page_fetches_by_itself_is_a_safe_page() -> None:
    fetched = {
        name
        for file in Path("templates").rglob("*.html")
        for name in re.findall(r"""hx-get="\{% url ['"]([a-z_:]+)['"]""", file.read_text())
    }
    assert fetched
    alice = cast.alice()
    values, visitor = values_of(alice), browser(alice)
    for page in pages():
        if page.name in fetched:
            assert visitor.get(page.address(values)).status_code == 200, page.name


def rows() -> list[list[object]]:
    """Everything that people change, as it stands."""
    tables = (AuditEntry, Organization, ProviderCredential, Agent, AgentKey, OrganizationKey, Budget, CustomRate)
    return [list(table.objects.order_by("pk").values()) for table in tables]


def test_form_without_a_token_changes_nothing() -> None:
    alice = cast.alice()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice.user)
    values = values_of(alice)
    for page in pages():
        answer = strict.post(page.address(values))
        assert answer.status_code in {403, 405}, page.name
    assert "Please send it again" in strict.post("/settings/").content.decode()


class _Inline(HTMLParser):
    """Finds what the content policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = tag
        bad = [name for name in given if name == "style" or name.startswith("on")]
        if bad or (tag == "script" and not given.get("src")) or tag in {"style", "iframe", "object", "embed", "base"}:
            self.found.append(f"<{tag} {bad}>")
        for name in ("href", "src", "action"):
            if (given.get(name) or "").strip().lower().startswith(("javascript:", "data:", "http:")) and tag != "a":
                self.found.append(f"<{tag} {name}={given[name]}>")


def check_policy(answer: HttpResponse) -> None:
    """The header stands, and nothing in the page needs more than it allows."""
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    parser = _Inline()
    parser.feed(answer.content.decode())
    assert parser.found == []
