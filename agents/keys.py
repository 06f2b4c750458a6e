"""Keys of agents: issued and revoked."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.fingerprints import fingerprint
from accounts.models import AuditEntry, User
from agents import budgets, key_text
from agents.ledger import Stop
from agents.models import Agent, AgentKey


def issue(
    agent: Agent, mode: str, *, by: User | None, name: str = "", expires_at: datetime | None = None
) -> tuple[AgentKey, str]:
    """Make a key; the whole key is returned this once and never stored.

    mode: KeyMode.LIVE or KeyMode.TEST.
    """
    public_id, whole = key_text.make(mode)
    with transaction.atomic():
        key = AgentKey.objects.create(
            agent=agent, mode=mode, public_id=public_id, digest=fingerprint(whole), name=name, created_by=by,
            pepper_version=key_text.PEPPER_VERSION, expires_at=expires_at,
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


def _record(agent: Agent, action: str, key: AgentKey, by: User | None) -> None:
    AuditEntry.objects.create(
        organization_id=agent.organization_id, user=by, action=action, target=agent.name, details={"key": str(key)}
    )
