"""What was told, to whom, and whether it arrived."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.http import OrgRequest, form_only, member_required
from agents.models import Agent
from alerts import delivery
from alerts.emails import letter
from alerts.letters import Letter
from alerts.models import Alert, Delivery, DeliveryState
from alerts.raising.trial import raise_test

PAGE_SIZE = 25
FAILED_SINCE = timedelta(days=7)
_PILLS = {
    DeliveryState.WAITING: "pill-warn",
    DeliveryState.SENDING: "pill-info",
    DeliveryState.SENT: "pill-good",
    DeliveryState.FAILED: "pill-bad",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A delivery as the page shows it."""

    delivery: Delivery
    pill: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert as the page shows it."""

    alert: Alert
    letter: Letter
    attempts: list[Attempt]


@require_safe
@member_required
def alert_list(request: OrgRequest) -> HttpResponse:
    """The history of alerts, newest first, perhaps of one agent."""
    alerts = Alert.objects.for_org(request.org).prefetch_related("deliveries").order_by("-id")
    agent = _agent(request)
    if agent is not None:
        alerts = alerts.filter(agent_id=agent.id)
    page = Paginator(alerts, PAGE_SIZE).get_page(request.GET.get("page"))
    failed = Delivery.objects.filter(
        alert__organization=request.org, state=DeliveryState.FAILED, alert__raised_at__gte=timezone.now() - FAILED_SINCE
    )
    context = {
        "page": page,
        "entries": _entries(page),
        "agent": agent,
        "last_sent": _last_sent(request),
        "failed_count": failed.count(),
    }
    return render(request, "alerts/alert_list.html", context)


@form_only
@member_required
def send_test(request: OrgRequest) -> HttpResponse:
    """Send a test message to the person who asks, now, and say how it went."""
    row = raise_test(request.org, request.user, timezone.now())
    delivery.deliver(row.id, timezone.now())
    row.refresh_from_db()
    if row.state == DeliveryState.SENT:
        messages.success(request, f"A test message was sent to {row.address}.")
    elif row.error:
        messages.error(request, f"The test message to {row.address} could not be sent: {row.error}")
    else:
        messages.info(request, f"A test message to {row.address} is on its way.")
    return redirect("alerts:alert_list")


def _agent(request: OrgRequest) -> Agent | None:
    """The agent that the address asks for; 404 when it is not one of this organisation."""
    asked = request.GET.get("agent")
    if not asked:
        return None
    try:
        agent_id = UUID(asked)
    except ValueError as error:
        raise Http404 from error
    return get_object_or_404(Agent.objects.for_org(request.org), id=agent_id)


def _entries(page: Page[Alert]) -> list[Entry]:
    return [
        Entry(alert, letter(alert), [Attempt(row, _PILLS[DeliveryState(row.state)]) for row in alert.deliveries.all()])
        for alert in page
    ]


def _last_sent(request: OrgRequest) -> Delivery | None:
    sent = Delivery.objects.filter(alert__organization=request.org, state=DeliveryState.SENT)
    return sent.order_by("-sent_at").first()
