"""The organisation's settings: who changes what, and what is never shown."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from accounts import credentials
from accounts.credentials import open_credential
from accounts.models import AuditEntry, Membership, Organization, ProviderCredential
from accounts.provider_check import Check, Verdict
from accounts.views import providers
from tests import cast
from tests.cast import Person

pytestmark = pytest.mark.django_db

KEY = "sk-proj-canary-7f3a9b"


def browser(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Decides what the provider says; the question itself is tested in test_provider_check.py."""
    answers = [Check(Verdict.ACCEPTED)]
    monkeypatch.setattr(providers, "check_key", lambda provider, key: answers[-1])
    return answers


def test_owner_renames_and_moves_the_day_and_it_is_recorded() -> None:
    alice = cast.alice()
    browser(alice).post("/settings/", {"name": "Acme Labs", "time_zone": "Asia/Tokyo"})
    now = Organization.objects.get()
    assert (now.name, now.time_zone) == ("Acme Labs", "Asia/Tokyo")
    assert now.policy_version > alice.organization.policy_version
    entry = AuditEntry.objects.get(action="organization.changed")
    assert entry.details == {"name": ["Acme Robotics", "Acme Labs"], "time_zone": ["UTC", "Asia/Tokyo"]}


def test_member_sees_but_does_not_change_the_organisation() -> None:
    alice = cast.alice()
    visitor = browser(cast.bob(alice))
    assert "Acme Robotics" in visitor.get("/settings/").content.decode()
    assert visitor.post("/settings/", {"name": "Bobs", "time_zone": "UTC"}).status_code == 403
    assert Organization.objects.get().name == "Acme Robotics"


def test_accepted_key_is_stored_sealed_and_never_shown(verdict: Any) -> None:
    alice = cast.alice()
    visitor = browser(alice)
    answer = visitor.post("/settings/providers/openai/", {"api_key": KEY, "action": "save"}, follow=True)
    credential = ProviderCredential.objects.get()
    assert KEY.encode() not in bytes(credential.sealed_key)
    assert open_credential(credential).api_key == KEY
    assert credential.checked_at is not None
    for page in (answer, visitor.get("/settings/providers/openai/"), visitor.get("/settings/audit/")):
        assert KEY not in page.content.decode()
    assert KEY[-4:] in answer.content.decode()


def test_rejected_key_is_not_stored_even_when_asked(verdict: Any) -> None:
    verdict.append(Check(Verdict.REJECTED, "It answered 401."))
    visitor = browser(cast.alice())
    for action in ("save", "save_untested"):
        page = visitor.post("/settings/providers/openai/", {"api_key": KEY, "action": action}).content.decode()
        assert "does not accept this key" in page
        assert KEY not in page
    assert not ProviderCredential.objects.exists()


def test_key_that_could_not_be_tested_is_stored_only_on_request(verdict: Any) -> None:
    verdict.append(Check(Verdict.UNKNOWN, "api.openai.com could not be reached."))
    visitor = browser(cast.alice())
    assert "could not be tested" in visitor.post("/settings/providers/openai/", {"api_key": KEY}).content.decode()
    assert not ProviderCredential.objects.exists()
    visitor.post("/settings/providers/openai/", {"api_key": KEY, "action": "save_untested"})
    assert ProviderCredential.objects.get().checked_at is None


def test_test_connection_answers_a_fragment_and_stores_nothing(verdict: Any) -> None:
    visitor = browser(cast.alice())
    headers = {"HX-Request": "true", "HX-Target": "div#check"}
    answer = visitor.post("/settings/providers/openai/", {"api_key": KEY, "action": "test"}, headers=headers)
    assert answer.content.decode().lstrip().startswith('<div id="check"')
    assert "accepts this key" in answer.content.decode()
    assert not ProviderCredential.objects.exists()


