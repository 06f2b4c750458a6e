"""The newcomer's first page: an organisation, its time zone, its budgets."""

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.forms import NewOrganizationForm
from accounts.http import UserRequest, membership_of, user_required
from accounts.members import create_organization
from agents import budgets


@require_http_methods(["GET", "HEAD", "POST"])
@user_required
def welcome(request: UserRequest) -> HttpResponse:
    """Found the newcomer's organisation, then go on to the first agent."""
    if membership_of(request.user) is not None:
        return redirect("accounts:home")
    form = NewOrganizationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            organization = create_organization(
                form.cleaned_data["name"], owner=request.user, time_zone=form.cleaned_data["time_zone"]
            )
            budgets.create_organization_budgets(organization)
        return redirect("agents:agent_new")
    return render(request, "accounts/welcome.html", {"form": form})
