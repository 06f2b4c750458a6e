"""An agent's guards: all of them on one page."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from accounts.http import OrgRequest, member_required
from agents.guard_forms import GuardsForm
from agents.guards import set_guards
from agents.models import Agent, Guards
from agents.views.agent_detail import agent_of
from agents.views.pages import page


@require_http_methods(["GET", "HEAD", "POST"])
@member_required
def agent_guards(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """Show an agent's guards; members set them."""
    agent = agent_of(request, agent_id)
    guards = Guards.of(agent)
    if request.method != "POST":
        return _page(request, agent, GuardsForm(guards=guards))
    if not request.membership.may_change:
        raise PermissionDenied("Your role in this organisation does not allow this.")
    form = GuardsForm(request.POST, guards=guards)
    if form.is_valid() and _set(request, agent, form):
        return redirect("agents:agent_detail", agent.id)
    return _page(request, agent, form)


def _set(request: OrgRequest, agent: Agent, form: GuardsForm) -> bool:
    if not form.changes:
        messages.success(request, "Nothing was changed.")
        return True
    try:
        set_guards(agent, form.changes, by=request.user)
    except ValidationError as error:
        for name, problems in error.message_dict.items():
            form.add_error(name if name in form.fields else None, problems)
        return False
    messages.success(request, f"The guards of {agent.name} hold from the next call on.")
    return True


def _page(request: OrgRequest, agent: Agent, form: GuardsForm) -> HttpResponse:
    context = {"agent": agent, "form": form, "groups": form.groups, "may_change": request.membership.may_change}
    return page(request, "agents/agent_guards.html", context)
