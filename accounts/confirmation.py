"""Asks signed-in people for their password or code again, before what a stolen session must not do."""

from functools import wraps

from allauth.account.adapter import get_adapter
from allauth.account.decorators import reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django_htmx.http import HttpResponseClientRedirect

from accounts.http import OrgRequest, OrgView
from accounts.models import AuditEntry

TOO_LATE = "Nothing was stored or sent: it is a while since you confirmed. Do so again, then write it once more."
NO_WAY = "This asks for your password, and your account has none. Sign out, and choose “Forgot your password?” there."


def confirmation_required[**P](view: OrgView[P]) -> OrgView[P]:
    """Let people through who confirmed within ACCOUNT_REAUTHENTICATION_TIMEOUT; others do so first and come back.

    A form that is sent without is dropped, and the attempt recorded. allauth would keep it in the session and send it
    again by itself, and a provider's key would lie there in plain text.
    """

    @wraps(view)
    def guarded(request: OrgRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        ways = get_adapter().get_reauthentication_methods(request.user)
        # allauth takes an account that has nothing to confirm by for confirmed.
        if ways and _is_confirmed(request):
            return view(request, *args, **kwargs)
        if request.method == "POST":
            _record_attempt(request)
            messages.warning(request, TOO_LATE)
        if not ways:
            messages.error(request, NO_WAY)
            return _go(request, reverse("accounts:profile"))
        return _go(request, f"{ways[0]['url']}?{urlencode({'next': request.get_full_path()})}")

    return guarded


@reauthentication_required  # type: ignore[untyped-decorator]
def _check(request: HttpRequest) -> None:
    """Raise ReauthenticationRequired where a confirmation is missing or too old."""


def _is_confirmed(request: HttpRequest) -> bool:
    try:
        _check(request)
    except ReauthenticationRequired:
        return False
    return True


def _record_attempt(request: OrgRequest) -> None:
    """What was typed stays out: it was not checked, and there may be a secret in it."""
    AuditEntry.objects.create(
        organization=request.org, user=request.user, action="confirmation.missing", target=request.path[:120]
    )


def _go(request: OrgRequest, url: str) -> HttpResponse:
    """Send a browser to another page; a fragment's request makes the whole page go there."""
    return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
