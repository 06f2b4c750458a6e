"""Who chooses an address to which keys and prompts go: owners alone, and only while they are there in person.

reliability.md 5.2: base_url SSRF.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.contrib.sessions.models import Session
from django.test import Client

from accounts import credentials
from accounts.confirmation import NO_WAY, TOO_LATE
from accounts.credentials import Upstream, open_credential
from accounts.http import OWNERS_ONLY
from accounts.models import AuditEntry, Membership, ProviderCredential, Role
from accounts.provider_check import Check, Verdict
from accounts.views import custom_providers
from tests import cast
from tests.accounts.confirming import confirmed
from tests.accounts.test_settings_pages import browser
from tests.cast import PASSWORD, Person

pytestmark = pytest.mark.django_db

NEW = "/settings/providers/new/?preset=groq"
FAST = "/settings/providers/fast/"
NEW_ASKS = "/accounts/reauthenticate/?next=%2Fsettings%2Fproviders%2Fnew%2F%3Fpreset%3Dgroq"
FAST_ASKS = "/accounts/reauthenticate/?next=%2Fsettings%2Fproviders%2Ffast%2F"
HERE, ELSEWHERE = "https://api.groq.com/openai/v1", "https://evil.example/v1"
TYPED = {
    "name": "fast", "base_url": ELSEWHERE, "api_key": "gsk-canary-7f3a9b", "cap_field": "max_completion_tokens",
    "takes_stream_options": "on",
}  # fmt: skip


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What providers were asked; they accept every key."""
    seen: list[Any] = []

    def accept(*question: Any) -> Check:
        seen.append(question)
        return Check(Verdict.ACCEPTED)

    monkeypatch.setattr("accounts.base_urls.check_resolves", lambda base_url, allow_private: None)
    monkeypatch.setattr(custom_providers, "check_custom", accept)
    return seen


def alice_with_fast() -> Person:
    alice = cast.alice()
    credentials.connect(alice.organization, "fast", "gsk-1", by=alice.user, upstream=Upstream(HERE, "groq"))
    return alice


def admin(alice: Person) -> Client:
    bob = cast.bob(alice)
    Membership.objects.filter(user=bob.user).update(role=Role.ADMIN)
    return confirmed(browser(bob), bob)


@contextmanager
def later(seconds: float) -> Iterator[None]:
    there = time.time() + seconds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: there)
        yield


def untouched() -> bool:
    """Whether the provider is where it was, with the key that it had."""
    credential = ProviderCredential.objects.get()
    return (credential.base_url, open_credential(credential).api_key) == (HERE, "gsk-1")


@pytest.mark.parametrize(("address", "asks"), [(NEW, NEW_ASKS), (FAST, FAST_ASKS)])
def test_an_owner_gives_the_password_and_comes_back_to_the_form(address: str, asks: str) -> None:
    alice = alice_with_fast()
    owner = browser(alice)
    answer = owner.get(address)
    assert (answer.status_code, answer["Location"]) == (302, asks)
    page = owner.get(asks).content.decode()
    assert 'type="password"' in page
    assert "in person" in page
    confirmed(owner, alice)
    answer = owner.post(asks, {"password": PASSWORD})
    assert answer["Location"] == address
    assert 'name="base_url"' in owner.get(address).content.decode()


def test_a_wrong_password_opens_nothing() -> None:
    alice = alice_with_fast()
    owner = browser(alice)
    assert owner.post(FAST_ASKS, {"password": "wrong"}).status_code == 200
    assert owner.get(FAST).status_code == 302


def test_having_signed_in_just_now_is_no_confirmation() -> None:
    """Whoever finds the browser open did not sign in."""
    alice = alice_with_fast()
    owner = confirmed(browser(alice), alice)
    assert owner.get(FAST).status_code == 200
    owner.post("/accounts/logout/")
    owner.post("/accounts/login/", {"login": alice.user.email, "password": PASSWORD})
    assert owner.get("/settings/providers/").status_code == 200
    assert owner.get(FAST)["Location"] == FAST_ASKS


@pytest.mark.parametrize("action", ["save", "save_untested", "test"])
@pytest.mark.parametrize(("address", "asks"), [(NEW, NEW_ASKS), (FAST, FAST_ASKS)])
def test_a_form_sent_without_confirming_stores_and_asks_nothing_and_is_recorded(
    address: str, asks: str, action: str, asked: list[Any]
) -> None:
    alice = alice_with_fast()
    owner = browser(alice)
    answer = owner.post(address, TYPED | {"action": action})
    assert (answer.status_code, answer["Location"]) == (302, asks)
    assert TOO_LATE in owner.get(asks).content.decode()
    assert untouched()
    assert asked == []
    entry = AuditEntry.objects.get(action="confirmation.missing")
    assert (entry.user, entry.target, entry.details) == (alice.user, address.partition("?")[0], {})
    assert entry.target in owner.get("/settings/audit/").content.decode()


