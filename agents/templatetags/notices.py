"""What every signed-in page says while something of the installation is away."""

from typing import Any

from django import template
from django.db.models.functions import Now
from django.template.context import RequestContext

from agents.models import OwnerLease

register = template.Library()


@register.inclusion_tag("partials/notices.html", takes_context=True)
def notices(context: RequestContext) -> dict[str, Any]:
    """Say that guards count alone, as one of the living processes has noted in its lease; a table of a few rows."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"guards_degraded": False}
    leases = OwnerLease.objects.filter(expires_at__gt=Now(), degraded_since__isnull=False)
    return {"guards_degraded": leases.exists()}
