"""Pages on which an organisation connects a provider of its own and gives it further keys."""

from typing import Any

import pytest
from django.test import Client

from accounts import credentials
from accounts.credentials import Upstream, open_credential
from accounts.models import AuditEntry, ProviderCredential
from accounts.presets import PRESETS
from accounts.provider_check import Check, Verdict
from accounts.vault import SealBroken
from accounts.views import custom_providers, further_keys
from tests import cast
from tests.accounts.confirming import confirmed
from tests.accounts.test_settings_pages import browser

pytestmark = pytest.mark.django_db

KEY = "gsk-canary-7f3a9b"
NEW = "/settings/providers/new/?preset=groq"
TYPED = {
    "name": "fast", "base_url": "https://api.groq.com/openai/v1/", "api_key": KEY, "cap_field": "max_completion_tokens",
    "takes_stream_options": "on",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host leads to is tested in test_base_urls.py."""
    monkeypatch.setattr("accounts.base_urls.check_resolves", lambda base_url, allow_private: None)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Decides what providers say and keeps what they were asked; the question is tested in test_provider_check.py."""
    said, seen = [Check(Verdict.ACCEPTED)], []

    def answer(*question: Any) -> Check:
        seen.append(question)
        return said[-1]

    for views in (custom_providers, further_keys):
        monkeypatch.setattr(views, "check_custom", answer)
    monkeypatch.setattr(further_keys, "check_key", answer)
    answer.said, answer.seen = said, seen  # type: ignore[attr-defined]
    return answer


def owner() -> tuple[cast.Person, Client]:
    alice = cast.alice()
    return alice, confirmed(browser(alice), alice)


def connected(**changes: str) -> tuple[cast.Person, Client, ProviderCredential]:
    alice, visitor = owner()
    visitor.post(NEW, TYPED | changes)
    return alice, visitor, ProviderCredential.objects.get(provider="fast")


def test_a_provider_is_connected_and_its_key_never_shown() -> None:
    alice, visitor = owner()
    answer = visitor.post(NEW, TYPED, follow=True).content.decode()
    credential = ProviderCredential.objects.get()
    assert (credential.provider, credential.base_url) == ("fast", "https://api.groq.com/openai/v1")
    assert (credential.preset, credential.options, credential.label) == ("groq", {}, "")
    assert open_credential(credential).api_key == KEY
    assert credential.checked_at is not None
    for page in (answer, visitor.get("/settings/providers/fast/").content.decode()):
        assert KEY not in page
        assert "https://api.groq.com/openai/v1" in page
    assert "/settings/rates/?provider=fast" in answer
    entry = AuditEntry.objects.get(action="credential.connected")
    assert entry.target == "fast"
    assert entry.details["base_url"] == credential.base_url
    alice.organization.refresh_from_db()
    assert alice.organization.policy_version > 1


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.slug)
def test_every_preset_fills_its_form_in(preset: Any) -> None:
    _, visitor = owner()
    assert f"?preset={preset.slug}" in visitor.get("/settings/providers/new/").content.decode()
    page = visitor.get(f"/settings/providers/new/?preset={preset.slug}").content.decode()
    assert preset.shown_url in page
    assert ('name="deployments"' in page) is preset.has_deployments
    assert f'<option value="{preset.cap_field}" selected>' in page


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "openai", "is taken"),
        ("name", "new", "is taken"),
        ("name", "models", "is taken"),
        ("name", "Fast One", "a–z"),
        ("name", "a/b", "a–z"),
        ("name", "a" * 41, "40"),
        ("name", "", "required"),
        ("base_url", "http://api.groq.com/openai/v1", "https://"),
        ("base_url", "https://127.0.0.1/v1", "SHREDDER_ALLOW_PRIVATE_UPSTREAMS"),
        ("base_url", "https://me:pw@api.groq.com/v1", "user name"),
        ("base_url", "https://shredder.example.com/proxy/v1", "AWX Shredder itself"),
        ("api_key", "", "required"),
        ("api_key", "awx_live_ab12cd34_whatever", "AWX key"),
        ("cap_field", "max_words", "max_words"),
    ],
)
def test_a_bad_field_is_named_with_its_remedy_and_nothing_is_asked_or_stored(
    settings: Any, asked: Any, field: str, value: str, says: str
) -> None:
    settings.SITE_URL = "https://shredder.example.com"
    _, visitor = owner()
    answer = visitor.post(NEW, TYPED | {field: value})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert f'id="id_{field}_error"' in page
    assert says in page
    assert not ProviderCredential.objects.exists()
    assert asked.seen == []


def test_a_name_is_given_once_in_an_organisation() -> None:
    _, visitor, _ = connected()
    assert "is connected already" in visitor.post(NEW, TYPED).content.decode()
    charlie = cast.charlie()
    confirmed(browser(charlie), charlie).post(NEW, TYPED)
    assert ProviderCredential.objects.filter(provider="fast").count() == 2


