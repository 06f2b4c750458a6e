"""AWX keys: made, recognised, revoked (reliability.md 5.1).

`awx_live_<id 8>_<secret 32><crc 6>`, base62. The checksum lets anybody reject garbage offline; the database keeps
only a keyed hash, so a stolen dump cannot even verify a guess.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.credentials import OpenCredential, open_credential
from accounts.models import AuditEntry, User
from accounts.vault import SealBroken
from agents import budgets
from agents.models import Agent, AgentKey, Budget, KeyMode

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"awx_(live|test)_([0-9A-Za-z]{8})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")
_LAST_USED_GRAIN = timedelta(minutes=1)
_PEPPER_VERSION = 1


class KeyRejected(Exception):
    """An AWX key that opens nothing; `problem` is malformed, unknown, revoked, expired, archived or suspended."""

    def __init__(self, problem: str, shown: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.shown = shown  # the public part, safe to print


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """One budget that applies to a caller."""

    budget_id: int
    scope: str
    scope_name: str
    unit: str
    window: str
    mode: str
    limit: int | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling and under which policy: a snapshot, valid while both versions stand."""

    organization_id: UUID
    organization_name: str
    time_zone: str
    organization_version: int
    agent_id: UUID
    agent_slug: str
    agent_name: str
    agent_version: int
    paused: bool
    default_output: int
    refusal_status: int
    key_id: int
    practice: bool
    expires_at: datetime | None
    budgets: tuple[BudgetPolicy, ...]
    credentials: dict[str, OpenCredential] = field(repr=False)


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
    """End a key: the next call with it is refused on every worker."""
    with transaction.atomic():
        budgets.touch_agent(key.agent_id)
        AgentKey.objects.filter(id=key.id, revoked_at=None).update(revoked_at=timezone.now())
        _record(key.agent, "key.revoked", key, by)


def caller_for(whole: str) -> Caller:
    """Return the snapshot of who holds this key; raises KeyRejected.

    The same work is done for an unknown id as for a known one, and digests are compared in constant time.
    """
    public_id = _public_id(whole)
    shown = whole[: len("awx_live_") + 8] + "…"
    key = AgentKey.objects.select_related("agent__organization").filter(public_id=public_id).first()
    matches = hmac.compare_digest(_digest(whole), key.digest if key else "0" * 64)
    if key is None or not matches:
        raise KeyRejected("unknown", shown)
    _check_standing(key, shown)
    _note_use(key)
    return _snapshot(key)


def fingerprint(whole: str) -> str:
    """Return the full keyed hash of a key: what caches may be keyed by."""
    return _digest(whole)


def _check_standing(key: AgentKey, shown: str) -> None:
    if key.revoked_at is not None:
        raise KeyRejected("revoked", shown)
    if not key.is_usable(timezone.now()):
        raise KeyRejected("expired", shown)
    if key.agent.archived_at is not None:
        raise KeyRejected("archived", shown)
    if key.agent.organization.suspended_at is not None:
        raise KeyRejected("suspended", shown)


def _snapshot(key: AgentKey) -> Caller:
    agent, organization = key.agent, key.agent.organization
    return Caller(
        organization_id=organization.id,
        organization_name=organization.name,
        time_zone=organization.time_zone,
        organization_version=organization.policy_version,
        agent_id=agent.id,
        agent_slug=agent.slug,
        agent_name=agent.name,
        agent_version=agent.policy_version,
        paused=agent.paused_at is not None,
        default_output=agent.default_output,
        refusal_status=agent.refusal_status,
        key_id=key.id,
        practice=key.mode == KeyMode.TEST,
        expires_at=key.expires_at,
        budgets=tuple(_policy(budget) for budget in _budgets_of(agent)),
        credentials=_credentials_of(agent),
    )


def _budgets_of(agent: Agent) -> Any:
    applies = Q(agent=agent) | Q(agent=None)
    return Budget.objects.filter(applies, organization_id=agent.organization_id, ended_at=None).order_by("id")


def _policy(budget: Budget) -> BudgetPolicy:
    return BudgetPolicy(
        budget.id, budget.scope, budget.scope_name, budget.unit, budget.window, budget.mode, budget.limit
    )


def _credentials_of(agent: Agent) -> dict[str, OpenCredential]:
    """Open every credential that opens; one whose seal is broken counts as not connected."""
    opened = {}
    for credential in agent.organization.credentials.all():
        try:
            opened[credential.provider] = open_credential(credential)
        except SealBroken:
            continue
    return opened


def _note_use(key: AgentKey) -> None:
    """Remember the time, at most once a minute, so that a busy key writes little."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > _LAST_USED_GRAIN:
        AgentKey.objects.filter(id=key.id).update(last_used_at=now)


def _public_id(whole: str) -> str:
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
