"""Pages that anybody sees, and the choice of theme."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_safe

from accounts.http import ONBOARDING, form_only, membership_of
from accounts.templatetags.look import THEME_COOKIE, THEMES

_YEAR_SECONDS = 365 * 86_400


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show strangers what this is; send members to their overview and newcomers to onboarding."""
    if not request.user.is_authenticated:
        context = {"signup_open": settings.SHREDDER_SIGNUP == "open", "site_url": settings.SITE_URL}
        return render(request, "public/home.html", context)
    return redirect(ONBOARDING if membership_of(request.user) is None else "agents:overview")


@form_only
def theme(request: HttpRequest) -> HttpResponse:
    """Remember light or dark in a cookie, so that the server draws the next page without a flash."""
    wanted = request.POST.get("theme", "")
    if wanted not in THEMES:
        wanted = "light" if request.COOKIES.get(THEME_COOKIE) == "dark" else "dark"
    back = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = "/"
    answer = redirect(back)
    answer.set_cookie(THEME_COOKIE, wanted, max_age=_YEAR_SECONDS, samesite="Lax", secure=request.is_secure())
    return answer
