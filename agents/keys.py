"""AWX keys: made, recognised, revoked (reliability.md 5.1).

`awx_live_<id 8>_<secret 32><crc 6>`, base62. The checksum lets anybody reject garbage offline; the database keeps
only a keyed hash, so a stolen dump cannot even verify a guess.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEntry, User
from agents import budgets
from agents.ledger import Stop
from agents.models import Agent, AgentKey

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"awx_(live|test)_([0-9A-Za-z]{8})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")
_PEPPER_VERSION = 1


class KeyRejected(Exception):
    """An AWX key that opens nothing; `problem` is malformed, unknown, revoked, expired, archived or suspended."""

    def __init__(self, problem: str, shown: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.shown = shown  # the public part, safe to print


def issue(
    agent: Agent, mode: str, *, by: User | None, name: str = "", expires_at: datetime | None = None
) -> tuple[AgentKey, str]:
    """Make a key; the whole key is returned this once and never stored.

    mode: KeyMode.LIVE or KeyMode.TEST.
    """
    public_id = _random_text(8)
    body = f"awx_{mode}_{public_id}_{_random_text(32)}"
    whole = body + _checksum(body)
    with transaction.atomic():
        key = AgentKey.objects.create(
            agent=agent, mode=mode, public_id=public_id, digest=_digest(whole), name=name, created_by=by,
            pepper_version=_PEPPER_VERSION, expires_at=expires_at,
        )  # fmt: skip
        _record(agent, "key.issued", key, by)
    return key, whole


def revoke(key: AgentKey, *, by: User | None) -> None:
    """End a key: the next call with it is refused on every worker, and its running calls are cut."""
    with transaction.atomic():
        budgets.touch_agent(key.agent_id)
        if AgentKey.objects.filter(id=key.id, revoked_at=None).update(revoked_at=timezone.now()):
            _record(key.agent, "key.revoked", key, by)
        budgets.announce(Stop("key", key.id, shown=str(key)))


def fingerprint(whole: str) -> str:
    """Return the full keyed hash of a key: what caches may be keyed by."""
    return _digest(whole)


def public_id_of(whole: str) -> str:
    """Return the part of a key by which it is found; raises KeyRejected for what is not a key."""
    found = _FORM.fullmatch(whole)
    if found is None or not hmac.compare_digest(_checksum(whole[:-6]), whole[-6:]):
        raise KeyRejected("malformed")
    return found[2]


def _record(agent: Agent, action: str, key: AgentKey, by: User | None) -> None:
    AuditEntry.objects.create(
        organization_id=agent.organization_id, user=by, action=action, target=agent.name, details={"key": str(key)}
    )


def _digest(whole: str) -> str:
    return hmac.new(settings.SHREDDER_KEY_PEPPER.encode(), whole.encode(), hashlib.sha256).hexdigest()


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """CRC-32 in six base62 digits."""
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = _ALPHABET[digit] + digits
    return digits