def test_a_rejected_key_is_never_stored_and_an_untested_one_only_on_request(asked: Any) -> None:
    _, visitor = owner()
    asked.said.append(Check(Verdict.REJECTED, "It answered 401."))
    assert "does not accept this key" in visitor.post(NEW, TYPED | {"action": "save_untested"}).content.decode()
    asked.said.append(Check(Verdict.UNKNOWN, "It could not be reached."))
    assert "could not be tested" in visitor.post(NEW, TYPED).content.decode()
    assert not ProviderCredential.objects.exists()
    visitor.post(NEW, TYPED | {"action": "save_untested"})
    assert ProviderCredential.objects.get().checked_at is None


def test_a_test_answers_a_fragment_and_stores_nothing(asked: Any) -> None:
    _, visitor = owner()
    answer = visitor.post(NEW, TYPED | {"action": "test"}, headers={"HX-Request": "true"}).content.decode()
    assert answer.lstrip().startswith('<div id="check"')
    assert asked.seen == [(Upstream("https://api.groq.com/openai/v1", "groq", {}), KEY)]
    assert not ProviderCredential.objects.exists()


def test_flags_change_without_the_key_and_only_what_differs_is_kept() -> None:
    alice, visitor, before = connected()
    visitor.post("/settings/providers/fast/", TYPED | {"api_key": "", "cap_field": "max_tokens"})
    after = ProviderCredential.objects.get()
    assert after.options == {"cap_field": "max_tokens"}
    assert open_credential(after).api_key == KEY
    assert after.sealed_key == before.sealed_key
    assert AuditEntry.objects.filter(organization=alice.organization, action="credential.changed").count() == 1


def test_another_path_of_the_same_origin_keeps_the_key() -> None:
    _, visitor, _ = connected()
    visitor.post("/settings/providers/fast/", TYPED | {"api_key": "", "base_url": "https://api.groq.com/v2"})
    assert ProviderCredential.objects.get().base_url == "https://api.groq.com/v2"


def test_another_origin_needs_the_key_again(asked: Any) -> None:
    """A stored key is never shown to an address that it was not given for."""
    _, visitor, _ = connected()
    asked.seen.clear()
    moved = TYPED | {"api_key": "", "base_url": "https://evil.example/v1", "action": "test"}
    assert "for the old address only" in visitor.post("/settings/providers/fast/", moved).content.decode()
    assert asked.seen == []
    page = visitor.post("/settings/providers/fast/", moved | {"api_key": "sk-other", "action": "save"}, follow=True)
    assert "hold at the new address, too" in page.content.decode()
    after = ProviderCredential.objects.get()
    assert (after.base_url, open_credential(after).api_key) == ("https://evil.example/v1", "sk-other")


def test_a_server_without_keys_that_moves_is_not_shown_the_old_one(asked: Any, settings: Any) -> None:
    settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS = True
    _, visitor = owner()
    local = TYPED | {"name": "local", "base_url": "http://127.0.0.1:8001/v1", "cap_field": "max_tokens"}
    visitor.post("/settings/providers/new/?preset=vllm", local)
    visitor.post("/settings/providers/local/", local | {"api_key": "", "base_url": "http://127.0.0.1:9000/v1"})
    assert asked.seen[-1][1] == ""
    after = ProviderCredential.objects.get()
    assert (open_credential(after).api_key, after.key_hint) == ("", "")


def test_a_row_whose_address_was_changed_behind_our_back_no_longer_opens() -> None:
    _, _, credential = connected()
    credential.base_url = "https://evil.example/v1"
    with pytest.raises(SealBroken):
        open_credential(credential)
    with pytest.raises(credentials.KeyNeeded):
        credentials.move(ProviderCredential.objects.get(), Upstream("https://evil.example/v1", "groq"), by=None)


AZURE = {
    "name": "azure", "base_url": "https://acme.openai.azure.com", "api_key": KEY, "cap_field": "max_completion_tokens",
    "takes_stream_options": "on", "api_version": "2024-10-21", "deployments": "prod-4o = gpt-4o\n\n gpt-4o-mini \n",
}  # fmt: skip


def test_azure_has_deployments_and_an_api_version() -> None:
    _, visitor = owner()
    visitor.post("/settings/providers/new/?preset=azure", AZURE)
    assert ProviderCredential.objects.get().options == {
        "api_version": "2024-10-21", "deployments": {"prod-4o": "gpt-4o", "gpt-4o-mini": "gpt-4o-mini"},
    }  # fmt: skip
    page = visitor.get("/settings/providers/azure/").content.decode()
    assert "prod-4o = gpt-4o\ngpt-4o-mini = gpt-4o-mini" in page


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("deployments", "prod/4o = gpt-4o", "name = model"),
        ("deployments", ".. = gpt-4o", "name = model"),
        ("deployments", "prod-4o =", "name = model"),
        ("deployments", "a = b\na = c", "twice"),
        ("api_version", "latest", "2024-10-21"),
        ("base_url", "https://acme.openai.azure.com/openai/v1", "ends after the host"),
    ],
)
def test_a_bad_field_of_azure_is_named(field: str, value: str, says: str) -> None:
    _, visitor = owner()
    assert says in visitor.post("/settings/providers/new/?preset=azure", AZURE | {field: value}).content.decode()
    assert not ProviderCredential.objects.exists()


