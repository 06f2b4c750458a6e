"""The door: who may enter, and where others are sent."""

from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django_htmx.middleware import HtmxDetails

from accounts.http import OrgRequest, admin_required, changer_required, member_required, owner_required
from accounts.members import create_organization
from accounts.models import Membership, Role, User

pytestmark = pytest.mark.django_db


@member_required
def look(request: OrgRequest) -> HttpResponse:
    return HttpResponse(f"{request.org.name} {request.membership.role}")


@changer_required
def change(request: OrgRequest) -> HttpResponse:
    return HttpResponse("changed")


@admin_required
def administer(request: OrgRequest) -> HttpResponse:
    return HttpResponse("administered")


@owner_required
def own(request: OrgRequest) -> HttpResponse:
    return HttpResponse("owned")


def request_of(user: object, **headers: str) -> OrgRequest:
    request = RequestFactory().get("/agents/", headers=headers)
    request.user = user  # type: ignore[assignment]
    request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
    return request  # type: ignore[return-value]


def member(role: Role) -> User:
    owner = User.objects.create_user("owner@acme.example", "x")
    organization = create_organization("Acme", owner=owner)
    if role == Role.OWNER:
        return owner
    user = User.objects.create_user(f"{role}@acme.example", "x")
    Membership.objects.create(organization=organization, user=user, role=role)
    return user


def test_anonymous_reader_signs_in_first_and_comes_back() -> None:
    answer = look(request_of(AnonymousUser()))
    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=/agents/"


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("http://testserver/agents/?page=2#top", "/agents/?page=2"), ("", "/"), ("http://[", "/"),
        ("http://evil.example/agents/", "/"),
    ],
)  # fmt: skip
def test_form_of_an_ended_session_leads_back_to_the_page_on_which_it_stood(page: str, back: str) -> None:
    stop = "/agents/018f0000-0000-7000-8000-000000000000/stop/"
    answer = Client(headers={"Referer": page}).post(stop, follow=True)
    assert answer.redirect_chain == [(f"/accounts/login/?next={quote(back)}", 302)]
    assert "You were signed out, so nothing was changed." in answer.content.decode()


def test_fragment_of_an_ended_session_moves_the_whole_page() -> None:
    answer = look(request_of(AnonymousUser(), HX_Request="true"))
    assert answer["HX-Redirect"] == "/accounts/login/"


def test_newcomer_without_organisation_founds_one() -> None:
    answer = look(request_of(User.objects.create_user("new@acme.example", "x")))
    assert answer["Location"] == "/welcome/"


def test_member_sees_their_own_organisation() -> None:
    assert look(request_of(member(Role.VIEWER))).content == b"Acme viewer"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("role", "may"), [(Role.VIEWER, False), (Role.MEMBER, True), (Role.OWNER, True)])
def test_viewer_looks_and_member_changes(role: Role, may: bool) -> None:
    request = request_of(member(role))
    if may:
        assert change(request).status_code == 200
    else:
        with pytest.raises(PermissionDenied):
            change(request)


@pytest.mark.parametrize(
    ("view", "role", "may"),
    [
        (administer, Role.MEMBER, False),
        (administer, Role.ADMIN, True),
        (administer, Role.OWNER, True),
        (own, Role.VIEWER, False),
        (own, Role.ADMIN, False),
        (own, Role.OWNER, True),
    ],
)
def test_only_admins_and_owners_administer_and_only_owners_own(view: Any, role: Role, may: bool) -> None:
    request = request_of(member(role))
    if may:
        assert view(request).status_code == 200
    else:
        with pytest.raises(PermissionDenied):
            view(request)
