"""One budget: how it stands, what it allows, more for its running window, its end."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.http import OrgRequest, form_only, member_required
from agents import budgets
from agents.budget_forms import BudgetForm, TopUpForm, check_held_without
from agents.budget_terms import BadBudget
from agents.budget_words import amount, summary
from agents.models import Budget, Mode
from agents.reports.budget_list import BudgetStanding, budget_standings, live_budgets
from agents.reports.hard_limits import unheld_without
from agents.reports.standing import daily_budget
from agents.templatetags.formats import clock
from agents.views.agent_detail import again
from agents.views.pages import page


@require_http_methods(["GET", "HEAD", "POST"])
@member_required
def budget_detail(request: OrgRequest, budget_id: int) -> HttpResponse:
    """Show a budget; those who may change it set its limit, mode and thresholds."""
    budget = _budget_of(request, budget_id)
    if request.method != "POST":
        return _page(request, budget)
    _require(request, budget)
    form = BudgetForm(request.POST, budget=budget)
    if not form.is_valid() or not _change(request, budget, form):
        return _page(request, _budget_of(request, budget_id), form=form)
    return _to_list(budget)


@form_only
@member_required
def budget_end(request: OrgRequest, budget_id: int) -> HttpResponse:
    """End a budget, where something else still holds its agents."""
    budget = _budget_of(request, budget_id)
    _require(request, budget)
    problem = _end_problem(budget)
    if problem:
        return _page(request, budget, end_problem=problem)
    budgets.end_budget(budget, by=request.user)
    messages.warning(request, f"The budget has ended: {summary(budget)}. Nothing is refused because of it any more.")
    return _to_list(budget)


@form_only
@member_required
def budget_top_up(request: OrgRequest, budget_id: int) -> HttpResponse:
    """Let the running window spend more; gone when it ends."""
    budget = _budget_of(request, budget_id)
    _require(request, budget)
    standing = _standing(request, budget)
    if not standing.may_be_topped_up:
        messages.error(request, "This budget has no limit over a day, week or month to top up.")
        return redirect("agents:budget_detail", budget.pk)
    form = TopUpForm(request.POST, budget=budget, seen=standing.extra)
    if not form.is_valid() or not _top_up(request, standing, form):
        if _is_agents_day(budget):
            assert budget.agent is not None, "it is an agent's"
            return again(request, budget.agent, top_up_form=form)
        return _page(request, budget, top_up_form=form)
    if budget.agent is not None and _is_agents_day(budget):
        return redirect("agents:agent_detail", budget.agent.id)
    return redirect("agents:budget_detail", budget.pk)


def _budget_of(request: OrgRequest, budget_id: int) -> Budget:
    """The organisation's live budget or a 404."""
    return get_object_or_404(live_budgets(request.org).select_related("agent", "organization"), pk=budget_id)


def _require(request: OrgRequest, budget: Budget) -> None:
    """Members change agents' budgets; what holds all agents together is for owners and admins."""
    if not _may_change(request, budget):
        raise PermissionDenied("Your role in this organisation does not allow this.")


def _may_change(request: OrgRequest, budget: Budget) -> bool:
    return request.membership.may_administer if budget.agent_id is None else request.membership.may_change


def _change(request: OrgRequest, budget: Budget, form: BudgetForm) -> bool:
    limit, mode, thresholds = (form.cleaned_data[name] for name in ("limit", "mode", "thresholds"))
    alone = unheld_without(budget) if mode == Mode.SOFT else []
    before = (budget.limit, budget.mode, tuple(budget.thresholds))
    try:
        with transaction.atomic():
            if limit != budget.limit:
                budgets.set_limit(budget, limit, by=request.user)
            if (mode, thresholds) != (budget.mode, tuple(budget.thresholds)):
                budgets.change_terms(budget, mode=mode, thresholds=thresholds, by=request.user)
    except BadBudget as bad:
        form.add_error(bad.field if bad.field in form.fields else None, bad.problem)
        return False
    changed = before != (limit, mode, thresholds)
    messages.success(request, f"From the next call on: {summary(budget)}." if changed else "Nothing was changed.")
    if alone:
        named = ", ".join(agent.name for agent in alone)
        messages.warning(request, f"Nothing refuses calls of {named} by their cost now: this budget only alerts.")
    return True


def _top_up(request: OrgRequest, standing: BudgetStanding, form: TopUpForm) -> bool:
    budget, more = standing.budget, form.cleaned_data["amount"]
    try:
        budgets.top_up(budget, more, by=request.user, seen_extra=form.cleaned_data["seen"])
    except BadBudget as bad:
        form.add_error("amount", bad.problem)
        return False
    except budgets.NotNow as reason:
        form.add_error("amount", str(reason))
        return False
    until = clock(standing.resets_at, request.org.time_zone)
    whose = budget.agent.name if budget.agent else request.org.name
    messages.success(request, f"{whose} may spend {amount(budget.unit, more)} more until {until}.")
    return True


def _end_problem(budget: Budget) -> str:
    """Why a budget has to stay; empty where it may end."""
    if _is_agents_day(budget):
        return "Every agent keeps its daily budget. Leave its limit empty where another budget holds the agent."
    if budgets.is_meter(budget):
        return "An organisation keeps its daily budget; leave its limit empty instead."
    try:
        check_held_without(budget)
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _is_agents_day(budget: Budget) -> bool:
    return budget.agent is not None and daily_budget(budget.agent) == budget


def _standing(request: OrgRequest, budget: Budget) -> BudgetStanding:
    return budget_standings(request.org, [budget], timezone.now())[0]


def _to_list(budget: Budget) -> HttpResponse:
    if budget.agent_id is None:
        return redirect("agents:organization_budgets")
    return redirect("agents:agent_budgets", budget.agent_id)


def _page(request: OrgRequest, budget: Budget, **parts: Any) -> HttpResponse:
    standing = _standing(request, budget)
    context: dict[str, Any] = {"budget": budget, "agent": budget.agent, "standing": standing, "title": summary(budget)}
    if _may_change(request, budget):
        context |= {
            "form": BudgetForm(budget=budget),
            "top_up_form": TopUpForm(budget=budget, seen=standing.extra) if standing.may_be_topped_up else None,
            "must_stay": _end_problem(budget),
        }
    template = "agents/organization_budget.html" if budget.agent is None else "agents/agent_budget.html"
    return page(request, template, context | parts)