def test_a_form_that_came_too_late_is_neither_kept_nor_sent_again() -> None:
    """The key in it would lie in the session in plain text."""
    alice = alice_with_fast()
    owner = confirmed(browser(alice), alice)
    with later(599):
        assert owner.get(FAST).status_code == 200
    with later(601):
        assert owner.post(FAST, TYPED)["Location"] == FAST_ASKS
    kept = Session.objects.get().get_decoded()
    assert "reauthenticated" in str(kept)
    assert TYPED["api_key"] not in str(kept)
    assert owner.post(FAST_ASKS, {"password": PASSWORD})["Location"] == FAST
    assert untouched()


def test_a_fragment_moves_the_whole_page_to_the_question() -> None:
    owner = browser(alice_with_fast())
    answer = owner.post(FAST, TYPED | {"action": "test"}, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == FAST_ASKS


def test_a_code_confirms_as_well_as_the_password() -> None:
    """Whoever signs in with an authenticator app, or a recovery code, need not type the password again."""
    alice = alice_with_fast()
    codes = RecoveryCodes.activate(alice.user).generate_codes()
    owner = browser(alice)
    page = owner.get(FAST_ASKS).content.decode()
    there = "/accounts/2fa/reauthenticate/?next=%2Fsettings%2Fproviders%2Ffast%2F"
    assert f'href="{there}"' in page
    assert 'name="code"' in owner.get(there).content.decode()
    assert owner.post(there, {"code": codes[0]})["Location"] == FAST
    assert owner.get(FAST).status_code == 200


def test_somebody_without_a_password_is_asked_for_a_code() -> None:
    alice = alice_with_fast()
    codes = RecoveryCodes.activate(alice.user).generate_codes()
    alice.user.set_unusable_password()
    alice.user.save()
    owner = browser(alice)
    there = owner.get(FAST)["Location"]
    assert there.startswith("/accounts/2fa/reauthenticate/")
    assert owner.post(there, {"code": codes[0]})["Location"] == FAST
    assert owner.get(FAST).status_code == 200


def test_somebody_with_nothing_to_confirm_by_is_told_and_let_nowhere() -> None:
    """allauth takes an account without password and codes for confirmed."""
    alice = alice_with_fast()
    alice.user.set_unusable_password()
    alice.user.save()
    owner = browser(alice)
    for ask in (owner.get, owner.post):
        assert ask(FAST)["Location"] == "/profile/"
        assert NO_WAY in owner.get("/profile/").content.decode()
    assert untouched()


@pytest.mark.parametrize("address", [NEW, "/settings/providers/new/", FAST])
def test_an_admin_chooses_no_address_even_having_confirmed(address: str, asked: list[Any]) -> None:
    visitor = admin(alice_with_fast())
    for answer in (visitor.get(address), visitor.post(address, TYPED), visitor.post(address, {"action": "test"})):
        assert answer.status_code == 403
        assert OWNERS_ONLY in answer.content.decode()
    assert untouched()
    assert asked == []


def test_an_admin_reads_who_can_do_it_and_finds_no_button_for_it() -> None:
    alice = alice_with_fast()
    page = admin(alice).get("/settings/providers/").content.decode()
    assert "Only owners of the organisation connect one" in page
    assert "only owners change it" in page
    assert f'href="{FAST}"' not in page
    assert 'href="/settings/providers/new/"' not in page
    for address in ("/settings/providers/openai/", f"{FAST}disconnect/", f"{FAST}keys/new/"):
        assert f'href="{address}"' in page
    owners = browser(alice).get("/settings/providers/").content.decode()
    assert f'href="{FAST}"' in owners
    assert 'href="/settings/providers/new/"' in owners
    assert "nly owners" not in owners


def test_an_admin_still_disconnects() -> None:
    visitor = admin(alice_with_fast())
    visitor.post(f"{FAST}disconnect/")
    assert not ProviderCredential.objects.exists()


def test_members_and_viewers_connect_nothing() -> None:
    alice = alice_with_fast()
    for person in (cast.bob(alice), cast.vera(alice)):
        visitor = confirmed(browser(person), person)
        assert {visitor.post(NEW, TYPED).status_code, visitor.post(FAST, TYPED).status_code} == {403}
    assert untouched()


def test_charlie_finds_nothing_at_acmes_name_confirmed_or_not() -> None:
    alice_with_fast()
    charlie = cast.charlie()
    for stranger in (browser(charlie), confirmed(browser(charlie), charlie)):
        assert {stranger.get(FAST).status_code, stranger.post(FAST, TYPED).status_code} == {404}
    assert not AuditEntry.objects.filter(action="confirmation.missing").exists()
    assert untouched()
