"""The door of every page: who is asking, for which organisation, and what they may do there."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils.cache import patch_cache_control
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.models import Membership, Organization, User

ONBOARDING = "agents:onboarding"
SIGNED_OUT = "You were signed out, so nothing was changed. Sign in, then do it again."
_LOOKING = ("GET", "HEAD")
OWNERS_ONLY = "Only owners of the organisation connect providers of its own, and change them."


class OrgRequest(HttpRequest):
    """A request of a signed-in person in an organisation, as the decorators below hand it to a view."""

    user: User
    org: Organization
    membership: Membership
    htmx: HtmxDetails


class UserRequest(HttpRequest):
    """A request of a signed-in person, perhaps without an organisation yet."""

    user: User
    htmx: HtmxDetails


type OrgView[**P] = Callable[Concatenate[OrgRequest, P], HttpResponseBase]
type UserView[**P] = Callable[Concatenate[UserRequest, P], HttpResponseBase]
type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def membership_of(user: User | AnonymousUser) -> Membership | None:
    """Return the person's place in their first organisation, or None."""
    if not isinstance(user, User):
        return None
    return Membership.objects.select_related("organization").filter(user=user).order_by("created_at").first()


def form_only[**P](view: View[P]) -> View[P]:
    """Take what a form sends; who only looks, by a reload or a kept address, gets a page of 405 with the way back."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.method == "POST":
            return view(request, *args, **kwargs)
        answer = render(request, "405.html", status=405)
        answer.headers["Allow"] = "POST"
        return answer

    return guarded


def user_required[**P](view: UserView[P]) -> View[P]:
    """Let signed-in people through; others go to the sign-in page and come back."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        return _private(view(request, *args, **kwargs))  # type: ignore[arg-type]

    return guarded


def member_required[**P](view: OrgView[P]) -> View[P]:
    """Let members of an organisation through, with request.org and request.membership set.

    Objects of other organisations are a 404 of the view's own query, which starts at request.org.
    """
    return _guard(view, lambda membership: True)


def changer_required[**P](view: OrgView[P]) -> View[P]:
    """Let members who may change agents and budgets through; viewers get a 403."""
    return _guard(view, lambda membership: membership.may_change)


def admin_required[**P](view: OrgView[P]) -> View[P]:
    """Let owners and admins through; other members get a 403."""
    return _guard(view, lambda membership: membership.may_administer)


def owner_required[**P](view: OrgView[P]) -> View[P]:
    """Let owners through; admins get a 403 as well."""
    return _guard(view, lambda membership: membership.may_choose_addresses, refusal=OWNERS_ONLY)


def _guard[**P](
    view: OrgView[P],
    may: Callable[[Membership], bool],
    refusal: str = "Your role in this organisation does not allow this.",
) -> View[P]:
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        membership = membership_of(request.user)
        if membership is None:
            return redirect(ONBOARDING)
        if not may(membership):
            raise PermissionDenied(refusal)
        request.membership, request.org = membership, membership.organization  # type: ignore[attr-defined]
        return _private(view(request, *args, **kwargs))  # type: ignore[arg-type]

    return guarded


def _private(answer: HttpResponseBase) -> HttpResponseBase:
    """What one tenant sees is kept by no cache, the browser's included."""
    patch_cache_control(answer, private=True, no_store=True)
    return answer


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """Send a browser to the sign-in page; a fragment's request makes the whole page go there."""
    if request.method not in _LOOKING:
        messages.warning(request, SIGNED_OUT, fail_silently=True)
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(resolve_url("account_login"))
    return redirect_to_login(_place_of(request), resolve_url("account_login"))


def _place_of(request: HttpRequest) -> str:
    """The page to come back to; for a form the one on which it stood, since its own address may take forms only."""
    if request.method in _LOOKING:
        return request.get_full_path()
    page = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(page, allowed_hosts={request.get_host()}):
        return resolve_url("accounts:home")
    return urlsplit(page)._replace(scheme="", netloc="", fragment="").geturl()
