"""Budgets of an agent and of the organisation: what each allows, and the forms that make more of them."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.http import OrgRequest, member_required
from agents import budget_presets
from agents.budget_forms import PresetForm
from agents.budget_presets import AGENT_PRESETS, ORGANIZATION_PRESETS, Preset
from agents.budget_terms import BadBudget
from agents.budget_words import summary
from agents.models import Agent
from agents.reports.budget_list import BudgetGroup, budget_groups
from agents.views.agent_detail import agent_of
from agents.views.pages import page

_GROUPS_PER_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
@member_required
def agent_budgets(request: OrgRequest, agent_id: UUID) -> HttpResponse:
    """List an agent's budgets; members make one of those that forms offer."""
    agent = agent_of(request, agent_id)
    forms = _forms(request, AGENT_PRESETS, agent, may_change=request.membership.may_change)
    if _made(request, forms, agent):
        return redirect("agents:agent_budgets", agent.id)
    context = {"agent": agent, "wide": [group for group in _groups(request, None) if not group.is_unlimited]}
    return page(request, "agents/agent_budgets.html", context | _shown(request, forms, agent))


@require_http_methods(["GET", "HEAD", "POST"])
@member_required
def organization_budgets(request: OrgRequest) -> HttpResponse:
    """List the budgets of all agents together; owners and admins make more."""
    forms = _forms(request, ORGANIZATION_PRESETS, None, may_change=request.membership.may_administer)
    if _made(request, forms, None):
        return redirect("agents:organization_budgets")
    return page(request, "agents/organization_budgets.html", _shown(request, forms, None))


def _forms(
    request: OrgRequest, presets: tuple[Preset, ...], agent: Agent | None, *, may_change: bool
) -> list[PresetForm]:
    """A form for each preset, the one that was sent with what it brought; none for those who only look."""
    if not may_change:
        if request.method == "POST":
            raise PermissionDenied("Your role in this organisation does not allow this.")
        return []
    sent = request.POST.get("preset") if request.method == "POST" else None
    if request.method == "POST" and sent not in {preset.key for preset in presets}:
        messages.error(request, "preset: choose one of the budgets below. Nothing was changed.")
    return [
        PresetForm(request.POST if preset.key == sent else None, preset=preset, organization=request.org, agent=agent)
        for preset in presets
    ]


def _made(request: OrgRequest, forms: list[PresetForm], agent: Agent | None) -> bool:
    """Make the budgets of the form that was sent; where that cannot be, it says why at its field."""
    form = next((form for form in forms if form.is_bound), None)
    if form is None or not form.is_valid():
        return False
    mode, thresholds = form.cleaned_data["mode"], form.cleaned_data["thresholds"]
    try:
        made = budget_presets.save(
            form.about, request.org, agent, form.limits, mode=mode, thresholds=thresholds, by=request.user
        )
    except BadBudget as bad:
        form.add_error(bad.field if bad.field in form.fields else None, bad.problem)
        return False
    messages.success(request, f"From the next call on: {summary(*made)}.")
    return True


def _groups(request: OrgRequest, agent: Agent | None) -> list[BudgetGroup]:
    return budget_groups(request.org, agent, timezone.now())


def _shown(request: OrgRequest, forms: list[PresetForm], agent: Agent | None) -> dict[str, Any]:
    found = Paginator(_groups(request, agent), _GROUPS_PER_PAGE).get_page(request.GET.get("page"))
    return {"groups": found, "forms": forms, "may_change": bool(forms)}
