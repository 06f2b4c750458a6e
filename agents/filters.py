"""The call log's filters: they live in the address, so a link shares them."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.http import QueryDict

from accounts.credentials import PROVIDERS
from accounts.models import Organization
from agents.days import Period, days_period
from agents.forms import UsdField
from agents.models import Agent, Call, CallStatus
from agents.money import usd_display
from agents.rate_forms import provider_choices

RANGES = {
    "1h": ("1 hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
}
CUSTOM = "custom"
DEFAULT_RANGE = "24h"
RUNNING = "running"
FAILED = "failed"
_SANDBOX = ("sandbox", "Sandbox")
_CUSTOM_DAYS_MAX = 366
_FUTURE = timedelta(minutes=5)  # an id made by a clock a little ahead of ours is still "now"


class RangeForm(forms.Form):
    """The stretch of time: a preset or whole days in the organisation's zone."""

    range = forms.ChoiceField(
        choices=[*((key, words) for key, (words, _) in RANGES.items()), (CUSTOM, "Custom")], required=False
    )
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label="Until", widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, query: QueryDict) -> None:
        data = query.copy()
        if not data.get("range"):
            data["range"] = DEFAULT_RANGE  # what is in force is what the form shows, and sends again
        super().__init__(data)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.chosen == CUSTOM:
            self._clean_days(cleaned.get("since"), cleaned.get("until"))
        elif cleaned.get("since") or cleaned.get("until"):
            self.add_error("range", "Choose Custom for days of your own, or leave the days empty.")
        return cleaned

    @property
    def chosen(self) -> str:
        """The range in force."""
        return self.cleaned_data.get("range") or DEFAULT_RANGE

    def period(self, zone: str, at: datetime) -> Period:
        """The time that a valid form means."""
        if self.chosen == CUSTOM:
            return days_period(self.cleaned_data["since"], self.cleaned_data["until"], zone)
        return Period(at - RANGES[self.chosen][1], at + _FUTURE)

    def _clean_days(self, first: date | None, last: date | None) -> None:
        if first is None and "since" not in self.errors:
            self.add_error("since", "Choose the first day.")
        if last is None and "until" not in self.errors:
            self.add_error("until", "Choose the last day.")
        if first is None or last is None:
            return
        if last < first:
            self.add_error("until", "The last day lies before the first.")
        elif (last - first).days > _CUSTOM_DAYS_MAX:
            self.add_error("until", f"Choose at most {_CUSTOM_DAYS_MAX} days.")
        elif not date(2020, 1, 1) <= first <= last <= date(2100, 1, 1):
            self.add_error("since", "Choose days after 2019.")


class UsdFilter(django_filters.Filter):  # type: ignore[misc]  # the library has no types
    """A bound in dollars on a column of pico-dollars."""

    field_class = UsdField


class CallFilter(django_filters.FilterSet):  # type: ignore[misc]
    """What a call must be like to be listed."""

    agent = django_filters.ModelChoiceFilter(
        queryset=Agent.objects.none(), label="Agent", empty_label="All agents", method="by_agent"
    )
    status = django_filters.ChoiceFilter(
        choices=[
            (RUNNING, "Running"),
            (CallStatus.SETTLED, "Settled"),
            (CallStatus.REFUSED, "Refused"),
            (CallStatus.CACHED, "Answered from the cache"),
            (FAILED, "Failed"),
            (CallStatus.VOIDED, "Not charged"),
            (CallStatus.EXPIRED, "Expired"),
        ],
        label="Status",
        empty_label="Any status",
        method="by_status",
    )
    provider = django_filters.ChoiceFilter(
        choices=[*PROVIDERS.items(), _SANDBOX], label="Provider", empty_label="Any provider"
    )
    model = django_filters.CharFilter(label="Model", method="by_model", max_length=128)
    session = django_filters.CharFilter(label="Session", max_length=128)
    user = django_filters.CharFilter(field_name="user_subject", label="User", max_length=128)
    cost_min = UsdFilter(field_name="cost_pico", lookup_expr="gte", label="Cost from")
    cost_max = UsdFilter(field_name="cost_pico", lookup_expr="lte", label="Cost up to")
    q = django_filters.CharFilter(label="Text", method="by_text", max_length=200)

    class Meta:
        model = Call
        fields: list[str] = []

    def __init__(self, data: QueryDict, queryset: QuerySet[Call], *, organization: Organization) -> None:
        super().__init__(data, queryset=queryset)
        # This instance's own copy: the class's filters belong to every organisation.
        self.filters["agent"].queryset = Agent.objects.for_org(organization).order_by("name")
        # Asked for only where the form is drawn or a provider was chosen.
        self.filters["provider"].extra["choices"] = lambda: [*provider_choices(organization), _SANDBOX]

    def by_agent(self, rows: QuerySet[Call], name: str, agent: Agent) -> QuerySet[Call]:
        return rows.filter(agent_id=agent.id)

    def by_status(self, rows: QuerySet[Call], name: str, status: str) -> QuerySet[Call]:
        if status == RUNNING:
            return rows.none()  # what runs is not in the book yet
        if status == FAILED:
            return rows.filter(failed=True).exclude(status=CallStatus.REFUSED)
        return rows.filter(status=status)

    def by_model(self, rows: QuerySet[Call], name: str, model: str) -> QuerySet[Call]:
        return rows.filter(Q(model=model) | Q(served_model=model))

    def by_text(self, rows: QuerySet[Call], name: str, text: str) -> QuerySet[Call]:
        call_id = _as_uuid(text)
        if call_id is not None:
            return rows.filter(call_id=call_id)
        columns = ("model", "served_model", "session", "user_subject", "reason", "provider_request_id")
        found = Q()
        for column in columns:
            found |= Q(**{f"{column}__icontains": text})
        return rows.filter(found)


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter in force, and the query without it."""

    name: str
    value: str
    query: str


def chips(found: CallFilter, query: QueryDict) -> list[Chip]:
    """The filters that narrow the log, each with the way out of it."""
    shown = []
    for name, value in found.form.cleaned_data.items():
        if value not in (None, ""):
            shown.append(Chip(found.filters[name].label, _words(found, name, value), without(query, name)))
    return shown


def without(query: QueryDict, *names: str) -> str:
    """The query string without some names, and without the cursor: another filter begins at the newest."""
    rest = query.copy()
    for name in (*names, "before", "after"):
        rest.pop(name, None)
    return rest.urlencode()


def _words(found: CallFilter, name: str, value: Any) -> str:
    if isinstance(value, int):
        return usd_display(value)
    choices = dict(getattr(found.form.fields[name], "choices", ())) if name in ("status", "provider") else {}
    return str(choices.get(value, value))


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
