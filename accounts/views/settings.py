"""The organisation: its name and time zone, who belongs to it, what they changed."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.forms import OrganizationForm
from accounts.http import OrgRequest, member_required
from accounts.members import change_organization
from accounts.models import AuditEntry, Membership

_ENTRIES_PER_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
@member_required
def organization(request: OrgRequest) -> HttpResponse:
    """Show name and time zone; admins may change them."""
    form = OrganizationForm(request.POST or None, instance=request.org)
    if request.method == "POST":
        if not request.membership.may_administer:
            raise PermissionDenied("Only owners and admins change the organisation.")
        if form.is_valid():
            change_organization(
                request.org, name=form.cleaned_data["name"], time_zone=form.cleaned_data["time_zone"], by=request.user
            )
            messages.success(request, "Saved.")
            return redirect("accounts:settings")
        request.org.refresh_from_db()
    return render(request, "accounts/settings.html", {"form": form, "may_change": request.membership.may_administer})


@require_safe
@member_required
def members(request: OrgRequest) -> HttpResponse:
    """List who belongs to the organisation."""
    found = Membership.objects.filter(organization=request.org).select_related("user").order_by("created_at")
    return render(request, "accounts/members.html", {"members": found})


@require_safe
@member_required
def audit(request: OrgRequest) -> HttpResponse:
    """List what people changed, newest first."""
    if not request.membership.may_administer:
        raise PermissionDenied("Only owners and admins read the audit log.")
    entries = AuditEntry.objects.filter(organization=request.org).select_related("user").order_by("-at", "-id")
    page = Paginator(entries, _ENTRIES_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/audit.html", {"page": page})
