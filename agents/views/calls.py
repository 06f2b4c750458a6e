"""The call log and a page for each call."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, QueryDict
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.http import OrgRequest, member_required
from agents.corrections import can_be_corrected
from agents.filters import CUSTOM, RANGES, CallFilter, RangeForm, chips, without
from agents.forms import CorrectionForm
from agents.models import Agent, Basis, Call
from agents.reports import call_page, calls
from agents.reports.patience import TookTooLong, patience
from agents.views.pages import page

_NIL = UUID(int=0)
_NEWS_MAX = 99
_FILTERS_ON_RUNNING = ("provider", "model", "session")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for, checked."""

    range_form: RangeForm
    found: CallFilter
    before: UUID | None
    is_valid: bool


@require_safe
@member_required
def call_list(request: OrgRequest) -> HttpResponse:
    """Calls and refusals, newest first, running ones on top; every filter is in the address."""
    now = timezone.now()
    asked = _read(request, now)
    if request.htmx:
        return page(request, "agents/call_list.html", _news(request, asked), fragment="call-news")
    shown, too_long = _shown(request, asked)
    context = {
        "page": shown,
        "too_long": too_long,
        "running": _running(request, asked),
        "range_form": asked.range_form,
        "filter": asked.found,
        "is_valid": asked.is_valid,
        "has_any": bool(shown.entries) or calls.has_any(request.org),
        "first_page": asked.before is None,
        "agents": Agent.objects.for_org(request.org).current(),
        "may_change": request.membership.may_change,
        "newest_id": shown.entries[0].call.call_id if shown.entries else _NIL,
    }
    return page(request, "agents/call_list.html", context | _links(request.GET, asked, shown.next_before))


@require_safe
@member_required
def call_detail(request: OrgRequest, call_id: UUID) -> HttpResponse:
    """Everything that is known of one call; prompts and answers are not."""
    entry = calls.find(request.org, call_id)
    if entry is not None:
        return finished_page(request, entry)
    running = calls.find_running(request.org, call_id)
    if running is None:
        raise Http404("There is no such call.")
    return page(request, "agents/call_running.html", {"running": running})


def finished_page(request: OrgRequest, entry: calls.Entry, form: CorrectionForm | None = None) -> HttpResponse:
    """The page of a call that has ended; whoever may correct its charge gets the form, or the one they sent."""
    may_correct = request.membership.may_administer and may_be_corrected(entry)
    context = {
        "entry": entry,
        "call": entry.call,
        "facts": call_page.facts_of(entry),
        "tags": sorted((entry.call.tags or {}).items()),
        "correction_form": (form or CorrectionForm()) if may_correct else None,
    }
    return page(request, "agents/call_detail.html", context)


def may_be_corrected(entry: calls.Entry) -> bool:
    """Whether its charge is a worst case or an estimate that no usage has replaced since."""
    return can_be_corrected(entry.call) and all(row.basis != Basis.USAGE for row in entry.corrections)


def _read(request: OrgRequest, now: datetime) -> Asked:
    range_form = RangeForm(request.GET)
    range_ok = range_form.is_valid()
    rows = Call.objects.none()
    if range_ok:
        rows = calls.rows_between(request.org, range_form.period(request.org.time_zone, now))
    found = CallFilter(request.GET, rows, organization=request.org)
    return Asked(range_form, found, _uuid_in(request.GET, "before"), is_valid=range_ok and found.form.is_valid())


def _shown(request: OrgRequest, asked: Asked) -> tuple[calls.CallPage, bool]:
    """The page of the log, or an empty one and True when looking for it takes too long."""
    if not asked.is_valid:
        return calls.CallPage([], None), False
    try:
        with patience():
            return calls.page_of(request.org, asked.found.qs, asked.before), False
    except TookTooLong:
        return calls.CallPage([], None), True


def _uuid_in(query: QueryDict, name: str) -> UUID | None:
    """A call's id in the address; nonsense counts as none."""
    try:
        return UUID(query.get(name, ""))
    except ValueError:
        return None


def _running(request: OrgRequest, asked: Asked) -> list[calls.Running]:
    """What is in flight, on the first page only and where the filters leave it in."""
    if not asked.is_valid or asked.before is not None or asked.range_form.chosen == CUSTOM:
        return []
    wanted: dict[str, Any] = asked.found.form.cleaned_data
    if wanted["status"] not in ("", "running") or any(wanted[name] is not None for name in ("cost_min", "cost_max")):
        return []
    agent = wanted["agent"]
    found = calls.running(request.org, agent.id if agent else None)
    return [call for call in found if _fits(call, wanted)]


def _fits(call: calls.Running, wanted: dict[str, Any]) -> bool:
    if wanted["user"] and wanted["user"] != call.user_subject:
        return False
    text = wanted["q"].lower()
    if text and text not in f"{call.call_id} {call.model} {call.session} {call.user_subject}".lower():
        return False
    return all(not wanted[name] or wanted[name] == getattr(call, name) for name in _FILTERS_ON_RUNNING)


def _news(request: OrgRequest, asked: Asked) -> dict[str, Any]:
    """How many calls came since the page was drawn; counting stops early."""
    after = _uuid_in(request.GET, "after")
    if not asked.is_valid or after is None:
        return {"news_count": 0}
    try:
        with patience():
            found = len(asked.found.qs.filter(call_id__gt=after).values_list("call_id")[: _NEWS_MAX + 1])
    except TookTooLong:
        return {"news_count": 0}
    return {
        "news_count": min(found, _NEWS_MAX), "news_more": found > _NEWS_MAX,
        "newest_query": without(request.GET, "after"),
    }  # fmt: skip


def _links(query: QueryDict, asked: Asked, next_before: UUID | None) -> dict[str, Any]:
    """Where one can go from here, each as a query of the same address."""
    in_force = chips(asked.found, query) if asked.is_valid else []
    chosen = asked.range_form.chosen if asked.range_form.is_valid() else ""
    rest = without(query, "range", "since", "until")
    presets = {key: f"{rest}&range={key}" if rest else f"range={key}" for key in RANGES}
    return {
        "chips": in_force,
        "ranges": [
            {"words": words, "query": presets[key], "chosen": key == chosen} for key, (words, _) in RANGES.items()
        ],
        "custom": chosen == CUSTOM,
        "next_query": f"{without(query)}&before={next_before}".lstrip("&") if next_before else "",
        "newest_query": without(query),
        "clear_query": without(query, *(name for name in query if name not in ("range", "since", "until"))),
        "wider_query": presets["30d"] if chosen != "30d" else "",
    }
