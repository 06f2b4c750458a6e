"""Which provider keys an agent's calls are sent with: the usual ones, or those it is pinned to (product.md W4)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction

from accounts.credentials import PROVIDERS, OpenCredential, open_credential
from accounts.models import AuditEntry, ProviderCredential
from accounts.vault import SealBroken
from agents import budgets
from agents.models import PinnedCredential

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from accounts.models import User
    from agents.models import Agent

USUAL = "The usual key"
GONE = "a key that was disconnected: calls are refused until another is chosen"


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider of which an agent may use one key or another. pinned: the one it uses; lost: that one is gone."""

    provider: str
    title: str
    keys: tuple[ProviderCredential, ...]
    pinned: ProviderCredential | None
    lost: bool

    @property
    def words(self) -> str:
        """What the agent uses."""
        if self.lost:
            return GONE
        return USUAL if self.pinned is None else f"{self.pinned.label}, which ends in …{self.pinned.key_hint}"


def credentials_of(agent: Agent) -> dict[str, OpenCredential]:
    """Open the key of each provider that the agent uses; one whose seal is broken counts as not connected."""
    pinned = dict(agent.pinned_credentials.values_list("provider", "credential_id"))
    opened = {}
    for credential in agent.organization.credentials.all():
        name = credential.provider
        is_used = credential.id == pinned[name] if name in pinned else credential.label == ""
        if is_used:
            with suppress(SealBroken):
                opened[name] = open_credential(credential)
    return opened


def choices_of(agent: Agent) -> list[Choice]:
    """The providers where the agent has a choice, or had one: those with more than the usual key."""
    pinned = {pin.provider: pin for pin in agent.pinned_credentials.select_related("credential")}
    keys: dict[str, list[ProviderCredential]] = {}
    for credential in agent.organization.credentials.order_by("provider", "label"):
        if credential.label:
            keys.setdefault(credential.provider, []).append(credential)
    return [
        Choice(
            provider=provider,
            title=PROVIDERS.get(provider, provider),
            keys=tuple(keys.get(provider, ())),
            pinned=pinned[provider].credential if provider in pinned else None,
            lost=provider in pinned and pinned[provider].credential is None,
        )
        for provider in sorted(keys.keys() | pinned.keys())
    ]


@transaction.atomic
def pin(agent: Agent, chosen: Mapping[str, ProviderCredential | None], by: User | None) -> None:
    """Let the agent use these keys from its next call on; None: the usual one. Raises ValueError for others' keys."""
    budgets.touch_agent(agent.pk)
    before = {choice.provider: choice.words for choice in choices_of(agent)}
    for provider, credential in chosen.items():
        mine = agent.pinned_credentials.filter(provider=provider)
        if credential is None:
            mine.delete()
            continue
        if (credential.organization_id, credential.provider) != (agent.organization_id, provider):
            raise ValueError(f"{credential} is not a key of this organisation for {provider}")
        PinnedCredential.objects.update_or_create(agent=agent, provider=provider, defaults={"credential": credential})
    after = {choice.provider: choice.words for choice in choices_of(agent)}
    moved = {name: f"{before.get(name, USUAL)} → {words}" for name, words in after.items() if before.get(name) != words}
    if moved:
        AuditEntry.objects.create(
            organization_id=agent.organization_id, user=by, action="agent.keys_pinned", target=agent.name, details=moved
        )


def pinned_id(agent_id: UUID, provider: str) -> UUID | None:
    """The key that an agent is pinned to, None where it uses the usual one."""
    return (
        PinnedCredential.objects.filter(agent_id=agent_id, provider=provider)
        .values_list("credential_id", flat=True)
        .first()
    )
