"""All agents at a glance."""

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.http import OrgRequest, member_required
from agents.days import day_query
from agents.reports import overview as reports
from agents.reports.hard_limits import widest_limit
from agents.reports.standing import standings
from agents.views.pages import page


@require_safe
@member_required
def overview(request: OrgRequest) -> HttpResponse:
    """Spend, holds and refusals of the organisation; asks again by itself and then gets only the living part."""
    now = timezone.now()
    shown = reports.overview(request.org, now)
    goes_on = any(standing.agent.stopped_at is None for standing in shown.standings)
    context = {
        "overview": shown,
        "may_change": request.membership.may_change,
        "may_stop": goes_on or request.org.allows_new_agents,
        "now": now,
        "today_query": day_query(shown.today),
    }
    return page(request, "agents/overview.html", context, fragment="overview-live")


@require_safe
@member_required
def agent_list(request: OrgRequest) -> HttpResponse:
    """Every agent with its day, its budget and its state."""
    context = {
        "standings": standings(request.org, timezone.now()),
        "may_change": request.membership.may_change,
        "wider": widest_limit(request.org),
    }
    return page(request, "agents/agent_list.html", context, fragment="agents-live")
