"""Providers that an organisation connects itself: any address that speaks OpenAI's dialect (product.md W4)."""

from contextlib import suppress

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import credentials
from accounts.confirmation import confirmation_required
from accounts.credentials import Upstream
from accounts.http import OrgRequest, owner_required
from accounts.models import ProviderCredential
from accounts.presets import PRESETS, Preset, preset_of
from accounts.provider_check import Check, check_custom
from accounts.provider_forms import CustomProviderForm, initial_of
from accounts.vault import SealBroken

_PAGE = "accounts/custom_provider.html"
OVERTAKEN = "Somebody else changed this provider meanwhile. Look at what is there now, then try again."


@sensitive_post_parameters("api_key")
@require_http_methods(["GET", "HEAD", "POST"])
@owner_required
@confirmation_required
def provider_new(request: OrgRequest) -> HttpResponse:
    """Choose what kind of provider it is, then say where it is; `action` as for the built-in ones."""
    preset = PRESETS.get(request.GET.get("preset", ""))
    if preset is None:
        return render(request, "accounts/provider_new.html", {"presets": PRESETS.values()})
    taken = request.org.credentials.filter(provider=preset.slug).exists() or preset.slug == "other"
    initial = initial_of(preset, None, name="" if taken else preset.slug)
    form = CustomProviderForm(request.POST or None, preset=preset, organization=request.org, initial=initial)
    return _answer(request, form)


def provider_edit(request: OrgRequest, name: str) -> HttpResponseBase:
    """Change address, key and flags of a provider that is connected; a 404 for others than the organisation's."""
    existing = credentials.usual_of(request.org, name)
    if existing is None or not existing.base_url:
        raise Http404
    return _edit(request, existing)


@owner_required
@confirmation_required
def _edit(request: OrgRequest, existing: ProviderCredential) -> HttpResponse:
    preset = preset_of(existing.preset)
    form = CustomProviderForm(
        request.POST or None, preset=preset, organization=request.org, existing=existing,
        initial=initial_of(preset, existing),
    )  # fmt: skip
    return _answer(request, form, existing.provider)


def _answer(request: OrgRequest, form: CustomProviderForm, name: str = "") -> HttpResponse:
    """Test and store what was typed. name: of a provider that is there; a new one's is typed."""
    check = None
    if request.method == "POST" and form.is_valid():
        api_key, upstream = _key(form), form.upstream
        assert upstream is not None, "the form was valid"
        name = name or form.cleaned_data["name"]
        check = check_custom(upstream, api_key or "")
        if check.may_be_stored(request.POST.get("action", "save")):
            try:
                return _store(request, form, upstream, name, check)
            except (credentials.KeyNeeded, credentials.NameTaken):
                form.add_error(None, OVERTAKEN)
    return render(request, f"{_PAGE}#check" if request.htmx else _PAGE, _context(form, name, check))


def _key(form: CustomProviderForm) -> str | None:
    """The key that was typed, else the stored one for the same origin; None where there is none."""
    typed: str = form.cleaned_data["api_key"]
    if typed or form.existing is None or form.upstream is None:
        return typed
    if not credentials.same_origin(form.upstream.base_url, form.existing.base_url):
        return None
    try:
        return credentials.open_credential(form.existing).api_key
    except SealBroken:
        return None


def _store(
    request: OrgRequest, form: CustomProviderForm, upstream: Upstream, name: str, check: Check
) -> HttpResponse:  # fmt: skip
    checked_at = check.accepted_at(timezone.now())
    typed, existing = form.cleaned_data["api_key"], form.existing
    is_moved = existing is not None and not credentials.same_origin(upstream.base_url, existing.base_url)
    if existing is None or typed or is_moved:
        credentials.connect(
            request.org, name, typed, by=request.user, checked_at=checked_at, upstream=upstream, new=existing is None
        )
    else:
        credentials.move(existing, upstream, by=request.user)
    _move_others(request, name, upstream)
    messages.success(request, _told(name, is_new=existing is None, is_moved=is_moved))
    return redirect("accounts:providers")


def _told(name: str, *, is_new: bool, is_moved: bool) -> str:
    if is_moved:
        return f"{name} is changed. Rates of your own for it hold at the new address, too: see whether they are right."
    told = "connected" if is_new else "changed"
    return f"{name} is {told}. What its models cost stands under Rates, or in the price list."


def _move_others(request: OrgRequest, name: str, upstream: Upstream) -> None:
    """The provider's further keys follow, but for those of another origin."""
    for other in ProviderCredential.objects.filter(organization=request.org, provider=name).exclude(label=""):
        with suppress(credentials.KeyNeeded):
            credentials.move(other, upstream, by=request.user)


def _context(form: CustomProviderForm, name: str, check: Check | None) -> dict[str, object]:
    preset: Preset = form.preset
    return {"form": form, "preset": preset, "name": name or preset.title, "existing": form.existing, "check": check}
