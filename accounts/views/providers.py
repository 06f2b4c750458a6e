"""Provider keys: connected here, tested before they are stored, never shown again."""

from dataclasses import dataclass

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts import credentials
from accounts.credentials import PROVIDERS
from accounts.forms import ProviderKeyForm
from accounts.http import OrgRequest, admin_required, member_required
from accounts.models import ProviderCredential
from accounts.presets import preset_of
from accounts.provider_check import Check, check_key
from accounts.views.custom_providers import provider_edit

# Where people find their key, and what it looks like.
KEY_PAGES = {
    "openai": ("https://platform.openai.com/api-keys", "sk-proj-…"),
    "anthropic": ("https://console.anthropic.com/settings/keys", "sk-ant-…"),
    "google": ("https://aistudio.google.com/apikey", "AIza…"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One provider on the page. usual: the key that agents use; further: those that agents may be pinned to."""

    slug: str
    name: str
    usual: ProviderCredential | None
    further: list[ProviderCredential]

    @property
    def kind(self) -> str:
        """What a custom provider is; empty for those built in."""
        return preset_of(self.usual.preset).title if self.usual is not None and self.usual.base_url else ""

    @property
    def is_custom(self) -> bool:
        """Whether the organisation connected it itself."""
        return self.slug not in PROVIDERS


@require_safe
@member_required
def provider_list(request: OrgRequest) -> HttpResponse:
    """Show which providers are connected; keys themselves never leave the vault."""
    keys = _credentials(request).select_related("created_by").order_by("provider", "label")
    usual = {credential.provider: credential for credential in keys if not credential.label}
    further: dict[str, list[ProviderCredential]] = {}
    for credential in keys:
        if credential.label:
            further.setdefault(credential.provider, []).append(credential)
    custom = [name for name in {**usual, **further} if name not in PROVIDERS]
    rows = [
        Row(name, PROVIDERS.get(name, name), usual.get(name), further.get(name, []))
        for name in [*PROVIDERS, *sorted(custom)]
    ]
    place = request.membership
    context = {"rows": rows, "may_change": place.may_administer, "may_choose_addresses": place.may_choose_addresses}
    return render(request, "accounts/providers.html", context)


@sensitive_post_parameters("api_key")
@require_http_methods(["GET", "HEAD", "POST"])
@admin_required
def provider_connect(request: OrgRequest, provider: str) -> HttpResponseBase:
    """Test a key and store it; `action` says whether to test only, or to store what could not be tested."""
    if provider not in PROVIDERS:
        return provider_edit(request, provider)
    form = ProviderKeyForm(request.POST or None)
    check = None
    if request.method == "POST" and form.is_valid():
        check = check_key(provider, form.cleaned_data["api_key"])
        if check.may_be_stored(request.POST.get("action", "save")):
            return _store(request, provider, form.cleaned_data["api_key"], check)
    return render(request, _template(request), _context(request, provider, form, check))


@require_http_methods(["GET", "HEAD", "POST"])
@admin_required
def provider_disconnect(request: OrgRequest, provider: str) -> HttpResponse:
    """Forget a provider's usual key, after saying what stops; a custom provider goes with it."""
    credential = get_object_or_404(_credentials(request), provider=provider, label="")
    name = PROVIDERS.get(provider, provider)
    if provider not in PROVIDERS and _credentials(request).filter(provider=provider).exclude(label="").exists():
        messages.error(request, f"{name} has further keys. Disconnect those first.")
        return redirect("accounts:providers")
    if request.method == "POST":
        credentials.disconnect(credential, by=request.user)
        messages.success(request, f"{name} is disconnected. Calls to it are refused from now on.")
        return redirect("accounts:providers")
    return render(request, "accounts/provider_disconnect.html", {"credential": credential, "name": name})


def _credentials(request: OrgRequest) -> QuerySet[ProviderCredential]:
    return ProviderCredential.objects.filter(organization=request.org)


def _store(request: OrgRequest, provider: str, api_key: str, check: Check) -> HttpResponse:
    checked_at = check.accepted_at(timezone.now())
    credentials.connect(request.org, provider, api_key, by=request.user, checked_at=checked_at)
    messages.success(request, f"{PROVIDERS[provider]} is connected. Your agents can call it from now on.")
    return redirect("accounts:providers")


def _template(request: OrgRequest) -> str:
    return "accounts/provider_connect.html#check" if request.htmx else "accounts/provider_connect.html"


def _context(request: OrgRequest, provider: str, form: ProviderKeyForm, check: Check | None) -> dict[str, object]:
    page, example = KEY_PAGES[provider]
    form.fields["api_key"].widget.attrs["placeholder"] = example
    return {
        "provider": provider,
        "name": PROVIDERS[provider],
        "form": form,
        "check": check,
        "key_page": page,
        "existing": credentials.usual_of(request.org, provider),
    }
