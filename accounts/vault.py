"""Secrets at rest: AES-256-GCM with a key ring from the environment (reliability.md 5.1).

What is sealed is `version (1 byte) | ring key id (1 byte) | nonce (12) | ciphertext and tag`. A provider's key is bound
to its organisation, provider, row and origin, so a row that is copied to another tenant, or whose base URL changes, no
longer opens. Data that comes in great numbers has a key of its own, derived for its purpose: one key must not seal more
than some billions of times under random nonces.
"""

import base64
import hmac
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_VERSION = 1
_NONCE_BYTES = 12
_KEY_BYTES = 32


class SealBroken(Exception):
    """The sealed key does not open: wrong master key, moved row, or another origin."""


def seal(secret: str, *, binding: bytes) -> bytes:
    """Encrypt a secret with the newest master key.

    binding: what the secret belongs to; the same bytes are needed to open it.
    """
    return _seal(secret.encode(), _keys(), "", binding)


def unseal(sealed: bytes, *, binding: bytes) -> str:
    """Decrypt what `seal` made; raises SealBroken."""
    return _unseal(sealed, _keys(), "", binding).decode()


def seal_data(data: bytes, *, purpose: str, binding: bytes) -> bytes:
    """Encrypt data that comes in great numbers, with a key derived from the newest master key.

    purpose: what the derived key is for; binding: as for `seal`.
    """
    return _seal(data, _keys(), purpose, binding)


def unseal_data(sealed: bytes, *, purpose: str, binding: bytes) -> bytes:
    """Decrypt what `seal_data` made; raises SealBroken."""
    return _unseal(sealed, _keys(), purpose, binding)


def digest_of(data: bytes, *, purpose: str) -> bytes:
    """A keyed hash (HMAC-SHA256) under a key derived from the newest master key: nobody else can try guesses."""
    keys = _keys()
    return hmac.digest(_derived(keys, max(_ring(keys)), f"{purpose} digest"), data, "sha256")


def _seal(data: bytes, keys: tuple[str, ...], purpose: str, binding: bytes) -> bytes:
    key_id = max(_ring(keys))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    header = bytes([_VERSION, key_id])
    return header + nonce + _cipher(keys, key_id, purpose).encrypt(nonce, data, header + binding)


def _unseal(sealed: bytes, keys: tuple[str, ...], purpose: str, binding: bytes) -> bytes:
    header, nonce, body = sealed[:2], sealed[2 : 2 + _NONCE_BYTES], sealed[2 + _NONCE_BYTES :]
    is_ours = len(header) == 2 and header[0] == _VERSION and header[1] in _ring(keys)
    if not is_ours or len(nonce) < _NONCE_BYTES:
        raise SealBroken
    try:
        return _cipher(keys, header[1], purpose).decrypt(nonce, body, header + binding)
    except InvalidTag as error:
        raise SealBroken from error


def _keys() -> tuple[str, ...]:
    return tuple(settings.SHREDDER_VAULT_KEYS)


@lru_cache(maxsize=4_096)
def _cipher(keys: tuple[str, ...], key_id: int, purpose: str) -> AESGCM:
    return AESGCM(_derived(keys, key_id, purpose) if purpose else _ring(keys)[key_id])


@lru_cache(maxsize=4_096)
def _derived(keys: tuple[str, ...], key_id: int, purpose: str) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(_ring(keys)[key_id])


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> dict[int, bytes]:
    """Read `id:base64 of 32 bytes` entries; the highest id encrypts, all decrypt."""
    ring = {}
    for entry in keys:
        key_id, _, encoded = entry.partition(":")
        ring[int(key_id)] = base64.b64decode(encoded, validate=True)
    return ring
