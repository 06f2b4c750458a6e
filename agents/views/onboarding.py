"""The newcomer's first page: an organisation, its time zone, its budgets."""

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.forms import NewOrganizationForm
from accounts.http import UserRequest, membership_of, user_required
from accounts.members import create_organization
from accounts.models import User
from agents import budgets


@require_http_methods(["GET", "HEAD", "POST"])
@user_required
def welcome(request: UserRequest) -> HttpResponse:
    """Found the newcomer's organisation, then go on to the first agent."""
    if membership_of(request.user) is not None:
        return redirect("accounts:home")
    form = NewOrganizationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        _found(request.user, name=form.cleaned_data["name"], time_zone=form.cleaned_data["time_zone"])
        return redirect("agents:agent_new")
    return render(request, "accounts/welcome.html", {"form": form})


def _found(user: User, *, name: str, time_zone: str) -> None:
    """Found the organisation; a double click's second finds that it is there and founds no other."""
    with transaction.atomic():
        User.objects.select_for_update().get(id=user.id)
        if membership_of(user) is None:
            budgets.ensure_organization_meter(create_organization(name, owner=user, time_zone=time_zone))
