"""Rates: what a model costs the organisation where the price list is not right for it, or has nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.credentials import PROVIDERS
from accounts.http import OrgRequest, admin_required, member_required
from agents import rates, repricing
from agents.models import CustomRate
from agents.pricing import PriceRow
from agents.pricing.dated import TOKENS_PER_RATE
from agents.rate_forms import PRICE_FIELDS, RateForm
from agents.templatetags.formats import usd_exact, usd_plain
from agents.views.pages import page

REPRICE_DAYS = (7, 1, 30, 90)  # how far back; the first is what the page begins with


@dataclass(frozen=True, slots=True)
class Shown:
    """A rate beside the price list; amounts in pico-dollars per million tokens, examples for one call."""

    rate: CustomRate
    provider: str
    example_pico: int | None
    is_listed: bool
    listed_input_pico: int | None = None
    listed_output_pico: int | None = None
    listed_example_pico: int | None = None


@require_http_methods(["GET", "HEAD", "POST"])
@member_required
def rate_list(request: OrgRequest) -> HttpResponse:
    """Show the rates in force; owners and admins set one, once they confirmed what looks like a slip.

    `action` says whether to save or only to work out the example; `confirmed` is the signature of the prices shown.
    """
    now = timezone.now()
    if not request.membership.may_administer:
        if request.method == "POST":
            raise PermissionDenied("Only owners and admins change rates.")
        return _page(request, None, now)
    if request.method != "POST":
        return _page(request, RateForm(initial=_initial(request, now), organization=request.org, now=now), now)
    form = RateForm(request.POST, organization=request.org, now=now)
    may_be_set = form.may_be_set(request.POST.get("confirmed", ""))
    if may_be_set and request.POST.get("action", "save") == "save" and _set(request, form):
        # An answer that names no place keeps the form's, and the message stands above.
        return redirect(f"{reverse('agents:rates')}#content")
    return _page(request, form, now)


@require_http_methods(["GET", "HEAD", "POST"])
@admin_required
def rate_end(request: OrgRequest, rate_id: UUID) -> HttpResponse:
    """End a rate, after saying what calls cost from then on."""
    rate = get_object_or_404(CustomRate.objects.filter(organization=request.org), id=rate_id)
    if request.method == "POST":
        rates.end_rate(rate, by=request.user)
        messages.success(request, f"Your rate for {rate.model} has ended.")
    if request.method == "POST" or rate.ended_at is not None:
        return redirect("agents:rates")
    return page(request, "agents/rate_end.html", {"shown": _shown(rate, timezone.now())})


@require_http_methods(["GET", "HEAD", "POST"])
@admin_required
def rate_reprice(request: OrgRequest, rate_id: UUID) -> HttpResponse:
    """Price past calls by a rate, after saying what that changes. `days`: how far back."""
    rate = get_object_or_404(CustomRate.objects.filter(organization=request.org), id=rate_id)
    if rate.ended_at is not None:
        return redirect("agents:rates")
    days = _days(request)
    since = timezone.now() - timedelta(days=days)
    if request.method != "POST":
        found = repricing.preview(request.org, rate, since)
        context = {"shown": _shown(rate, timezone.now()), "found": found, "days": days, "choices": REPRICE_DAYS}
        return page(request, "agents/rate_reprice.html", context)
    done = repricing.reprice(request.org, rate, since, by=request.user)
    count = len(done.changes)
    messages.success(
        request,
        f"{count} call{'' if count == 1 else 's'} to {rate.model} {'was' if count == 1 else 'were'} priced again: "
        f"{usd_exact(done.difference_pico)} in all.{'' if done.is_whole else ' There are more: do it once more.'}",
    )
    return redirect("agents:rates")


def _days(request: OrgRequest) -> int:
    asked = (request.POST if request.method == "POST" else request.GET).get("days", "")
    return next((days for days in REPRICE_DAYS if str(days) == asked), REPRICE_DAYS[0])


def _set(request: OrgRequest, form: RateForm) -> bool:
    assert form.rate is not None, "the form was valid"
    try:
        rates.set_rate(form.rate, by=request.user)
    except rates.TooManyRates as error:
        form.add_error(None, f"An organisation has at most {error.count_max} rates. End one that is not needed.")
        return False
    messages.success(request, f"Your rate for {form.rate.model} holds from the next call on.")
    return True


def _page(request: OrgRequest, form: RateForm | None, now: datetime) -> HttpResponse:
    context = {
        "shown": [_shown(rate, now) for rate in rates.current(request.org.id)],
        "form": form,
        "example": _shown(form.rate, now) if form is not None and form.rate is not None else None,
    }
    return page(request, "agents/rates.html", context, fragment="rate-example")


def _shown(rate: CustomRate, now: datetime) -> Shown:
    name = PROVIDERS.get(rate.provider, rate.provider)
    example = rates.example_pico(rates.row_of(rate))
    listed = rates.listed_row(rate, now)
    if listed is None:
        return Shown(rate, name, example, is_listed=False)
    return Shown(
        rate,
        name,
        example,
        is_listed=True,
        listed_input_pico=_listed(listed, "input"),
        listed_output_pico=_listed(listed, "output"),
        listed_example_pico=rates.example_pico(listed),
    )


def _listed(row: PriceRow, name: str) -> int | None:
    """A rate of the list's standard tier, in pico-dollars per million tokens."""
    per_token: int | None = getattr(row.rates("default", 0), name)
    return None if per_token is None else per_token * TOKENS_PER_RATE


def _initial(request: OrgRequest, now: datetime) -> dict[str, Any]:
    """What the form begins with for the model in the address: its rate in force, else what the list says."""
    provider, model = request.GET.get("provider", ""), request.GET.get("model", "")
    name_max = RateForm.base_fields["model"].max_length  # type: ignore[attr-defined]
    if any(not name.isprintable() or len(name) > name_max for name in (provider, model)):
        return {}
    rate = rates.find(rates.current(request.org.id), provider, model)
    if rate is not None:
        prices = {name: usd_plain(getattr(rate, f"{name}_pico")) for name in PRICE_FIELDS}
        prices["call"] = usd_plain(rate.call_pico or None)
    else:
        listed = rates.listed_row(CustomRate(organization=request.org, provider=provider, model=model), now)
        prices = {name: usd_plain(_listed(listed, name)) for name in PRICE_FIELDS if name != "call"} if listed else {}
    return {"provider": provider, "model": model, **prices}
