"""What allauth asks of us: who may sign up, and where links in mails lead."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up by the operator's setting; mails that never repeat what a request's Host header says."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Only an open installation lets strangers in."""
        return settings.SHREDDER_SIGNUP == "open"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail whose links are made from SITE_URL alone."""
        fixed = {
            "current_site": {"name": "AWX Shredder", "domain": urlsplit(settings.SITE_URL).netloc},
            "site_url": settings.SITE_URL,
            "password_reset_url": settings.SITE_URL + reverse("account_reset_password"),
            "signup_url": settings.SITE_URL + reverse("account_signup"),
            "signup_open": settings.SHREDDER_SIGNUP == "open",
        }
        super().send_mail(template_prefix, email, {**context, **fixed})


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Draws the code of an authenticator app into the page, since the content policy allows no data: images."""

    def build_totp_svg(self, url: str) -> SafeString:
        """Return the QR code as SVG: a drawing of black squares, with no text of anybody's in it."""
        drawing: str = super().build_totp_svg(url)
        return mark_safe(drawing[drawing.index("<svg") :])  # noqa: S308
