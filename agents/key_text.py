"""The text of AWX keys: made, and recognised offline (reliability.md 5.1).

`awx_live_<id 8>_<secret 32><crc 6>`, base62; `test` for the sandbox, `org` for keys of organisations. The checksum lets
anybody reject garbage; the database keeps only a keyed hash, so a stolen dump cannot even verify a guess.
"""

import hmac
import re
import secrets
import zlib
from dataclasses import dataclass

PREFIX = "awx_"
ORGANIZATION = "org"
PEPPER_VERSION = 1

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_OURS = re.compile(r"awx_(live|test|org)_")
_FORM = re.compile(r"awx_(live|test|org)_([0-9A-Za-z]{8})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")


class KeyRejected(Exception):
    """A key that opens nothing.

    `problem`: malformed, unknown, revoked, expired, archived or suspended; of a provider's own key foreign (nobody
    registered it) or ambiguous (more than one organisation did). shown: the public part of an AWX key, safe to print.
    """

    def __init__(self, problem: str, shown: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.shown = shown


@dataclass(frozen=True, slots=True)
class KeyText:
    """The public parts of a key. kind: "live", "test" or ORGANIZATION."""

    kind: str
    public_id: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.kind}_{self.public_id}…"


def make(kind: str) -> tuple[str, str]:
    """Return a new key's public id and the whole key, which is seen this once."""
    public_id = _random_text(8)
    body = f"{PREFIX}{kind}_{public_id}_{_random_text(32)}"
    return public_id, body + _checksum(body)


def read(whole: str) -> KeyText:
    """Return the parts by which a key is found; raises KeyRejected for what is not a key."""
    found = _FORM.fullmatch(whole)
    if found is None or not hmac.compare_digest(_checksum(whole[:-6]), whole[-6:]):
        raise KeyRejected("malformed")
    return KeyText(found[1], found[2])


def may_hold_key(text: str) -> bool:
    """Whether one of our keys may stand in a text, whatever is around it."""
    return _OURS.search(text) is not None


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """CRC-32 in six base62 digits."""
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = _ALPHABET[digit] + digits
    return digits