def test_a_further_key_is_added_replaced_and_disconnected() -> None:
    alice, visitor, usual = connected()
    visitor.post("/settings/providers/fast/keys/new/", {"label": "research", "api_key": "gsk-research-1"})
    further = ProviderCredential.objects.get(label="research")
    assert (further.base_url, further.preset) == (usual.base_url, "groq")
    assert open_credential(further).api_key == "gsk-research-1"
    address = f"/settings/providers/fast/keys/{further.id}/"
    visitor.post(address, {"api_key": "gsk-research-2"})
    further.refresh_from_db()
    assert open_credential(further).api_key == "gsk-research-2"
    assert "research" in visitor.get("/settings/providers/").content.decode()
    refused = visitor.post("/settings/providers/fast/disconnect/", follow=True).content.decode()
    assert "Disconnect those first" in refused
    visitor.post(f"{address}disconnect/")
    visitor.post("/settings/providers/fast/disconnect/")
    assert not ProviderCredential.objects.exists()
    assert AuditEntry.objects.filter(organization=alice.organization, target="fast (research)").exists()


def test_a_further_key_that_is_replaced_goes_where_the_provider_is_now(asked: Any) -> None:
    """Whoever left an address leaves it for good: a new key must not be shown there."""
    _, visitor, _ = connected()
    visitor.post("/settings/providers/fast/keys/new/", {"label": "research", "api_key": "gsk-research-1"})
    moved = {name: TYPED[name] for name in ("cap_field", "takes_stream_options")}
    visitor.post(
        "/settings/providers/fast/", moved | {"base_url": "https://new.example.com/v1", "api_key": "gsk-new-1"}
    )
    further = ProviderCredential.objects.get(label="research")
    assert (further.base_url, open_credential(further).api_key) == ("https://api.groq.com/openai/v1", "gsk-research-1")
    assert "still at" in visitor.get("/settings/providers/").content.decode()
    visitor.post(f"/settings/providers/fast/keys/{further.id}/", {"api_key": "gsk-research-2"})
    further.refresh_from_db()
    assert asked.seen[-1][0].base_url == "https://new.example.com/v1"
    assert (further.base_url, open_credential(further).api_key) == ("https://new.example.com/v1", "gsk-research-2")
    assert "still at" not in visitor.get("/settings/providers/").content.decode()


def test_a_change_that_was_overtaken_is_told_and_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    alice, visitor, _ = connected()

    def slow(upstream: Upstream, api_key: str) -> Check:
        there = Upstream("https://new.example.com/v1", "groq")
        credentials.connect(alice.organization, "fast", "gsk-new-1", by=alice.user, upstream=there)
        return Check(Verdict.ACCEPTED)

    monkeypatch.setattr(custom_providers, "check_custom", slow)
    same = {name: TYPED[name] for name in ("base_url", "cap_field", "takes_stream_options")}
    page = visitor.post("/settings/providers/fast/", same)
    assert (page.status_code, custom_providers.OVERTAKEN in page.content.decode()) == (200, True)
    now = ProviderCredential.objects.get(provider="fast")
    assert (now.base_url, open_credential(now).api_key) == ("https://new.example.com/v1", "gsk-new-1")


def test_a_further_key_has_a_name_of_its_own() -> None:
    _, visitor, _ = connected()
    typed = {"label": "research", "api_key": "gsk-research-1"}
    visitor.post("/settings/providers/fast/keys/new/", typed)
    assert "There is a key of that name" in visitor.post("/settings/providers/fast/keys/new/", typed).content.decode()
    assert "required" in visitor.post("/settings/providers/fast/keys/new/", {"api_key": "k"}).content.decode()


def test_further_keys_follow_the_providers_flags() -> None:
    _, visitor, _ = connected()
    visitor.post("/settings/providers/fast/keys/new/", {"label": "research", "api_key": "gsk-research-1"})
    visitor.post("/settings/providers/fast/", TYPED | {"api_key": "", "cap_field": "max_tokens"})
    assert set(ProviderCredential.objects.values_list("options__cap_field", flat=True)) == {"max_tokens"}


def test_charlie_neither_sees_nor_changes_acmes_provider() -> None:
    _, visitor, _ = connected()
    visitor.post("/settings/providers/fast/keys/new/", {"label": "research", "api_key": "gsk-research-1"})
    further = ProviderCredential.objects.get(label="research")
    stranger = browser(cast.charlie())
    for path in ("", "disconnect/", "keys/new/", f"keys/{further.id}/", f"keys/{further.id}/disconnect/"):
        assert stranger.get(f"/settings/providers/fast/{path}").status_code == 404
        assert stranger.post(f"/settings/providers/fast/{path}", TYPED).status_code == 404
    assert "groq" not in stranger.get("/settings/providers/").content.decode()
    assert ProviderCredential.objects.count() == 2
