"""The person: name and the ways into their account."""

from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.forms import ProfileForm
from accounts.http import UserRequest, user_required


@require_http_methods(["GET", "HEAD", "POST"])
@user_required
def profile(request: UserRequest) -> HttpResponse:
    """Show and change the person's name; the rest is a link away."""
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("accounts:profile")
    return render(request, "accounts/profile.html", {"form": form, "mfa_enabled": is_mfa_enabled(request.user)})
