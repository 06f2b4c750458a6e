"""Keys of an agent: made and shown once, revoked for good."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods

from accounts.http import OrgRequest, changer_required, form_only
from agents import keys
from agents.forms import KeyForm, RevokeForm
from agents.models import AgentKey
from agents.views import snippets, tickets
from agents.views.agent_detail import again, agent_of
from agents.views.pages import page, proxy_root


@form_only
@changer_required
@tickets.one_at_a_time
def key_new(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """Make a key and show it in this very answer; sending the form again shows the agent's page instead."""
    agent = agent_of(request, agent_id)
    if tickets.used_for(request) is not None:
        messages.info(request, "This key was shown once and cannot be shown again.")
        return redirect("agents:agent_detail", agent.id)
    form = KeyForm(request.POST, auto_id="key_%s")
    if not form.is_valid():
        return again(request, agent, key_form=form)
    key, whole = keys.issue(agent, form.cleaned_data["mode"], by=request.user, name=form.cleaned_data["name"])
    tickets.use(request, agent.id)
    context = {"agent": agent, "key": key, "whole": whole, "snippets": snippets.snippets(proxy_root(), whole)}
    return page(request, "agents/key_once.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@changer_required
def key_revoke(request: OrgRequest, agent_id: UUID, key_id: int) -> HttpResponse:
    """Ask for the agent's name, then end the key: the next call is refused, running ones are cut."""
    agent = agent_of(request, agent_id)
    key = get_object_or_404(AgentKey.objects.filter(agent=agent), id=key_id)
    if key.revoked_at is not None:
        return _over(request, key)
    form = RevokeForm(request.POST or None, expected=agent.name)
    if request.method == "POST" and form.is_valid():
        keys.revoke(key, by=request.user)
        messages.warning(request, f"The key {key} is revoked: its calls are refused, running ones are cut off.")
        return redirect("agents:agent_detail", agent.id)
    return page(request, "agents/key_revoke.html", {"agent": agent, "key": key, "form": form})


def _over(request: OrgRequest, key: AgentKey) -> HttpResponse:
    """Tell whoever revokes a key a second time, by a double click or in an old tab, that it is done."""
    if request.method != "POST":
        raise Http404("This key is revoked.")
    messages.info(request, f"The key {key} is revoked already: its calls are refused.")
    return redirect("agents:agent_detail", key.agent_id)
