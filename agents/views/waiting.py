"""The box that waits for an agent's first call and turns green by itself."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.http import OrgRequest, member_required
from agents.models import Agent
from agents.reports import agent_page
from agents.views import snippets
from agents.views.pages import page, proxy_root

HINT_AFTER = timedelta(minutes=2)


@require_safe
@member_required
def waiting(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """Whether the first call came; asked again every few seconds until it did."""
    agent = get_object_or_404(Agent.objects.for_org(request.org), id=agent_id)
    context = {"agent": agent, "waiting": waiting_facts(agent, timezone.now())}
    return page(request, "agents/waiting.html", context, fragment="first-call")


def waiting_facts(agent: Agent, at: datetime) -> dict[str, Any]:
    """What the box shows: the first call, or what was turned away, and after a while a call to try by hand."""
    call = agent_page.first_call(agent, at)
    facts: dict[str, Any] = {"agent": agent, "call": call}
    if call is None:
        key = agent.keys.filter(revoked_at=None).order_by("id").first()
        facts["refusal"] = agent_page.last_refusal(agent, at)
        facts["running"] = agent_page.has_running_call(agent)
        facts["hint"] = at - agent.created_at > HINT_AFTER
        facts["curl"] = snippets.trial_curl(proxy_root(), snippets.placeholder(key.public_id if key else None))
    return facts
