"""How a page of agents is answered: whole, or only its living part when the page asks again."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control, patch_vary_headers

from accounts.http import OrgRequest


def page(request: OrgRequest, template: str, context: Mapping[str, Any], *, fragment: str = "") -> HttpResponse:
    """Render a template with what every page here needs.

    fragment: the partial that htmx gets instead of the whole page; its name is the DOM id that it fills.
    """
    name = f"{template}#{fragment}" if fragment and request.htmx else template
    response = render(request, name, {"zone": request.org.time_zone, **context})
    # Numbers of a tenant: never from a shared cache, and a fragment is never shown for the page.
    patch_vary_headers(response, ["HX-Request"])
    patch_cache_control(response, private=True, no_store=True)
    return response


def proxy_root() -> str:
    """The address that clients send their calls to, as the operator published it."""
    return f"{settings.SITE_URL}/proxy"
