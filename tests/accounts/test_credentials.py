from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.credentials import (
    KeyNeeded,
    NameTaken,
    Upstream,
    _binding,
    connect,
    disconnect,
    fingerprint_of,
    move,
    open_credential,
    organizations_with,
)
from accounts.models import AuditEntry, ProviderCredential
from accounts.vault import SealBroken, seal
from tests import cast

SECRET = "sk-proj-canary-4242"


@pytest.mark.django_db
def test_a_connected_key_opens_again_and_is_not_stored_in_the_clear():
    alice = cast.alice()
    credential = connect(alice.organization, "openai", SECRET, by=alice.user)
    credential.refresh_from_db()

    assert open_credential(credential).api_key == SECRET
    assert SECRET.encode() not in bytes(credential.sealed_key)
    assert credential.key_hint == "4242"


@pytest.mark.django_db
def test_an_open_credential_does_not_print_its_key():
    alice = cast.alice()

    assert SECRET not in repr(open_credential(connect(alice.organization, "openai", SECRET, by=alice.user)))


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["provider", "base_url", "organization"])
def test_a_row_that_was_moved_no_longer_opens(field):
    alice, charlie = cast.alice(), cast.charlie()
    credential = connect(alice.organization, "openai", SECRET, by=alice.user)
    elsewhere = {"provider": "anthropic", "base_url": "https://evil.example/v1", "organization": charlie.organization}
    setattr(credential, field, elsewhere[field])

    with pytest.raises(SealBroken):
        open_credential(credential)


@pytest.mark.django_db
def test_connecting_and_disconnecting_move_the_policy_version_and_are_audited_without_the_key():
    alice = cast.alice()
    before = alice.organization.policy_version
    credential = connect(alice.organization, "openai", SECRET, by=alice.user)
    disconnect(credential, by=alice.user)
    alice.organization.refresh_from_db()

    assert alice.organization.policy_version == before + 2
    assert not ProviderCredential.objects.exists()
    entries = AuditEntry.objects.filter(action__startswith="credential.")
    assert {entry.action for entry in entries} == {"credential.connected", "credential.disconnected"}
    assert SECRET not in repr([vars(entry) for entry in entries])


@pytest.mark.django_db
def test_replacing_a_key_keeps_one_row_with_the_new_key():
    alice = cast.alice()
    connect(alice.organization, "openai", SECRET, by=alice.user)
    credential = connect(alice.organization, "openai", "sk-new-9999", by=alice.user)

    assert open_credential(credential).api_key == "sk-new-9999"
    assert ProviderCredential.objects.count() == 1


@pytest.mark.django_db
def test_keys_that_were_connected_before_fingerprints_existed_are_recognised_after_the_migration():
    alice, charlie = cast.alice(), cast.charlie()
    known = connect(alice.organization, "openai", "sk-proj-of-acme-0123456789", by=alice.user)
    short = connect(alice.organization, "anthropic", "sk-short", by=alice.user)
    broken = connect(charlie.organization, "openai", "sk-proj-of-borealis-0123", by=charlie.user)
    expected = known.fingerprint
    ProviderCredential.objects.update(fingerprint="")
    ProviderCredential.objects.filter(id=broken.id).update(sealed_key=b"nothing that opens")
    import_module("accounts.migrations.0002_fingerprints_and_new_agents").fill_fingerprints(apps, None)

    assert len(expected) == 64
    assert ProviderCredential.objects.get(id=known.id).fingerprint == expected
    assert set(ProviderCredential.objects.exclude(id=known.id).values_list("id", "fingerprint")) == {
        (short.id, ""),
        (broken.id, ""),
    }
    assert organizations_with("sk-proj-of-acme-0123456789") == [alice.organization]


@pytest.mark.django_db
def test_a_key_for_another_address_is_filled_by_the_migration_with_its_own_binding():
    alice = cast.alice()
    credential = connect(alice.organization, "openai", "sk-proj-of-acme-0123456789", by=alice.user)
    credential.base_url = "https://llm.acme.example/v1"
    credential.sealed_key = seal("sk-of-another-address-01", binding=_binding(credential))
    credential.fingerprint = ""
    credential.save()
    import_module("accounts.migrations.0002_fingerprints_and_new_agents").fill_fingerprints(apps, None)

    assert ProviderCredential.objects.get().fingerprint == fingerprint_of("sk-of-another-address-01")


HERE, THERE = Upstream("https://llm.acme.example/v1", "other"), Upstream("https://llm.elsewhere.example/v1", "other")


@pytest.mark.django_db
def test_a_change_that_was_overtaken_leaves_the_newer_key_and_its_address_alone():
    alice = cast.alice()
    connect(alice.organization, "mine", SECRET, by=alice.user, upstream=HERE)
    seen = ProviderCredential.objects.get()
    connect(alice.organization, "mine", "sk-for-there-0001", by=alice.user, upstream=THERE)
    with pytest.raises(KeyNeeded):
        move(seen, Upstream(f"{HERE.base_url}/eu", "other"), by=alice.user)
    now = ProviderCredential.objects.get()
    assert (now.base_url, open_credential(now).api_key) == (THERE.base_url, "sk-for-there-0001")


@pytest.mark.django_db
def test_a_provider_that_was_disconnected_meanwhile_cannot_be_changed_or_disconnected_again():
    alice = cast.alice()
    connect(alice.organization, "mine", SECRET, by=alice.user, upstream=HERE)
    first, second = ProviderCredential.objects.get(), ProviderCredential.objects.get()
    disconnect(first, by=alice.user)
    with pytest.raises(KeyNeeded):
        move(second, HERE, by=alice.user)
    disconnect(second, by=alice.user)
    assert AuditEntry.objects.filter(action="credential.disconnected").count() == 1


@pytest.mark.django_db
def test_two_who_connect_a_provider_under_the_same_name_do_not_overwrite_each_other():
    alice = cast.alice()
    connect(alice.organization, "mine", SECRET, by=alice.user, upstream=HERE, new=True)
    with pytest.raises(NameTaken):
        connect(alice.organization, "mine", "sk-second-0002", by=alice.user, upstream=THERE, new=True)
    assert open_credential(ProviderCredential.objects.get()).api_key == SECRET


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["connect", "move", "disconnect"])
def test_every_change_of_a_key_locks_the_organisation_before_anything_else(change):
    """Two changes that took their locks in different orders would wait for each other, and one would be a 500."""
    alice = cast.alice()
    credential = connect(alice.organization, "mine", SECRET, by=alice.user, upstream=HERE)
    with CaptureQueriesContext(connection) as queries:
        match change:
            case "connect":
                connect(alice.organization, "mine", SECRET, by=alice.user, upstream=HERE)
            case "move":
                move(credential, HERE, by=alice.user)
            case _:
                disconnect(credential, by=alice.user)
    locks = [
        query["sql"] for query in queries if query["sql"].startswith(("UPDATE", "DELETE")) or " FOR " in query["sql"]
    ]
    assert 'FROM "organization"' in locks[0]
    assert locks[0].endswith("FOR NO KEY UPDATE")
