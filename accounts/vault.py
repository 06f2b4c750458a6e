"""Provider keys at rest: AES-256-GCM with a key ring from the environment (reliability.md 5.1).

A sealed key is `version (1 byte) | ring key id (1 byte) | nonce (12) | ciphertext and tag`. It is bound to its
organisation, provider, row and origin, so a row that is copied to another tenant, or whose base URL changes, no
longer opens.
"""

import base64
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_VERSION = 1
_NONCE_BYTES = 12


class SealBroken(Exception):
    """The sealed key does not open: wrong master key, moved row, or another origin."""


def seal(secret: str, *, binding: bytes) -> bytes:
    """Encrypt a secret with the newest master key.

    binding: what the secret belongs to; the same bytes are needed to open it.
    """
    ring = _ring(tuple(settings.SHREDDER_VAULT_KEYS))
    key_id = max(ring)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    header = bytes([_VERSION, key_id])
    return header + nonce + ring[key_id].encrypt(nonce, secret.encode(), header + binding)


def unseal(sealed: bytes, *, binding: bytes) -> str:
    """Decrypt what `seal` made; raises SealBroken."""
    header, nonce, body = sealed[:2], sealed[2 : 2 + _NONCE_BYTES], sealed[2 + _NONCE_BYTES :]
    cipher = _ring(tuple(settings.SHREDDER_VAULT_KEYS)).get(header[1]) if len(header) == 2 else None
    if cipher is None or header[0] != _VERSION or len(nonce) < _NONCE_BYTES:
        raise SealBroken
    try:
        return cipher.decrypt(nonce, body, header + binding).decode()
    except InvalidTag as error:
        raise SealBroken from error


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> dict[int, AESGCM]:
    """Read `id:base64 of 32 bytes` entries; the highest id encrypts, all decrypt."""
    ring = {}
    for entry in keys:
        key_id, _, encoded = entry.partition(":")
        ring[int(key_id)] = AESGCM(base64.b64decode(encoded, validate=True))
    return ring
