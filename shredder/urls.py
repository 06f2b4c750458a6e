"""Every page's address."""

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import include, path
from django.views.defaults import server_error

RETRY_SECONDS = 5

urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("agents.urls")),
    path("", include("alerts.urls")),
    path("accounts/", include("allauth.urls")),
]


def answer_fault(request: HttpRequest) -> HttpResponse:
    """What a page that failed shows: 503 while the database is away, which is no fault of the page."""
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": str(RETRY_SECONDS)})
    return server_error(request)


handler500 = answer_fault
