import base64

import pytest

from accounts.vault import SealBroken, seal, unseal

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


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"\x01\x01", b"\x01\x01" + b"x" * 12])
def test_garbage_is_a_broken_seal(garbage):
    with pytest.raises(SealBroken):
        unseal(garbage, binding=b"acme")
