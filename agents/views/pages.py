"""How a page of agents is answered: whole, or only its living part when the page asks again."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.forms import BaseForm
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control, patch_vary_headers

from accounts.http import OrgRequest


def page(request: OrgRequest, template: str, context: Mapping[str, Any], *, fragment: str = "") -> HttpResponse:
    """Render a template with what every page here needs.

    fragment: the partial that htmx gets instead of the whole page; its name is the DOM id that it fills.
    """
    _lead_to_error(context)
    name = f"{template}#{fragment}" if fragment and request.htmx else template
    response = render(request, name, {"zone": request.org.time_zone, **context})
    # Numbers of a tenant: never from a shared cache, and a fragment is never shown for the page.
    patch_vary_headers(response, ["HX-Request"])
    patch_cache_control(response, private=True, no_store=True)
    return response


def _lead_to_error(context: Mapping[str, Any]) -> None:
    """Begin in the first field that will not do: on a long page an error further down looks like no answer at all."""
    forms = [part for part in (*context.values(), *context.get("forms", ())) if isinstance(part, BaseForm)]
    faulty = next((form for form in forms if form.is_bound and form.errors), None)
    if faulty is None:
        return
    for name, field in faulty.fields.items():
        field.widget.attrs.pop("autofocus", None)
        if name in faulty.errors:
            field.widget.attrs["autofocus"] = True
            return


def proxy_root() -> str:
    """The address that clients send their calls to, as the operator published it."""
    return f"{settings.SITE_URL}/proxy"