@pytest.mark.parametrize("key", ["awx_live_ab12cd34_whatever", "sk with space", "sk-\u00e9", "sk-\r\nX: y"])
def test_key_that_cannot_be_one_is_refused(verdict: Any, key: str) -> None:
    page = browser(cast.alice()).post("/settings/providers/openai/", {"api_key": key})
    assert page.status_code == 200
    assert not ProviderCredential.objects.exists()


def test_disconnect_names_the_consequence_and_forgets_the_key(verdict: Any) -> None:
    visitor = browser(cast.alice())
    visitor.post("/settings/providers/openai/", {"api_key": KEY})
    page = visitor.get("/settings/providers/openai/disconnect/").content.decode()
    assert "is refused from the next one on" in page
    visitor.post("/settings/providers/openai/disconnect/")
    assert not ProviderCredential.objects.exists()
    assert AuditEntry.objects.filter(action="credential.disconnected").exists()


def test_charlie_cannot_disconnect_or_see_acmes_key(verdict: Any) -> None:
    browser(cast.alice()).post("/settings/providers/openai/", {"api_key": KEY})
    stranger = browser(cast.charlie())
    assert stranger.post("/settings/providers/openai/disconnect/").status_code == 404
    assert KEY[-4:] not in stranger.get("/settings/providers/").content.decode()
    assert ProviderCredential.objects.count() == 1


def test_member_does_not_touch_provider_keys(verdict: Any) -> None:
    visitor = browser(cast.bob(cast.alice()))
    assert visitor.get("/settings/providers/").status_code == 200
    assert visitor.get("/settings/providers/openai/").status_code == 403
    assert visitor.post("/settings/providers/openai/", {"api_key": KEY}).status_code == 403


def test_unknown_provider_is_not_there() -> None:
    assert browser(cast.alice()).get("/settings/providers/acme-llm/").status_code == 404


def test_audit_log_is_the_organisations_own() -> None:
    alice = cast.alice()
    cast.charlie()
    page = browser(alice).get("/settings/audit/").content.decode()
    assert "agent.created" in page
    assert "newsletter" not in page
    bob = browser(cast.bob(alice))
    assert bob.get("/settings/audit/").status_code == 403
    assert "/settings/audit/" not in bob.get("/settings/").content.decode()
    assert "/settings/audit/" in browser(alice).get("/settings/").content.decode()


@pytest.mark.parametrize("address", ["/settings/", "/settings/members/", "/settings/providers/"])
def test_dates_are_days_of_the_organisations_calendar(address: str) -> None:
    alice = cast.alice(time_zone="Asia/Tokyo")
    credentials.connect(alice.organization, "openai", KEY, by=alice.user)
    for table in (Organization, Membership, ProviderCredential):
        table.objects.update(created_at=datetime(2026, 3, 31, 18, tzinfo=UTC))
    page = browser(alice).get(address).content.decode()
    assert "1 April 2026" in page
    assert "31 March" not in page


def test_theme_is_remembered_in_a_cookie_and_leads_back() -> None:
    visitor = Client()
    answer = visitor.post("/theme/", {"next": "/accounts/login/"})
    assert answer.headers["Location"] == "/accounts/login/"
    assert 'data-theme="dark"' in visitor.get("/accounts/login/").content.decode()
    visitor.post("/theme/")
    page = visitor.get("/accounts/login/?next=/calls/").content.decode()
    assert 'data-theme="light"' in page
    assert 'name="next" value="/accounts/login/?next=/calls/"' in page


@pytest.mark.parametrize(
    "address", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_theme_never_leads_elsewhere(address: str) -> None:
    assert Client().post("/theme/", {"next": address}).headers["Location"] == "/"


def test_theme_cookie_of_nonsense_is_ignored() -> None:
    visitor = Client()
    visitor.cookies["theme"] = '"><script>'
    assert "data-theme" not in visitor.get("/accounts/login/").content.decode().partition("<head>")[0]


def test_person_changes_their_name() -> None:
    alice = cast.alice()
    browser(alice).post("/profile/", {"name": "Alice Ace"})
    alice.user.refresh_from_db()
    assert alice.user.name == "Alice Ace"
