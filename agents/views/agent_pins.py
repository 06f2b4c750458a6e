"""Which provider keys an agent uses: the usual ones, or others of its own (product.md W4)."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from accounts.http import OrgRequest, member_required
from agents import pins
from agents.pin_forms import PinsForm
from agents.views.agent_detail import agent_of
from agents.views.pages import page


@require_http_methods(["GET", "HEAD", "POST"])
@member_required
def agent_pins(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """Show the keys that an agent uses; owners and admins choose them, since they decide who pays."""
    agent = agent_of(request, agent_id)
    choices = pins.choices_of(agent)
    form = PinsForm(request.POST if request.method == "POST" else None, choices=choices)
    if request.method == "POST":
        if not request.membership.may_administer:
            raise PermissionDenied("Only owners and admins choose which provider key an agent uses.")
        if form.is_valid():
            pins.pin(agent, form.chosen, by=request.user)
            messages.success(request, f"{agent.name} uses these keys from its next call on.")
            return redirect("agents:agent_detail", agent.id)
    context = {"agent": agent, "form": form, "choices": choices, "may_change": request.membership.may_administer}
    return page(request, "agents/agent_pins.html", context)
