"""A new agent, and the only moment in which its keys are seen."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.http import OrgRequest, changer_required
from agents import budgets, keys
from agents.forms import AgentForm
from agents.models import Agent, KeyMode
from agents.views import snippets, tickets
from agents.views.pages import page, proxy_root
from agents.views.waiting import waiting_facts


@require_http_methods(["GET", "HEAD", "POST"])
@changer_required
@tickets.one_at_a_time
def agent_new(request: OrgRequest) -> HttpResponse:
    """Ask for name and budget; answer the form itself with the keys, which no address or store ever holds."""
    if request.method != "POST":
        return _ask(request, AgentForm(organization=request.org))
    made = tickets.used_for(request)
    if made is not None:
        messages.info(request, "This agent exists already. Its keys were shown once and cannot be shown again.")
        return redirect("agents:agent_detail", made)
    form = AgentForm(request.POST, organization=request.org)
    if not form.is_valid():
        return _ask(request, form)
    agent, live_key, test_key = _create(request, form)
    tickets.use(request, agent.id)
    return _show_once(request, agent, live_key, test_key)


def _ask(request: OrgRequest, form: AgentForm) -> HttpResponse:
    return page(request, "agents/agent_new.html", {"form": form, "ticket": tickets.new(), "wider": form.wider})


def _create(request: OrgRequest, form: AgentForm) -> tuple[Agent, str, str]:
    with transaction.atomic():
        agent = budgets.create_agent(
            request.org, form.cleaned_data["name"], daily_limit_pico=form.cleaned_data["daily_limit"], by=request.user
        )
        _, live_key = keys.issue(agent, KeyMode.LIVE, by=request.user, name="First live key")
        _, test_key = keys.issue(agent, KeyMode.TEST, by=request.user, name="First test key")
    return agent, live_key, test_key


def _show_once(request: OrgRequest, agent: Agent, live_key: str, test_key: str) -> HttpResponse:
    has_provider = request.org.credentials.exists()
    used_key = live_key if has_provider else test_key
    context = {
        "agent": agent,
        "live_key": live_key,
        "test_key": test_key,
        "has_provider": has_provider,
        "snippets": snippets.snippets(proxy_root(), used_key),
        "waiting": waiting_facts(agent, timezone.now()),
    }
    return page(request, "agents/keys_once.html", context)
