"""Organisation keys: made and shown once, revoked for good; and which agents their calls may create."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.http import OrgRequest, admin_required, form_only
from agents import created_agents, organization_keys
from agents.forms import RevokeForm
from agents.models import OrganizationKey
from agents.organization_key_forms import NewAgentsForm, OrganizationKeyForm
from agents.views import snippets, tickets
from agents.views.pages import page, proxy_root

_TICKET = "organisation key"


@require_safe
@admin_required
def key_list(request: OrgRequest) -> HttpResponse:
    """Show every key, and the forms that make one or say what calls may create."""
    return _page(request)


@form_only
@admin_required
@tickets.one_at_a_time
def key_new(request: OrgRequest) -> HttpResponse:
    """Make a key and show it in this very answer; sending the form again shows the list instead."""
    if tickets.used_for(request) is not None:
        messages.info(request, "This key was shown once and cannot be shown again.")
        return redirect("agents:organization_keys")
    form = OrganizationKeyForm(request.POST, auto_id="key_%s")
    if not form.is_valid():
        return _page(request, key_form=form)
    expires_at = timezone.now() + form.lifetime if form.lifetime else None
    key, whole = organization_keys.issue(
        request.org, by=request.user, name=form.cleaned_data["name"], expires_at=expires_at
    )
    tickets.use(request, _TICKET)
    context = {"key": key, "whole": whole, "snippets": snippets.named_snippets(proxy_root(), whole)}
    return page(request, "agents/organization_key_once.html", context)


@form_only
@admin_required
def new_agents(request: OrgRequest) -> HttpResponse:
    """Set whether calls may create agents, how many a day, and with how much."""
    form = NewAgentsForm(request.POST, organization=request.org)
    if not form.is_valid():
        return _page(request, agents_form=form)
    created_agents.change_terms(request.org, form.terms, by=request.user)
    messages.success(request, "Saved.")
    return redirect("agents:organization_keys")


@require_http_methods(["GET", "HEAD", "POST"])
@admin_required
def key_revoke(request: OrgRequest, organization_key_id: int) -> HttpResponse:
    """Ask for the organisation's name, then end the key: the next call is refused, running ones are cut."""
    key = get_object_or_404(OrganizationKey, organization=request.org, id=organization_key_id)
    if key.revoked_at is not None:
        return _over(request, key)
    form = RevokeForm(request.POST or None, expected=request.org.name)
    if request.method == "POST" and form.is_valid():
        organization_keys.revoke(key, by=request.user)
        messages.warning(request, f"The key {key} is revoked: its calls are refused, running ones are cut off.")
        return redirect("agents:organization_keys")
    return page(request, "agents/organization_key_revoke.html", {"key": key, "form": form})


def _over(request: OrgRequest, key: OrganizationKey) -> HttpResponse:
    """Tell whoever revokes a key a second time, by a double click or in an old tab, that it is done."""
    if request.method != "POST":
        raise Http404("This key is revoked.")
    messages.info(request, f"The key {key} is revoked already: its calls are refused.")
    return redirect("agents:organization_keys")


def _page(
    request: OrgRequest, *, key_form: OrganizationKeyForm | None = None, agents_form: NewAgentsForm | None = None
) -> HttpResponse:
    keys = OrganizationKey.objects.filter(organization=request.org).select_related("created_by").order_by("-id")
    context = {
        "keys": keys,
        "now": timezone.now(),
        "ticket": tickets.new(),
        "key_form": key_form or OrganizationKeyForm(auto_id="key_%s"),
        "agents_form": agents_form or NewAgentsForm(organization=request.org),
        "needs_budget": request.org.allows_new_agents and not created_agents.has_hard_daily_limit(request.org),
        "snippets": snippets.named_snippets(proxy_root(), "awx_org_YOUR_KEY"),
    }
    return page(request, "agents/organization_keys.html", context)
