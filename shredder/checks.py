"""What `check --deploy` asks of a production installation."""

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from shredder.env import SECRETS

SECRET_LENGTH_MIN = 32  # characters


@register(Tags.security, deploy=True)
def secrets_are_given(app_configs: Sequence[Any] | None, **options: Any) -> list[CheckMessage]:
    """Secrets come from the operator; the data folder's own are for development."""
    found: list[CheckMessage] = []
    for number, name in enumerate(SECRETS, start=1):
        value = os.environ.get(name, "")
        if len(value) < SECRET_LENGTH_MIN:
            hint = f"Set {name} in the environment; docs/operations.md says how to make one."
            text = f"{name} is not set." if not value else f"{name} is shorter than {SECRET_LENGTH_MIN} characters."
            found.append(Error(text, hint=hint, id=f"shredder.E00{number}"))
    return found


@register(Tags.security, deploy=True)
def servers_are_given(app_configs: Sequence[Any] | None, **options: Any) -> list[CheckMessage]:
    """The embedded servers are for one machine."""
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not os.environ.get(name)]
    if not missing:
        return []
    return [Error(f"{' and '.join(missing)} not set.", hint="Name your own servers.", id="shredder.E004")]


@register(Tags.security, deploy=True)
def site_is_reached_safely(app_configs: Sequence[Any] | None, **options: Any) -> list[CheckMessage]:
    """Keys and cookies travel over https only."""
    if settings.SITE_URL.startswith("https://"):
        return []
    return [Error("SITE_URL is not an https address.", hint="Set SITE_URL.", id="shredder.E005")]


@register(Tags.security, deploy=True)
def mail_reaches_people(app_configs: Sequence[Any] | None, **options: Any) -> list[CheckMessage]:
    """Alerts that land in a folder alert nobody."""
    if os.environ.get("EMAIL_URL"):
        return []
    return [Error("EMAIL_URL is not set.", hint="Name an SMTP server.", id="shredder.E006")]


@register(Tags.security, deploy=True)
def upstreams_are_public(app_configs: Sequence[Any] | None, **options: Any) -> list[CheckMessage]:
    """A proxy that may reach private addresses can be turned against its own network."""
    if not settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS:
        return []
    hint = "Unset SHREDDER_ALLOW_PRIVATE_UPSTREAMS unless a provider of your own stands in a private network."
    return [Warning("Upstreams in private networks are allowed.", hint=hint, id="shredder.W001")]
