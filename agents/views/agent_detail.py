"""An agent: what it spends, what it may spend, and the switch that stops it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.http import OrgRequest, changer_required, form_only, member_required
from agents import budgets
from agents.budget_forms import TopUpForm
from agents.budget_terms import BudgetTerms
from agents.days import Period, day_of, day_query
from agents.forms import KeyForm, LimitForm, RenameForm
from agents.guard_forms import told
from agents.models import Agent, Guards, KeyMode, Scope
from agents.pins import choices_of
from agents.reports import agent_page, calls
from agents.reports.budget_list import budget_groups
from agents.reports.hard_limits import widest_limit
from agents.reports.standing import Standing, daily_budget, standing
from agents.templatetags.formats import usd_plain, usd_rate
from agents.views import snippets, tickets
from agents.views.pages import page, proxy_root
from agents.views.waiting import waiting_facts

_LATEST_COUNT = 8


def agent_of(request: OrgRequest, agent_id: UUID) -> Agent:
    """The organisation's agent or a 404, archived ones included: their history stays."""
    return get_object_or_404(Agent.objects.for_org(request.org), id=agent_id)


@require_safe
@member_required
def agent_detail(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """The agent's page; asks again by itself and then gets only its living part."""
    agent = agent_of(request, agent_id)
    context = live_context(request, agent)
    if not request.htmx:
        context |= settled_context(request, agent, context["standing"])
    return page(request, "agents/agent_detail.html", context, fragment="agent-live")


@form_only
@changer_required
def agent_limit(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """Set the daily budget; what was spent stays spent."""
    agent = agent_of(request, agent_id)
    budget = daily_budget(agent)
    form = _limit_form(agent, None if budget is None else budget.limit, request.POST)
    if not form.is_valid():
        return again(request, agent, limit_form=form)
    limit_pico = form.cleaned_data["daily_limit"]
    if budget is None:
        budgets.create_budget(request.org, agent, BudgetTerms(scope=Scope.AGENT, limit=limit_pico), by=request.user)
    elif budget.limit != limit_pico:
        budgets.set_limit(budget, limit_pico, by=request.user)
    shown = "unlimited" if limit_pico is None else f"{usd_rate(limit_pico)} a day"
    messages.success(request, f"The budget of {agent.name} is now {shown}, from the next call on.")
    return redirect("agents:agent_detail", agent.id)


@form_only
@changer_required
def agent_rename(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """Give the agent another name; its id stays."""
    agent = agent_of(request, agent_id)
    form = RenameForm(request.POST, auto_id="rename_%s")
    if not form.is_valid():
        return again(request, agent, rename_form=form)
    budgets.rename(agent, form.cleaned_data["name"], by=request.user)
    messages.success(request, f"The agent is now called {form.cleaned_data['name']}.")
    return redirect("agents:agent_detail", agent.id)


@form_only
@changer_required
def agent_pause(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """Take no new calls; running ones finish."""
    agent = agent_of(request, agent_id)
    budgets.pause(agent, by=request.user)
    messages.warning(request, f"{agent.name} is paused: new calls are refused, running ones finish.")
    return redirect("agents:agent_detail", agent.id)


@form_only
@changer_required
def agent_resume(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """Take calls again."""
    agent = agent_of(request, agent_id)
    budgets.resume(agent, by=request.user)
    messages.success(request, f"{agent.name} takes calls again.")
    return redirect("agents:agent_detail", agent.id)


def live_context(request: OrgRequest, agent: Agent) -> dict[str, Any]:
    """What moves while one looks."""
    now = timezone.now()
    latest = calls.rows_between(request.org, Period(agent.created_at, now)).filter(agent_id=agent.id)
    return {
        "agent": agent,
        "now": now,
        "standing": standing(request.org, agent, now),
        "today_query": day_query(day_of(now, request.org.time_zone)),
        "groups": [group for group in budget_groups(request.org, agent, now) if not group.is_daily],
        "practice_pico": agent_page.practice_pico(agent, now),
        "chart": agent_page.hourly_chart(request.org, agent, now),
        "entries": calls.entries_of(request.org, list(latest[:_LATEST_COUNT])),
        "running": calls.running(request.org, agent.id),
        "waiting": waiting_facts(agent, now) if agent.first_call_at is None else None,
        "may_change": request.membership.may_change and agent.archived_at is None,
    }


def settled_context(request: OrgRequest, agent: Agent, stands: Standing) -> dict[str, Any]:
    """What stays while one looks: forms, keys and snippets."""
    keys = list(agent.keys.select_related("created_by").order_by("revoked_at", "-created_at"))
    live = next((key for key in keys if key.mode == KeyMode.LIVE and key.revoked_at is None), None)
    return {
        "keys": keys,
        "wider": widest_limit(request.org, agent),
        "limit_form": _limit_form(agent, stands.daily_pico),
        "top_up_form": _top_up_form(stands),
        "guards": told(Guards.of(agent)),
        "pins": choices_of(agent),
        "rename_form": RenameForm(initial={"name": agent.name}, auto_id="rename_%s"),
        "ticket": tickets.new(),
        "key_form": KeyForm(initial={"mode": KeyMode.LIVE}, auto_id="key_%s"),
        "snippets": snippets.snippets(proxy_root(), snippets.placeholder(live.public_id if live else None)),
    }


def _limit_form(agent: Agent, daily_pico: int | None, data: Any = None) -> LimitForm:
    initial = {"daily_limit": usd_plain(daily_pico)}
    return LimitForm(data, initial=initial, organization=agent.organization, agent=agent)


def _top_up_form(stands: Standing) -> TopUpForm | None:
    """Nothing without a limit can be topped up."""
    if stands.budget is None or stands.limit_pico is None:
        return None
    return TopUpForm(budget=stands.budget, seen=stands.extra_pico)


def again(request: OrgRequest, agent: Agent, **forms: object) -> HttpResponse:
    """The page once more, with what was typed and why it does not do."""
    context = live_context(request, agent)
    context |= settled_context(request, agent, context["standing"]) | forms
    return page(request, "agents/agent_detail.html", context)
