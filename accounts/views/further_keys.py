"""Further keys of a provider, beside the usual one: agents are pinned to them on their own pages."""

from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import credentials
from accounts.credentials import PROVIDERS, Upstream
from accounts.forms import FurtherKeyForm, ProviderKeyForm
from accounts.http import OrgRequest, admin_required
from accounts.models import ProviderCredential
from accounts.provider_check import Check, check_custom, check_key

_PAGE = "accounts/further_key.html"


@sensitive_post_parameters("api_key")
@require_http_methods(["GET", "HEAD", "POST"])
@admin_required
def key_new(request: OrgRequest, provider: str) -> HttpResponse:
    """Add a key for agents that are pinned to it."""
    upstream = _upstream(request, provider)
    taken = frozenset(_further(request, provider).values_list("label", flat=True))
    form = FurtherKeyForm(request.POST or None, taken=taken)
    return _answer(request, provider, form, upstream, existing=None)


@sensitive_post_parameters("api_key")
@require_http_methods(["GET", "HEAD", "POST"])
@admin_required
def key_replace(request: OrgRequest, provider: str, credential_id: UUID) -> HttpResponse:
    """Put another key in its place; the agents that are pinned to it stay so."""
    existing = get_object_or_404(_further(request, provider), id=credential_id)
    form = ProviderKeyForm(request.POST or None)
    return _answer(request, provider, form, _upstream(request, provider), existing=existing)


@require_http_methods(["GET", "HEAD", "POST"])
@admin_required
def key_disconnect(request: OrgRequest, provider: str, credential_id: UUID) -> HttpResponse:
    """Forget a key, after saying what stops."""
    credential = get_object_or_404(_further(request, provider), id=credential_id)
    if request.method == "POST":
        credentials.disconnect(credential, by=request.user)
        messages.success(request, f"{credentials.spoken(credential)} is disconnected.")
        return redirect("accounts:providers")
    return render(request, "accounts/provider_disconnect.html", {"credential": credential, "name": _title(provider)})


def _answer(
    request: OrgRequest, provider: str, form: ProviderKeyForm, upstream: Upstream | None,
    existing: ProviderCredential | None,
) -> HttpResponse:  # fmt: skip
    check = None
    if request.method == "POST" and form.is_valid():
        api_key = form.cleaned_data["api_key"]
        check = check_key(provider, api_key) if upstream is None else check_custom(upstream, api_key)
        if check.may_be_stored(request.POST.get("action", "save")):
            label = form.cleaned_data["label"] if existing is None else existing.label
            try:
                return _store(request, provider, label, api_key, upstream, check, new=existing is None)
            except credentials.NameTaken:
                form.add_error("label", f"A key called {label} is there already.")
    context = {"form": form, "provider": provider, "name": _title(provider), "existing": existing, "check": check}
    return render(request, f"{_PAGE}#check" if request.htmx else _PAGE, context)


def _store(
    request: OrgRequest, provider: str, label: str, api_key: str, upstream: Upstream | None, check: Check, *, new: bool
) -> HttpResponse:
    checked_at = check.accepted_at(timezone.now())
    credentials.connect(
        request.org, provider, api_key, by=request.user, checked_at=checked_at, label=label, upstream=upstream, new=new
    )
    messages.success(request, f"The key {label} for {_title(provider)} is stored. Choose it on the page of an agent.")
    return redirect("accounts:providers")


def _further(request: OrgRequest, provider: str) -> QuerySet[ProviderCredential]:
    return ProviderCredential.objects.filter(organization=request.org, provider=provider).exclude(label="")


def _upstream(request: OrgRequest, provider: str) -> Upstream | None:
    """Where a further key is shown: at a built-in provider, or where the custom provider's usual key is."""
    if provider in PROVIDERS:
        return None
    usual = credentials.usual_of(request.org, provider)
    if usual is None:
        raise Http404
    return credentials.upstream_of(usual)


def _title(provider: str) -> str:
    return PROVIDERS.get(provider, provider)
