import base64

import pytest

from accounts.vault import SealBroken, digest_of, seal, seal_data, unseal, unseal_data

OLD = "1:" + base64.b64encode(b"a" * 32).decode()
NEW = "2:" + base64.b64encode(b"b" * 32).decode()


@pytest.fixture(autouse=True)
def _one_master_key(settings):
    settings.SHREDDER_VAULT_KEYS = [OLD]


def test_a_sealed_key_opens_for_what_it_was_sealed_for():
    assert unseal(seal("sk-secret", binding=b"acme"), binding=b"acme") == "sk-secret"


def test_a_sealed_key_does_not_open_for_another_binding():
    with pytest.raises(SealBroken):
        unseal(seal("sk-secret", binding=b"acme"), binding=b"borealis")


def test_sealing_twice_gives_different_bytes_without_the_secret_in_them():
    first, second = seal("sk-secret", binding=b"acme"), seal("sk-secret", binding=b"acme")

    assert first != second
    assert b"sk-secret" not in first


def test_after_rotation_the_newest_key_seals_and_old_seals_still_open(settings):
    before = seal("sk-secret", binding=b"acme")
    settings.SHREDDER_VAULT_KEYS = [OLD, NEW]

    assert unseal(before, binding=b"acme") == "sk-secret"
    assert seal("x", binding=b"acme")[1] == 2


@pytest.mark.parametrize("position", [0, 1, 5, 20, -1])
def test_a_changed_byte_breaks_the_seal(position):
    sealed = bytearray(seal("sk-secret", binding=b"acme"))
    sealed[position] ^= 1

    with pytest.raises(SealBroken):
        unseal(bytes(sealed), binding=b"acme")


def test_data_opens_only_for_its_purpose_and_binding():
    sealed = seal_data(b"answer", purpose="cache acme", binding=b"q-1")

    assert b"answer" not in sealed
    assert unseal_data(sealed, purpose="cache acme", binding=b"q-1") == b"answer"
    for purpose, binding in (("cache borealis", b"q-1"), ("cache acme", b"q-2"), ("", b"q-1")):
        with pytest.raises(SealBroken):
            unseal_data(sealed, purpose=purpose, binding=binding)


def test_data_still_opens_after_rotation(settings):
    before = seal_data(b"answer", purpose="cache", binding=b"")
    settings.SHREDDER_VAULT_KEYS = [OLD, NEW]

    assert unseal_data(before, purpose="cache", binding=b"") == b"answer"


def test_a_digest_needs_the_master_key_and_the_purpose(settings):
    first = digest_of(b"question", purpose="cache")

    assert first == digest_of(b"question", purpose="cache") != digest_of(b"question", purpose="other")
    settings.SHREDDER_VAULT_KEYS = [NEW]
    assert first != digest_of(b"question", purpose="cache")


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"\x01\x01", b"\x01\x01" + b"x" * 12])
def test_garbage_is_a_broken_seal(garbage):
    with pytest.raises(SealBroken):
        unseal(garbage, binding=b"acme")
