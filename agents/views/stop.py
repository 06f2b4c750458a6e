"""Stops: an agent's at once, and the red button for all of them, which asks first."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from accounts.http import OrgRequest, changer_required, form_only
from agents import budgets
from agents.models import Agent
from agents.views.agent_detail import agent_of
from agents.views.pages import page

_NO_MORE = " Calls create no new agents until an admin allows it again under Settings → Organisation keys."


@form_only
@changer_required
def agent_stop(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """Take no new calls and cut those that run."""
    agent = agent_of(request, agent_id)
    budgets.stop_now(agent, by=request.user)
    messages.warning(request, f"{agent.name} is stopped: new calls are refused, and what was running is cut off.")
    return redirect("agents:agent_detail", agent.id)


@require_http_methods(["GET", "HEAD", "POST"])
@changer_required
def stop_all(request: OrgRequest) -> HttpResponse:
    """Ask, then stop every agent of the organisation."""
    if request.method == "POST":
        no_more = _NO_MORE if request.org.allows_new_agents else ""
        count = budgets.stop_all(request.org, by=request.user)
        told = f"All agents are stopped, {count} of them now" if count else "All agents were stopped already"
        messages.warning(request, f"{told}: calls are refused, and what was running is cut off.{no_more}")
        return redirect("agents:overview")
    context = {"agents": Agent.objects.for_org(request.org).current().filter(stopped_at=None).order_by("name")}
    return page(request, "agents/stop_all.html", context)
