"""Writes the demonstration: an organisation with six agents and a month of calls, without asking any provider."""

import secrets
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from agents import rollups
from agents.demo import existing_demo, write_demo

EMAIL = "demo@example.com"


class Command(BaseCommand):
    help = "Create the organisation Demo with six agents and a month of calls; print how to sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", default=EMAIL, help=f"who signs in (default {EMAIL})")
        parser.add_argument("--password", help="default: a new one, which is printed")
        parser.add_argument("--time-zone", help="of the organisation (default: one in which it is afternoon)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it once; a second run only sets a password, and leaves the books alone."""
        password = options["password"] or secrets.token_urlsafe(9)
        owner = _owner(options["email"].strip().lower(), password)
        if existing_demo(owner) is not None:
            self.stdout.write("The demonstration is there already; its owner has a new password.")
        else:
            self._write(owner, options["time_zone"])
        self.stdout.write(f"Sign in at {settings.SITE_URL}{reverse('account_login')}")
        self.stdout.write(f"  e-mail    {owner.email}")
        self.stdout.write(f"  password  {password}")

    def _write(self, owner: User, zone: str | None) -> None:
        demo = write_demo(owner, timezone.now(), zone=zone)
        rollups.sum_again(demo.organization, demo.since_at, timezone.now())
        self.stdout.write(f"Wrote {demo.call_count:,} calls of six agents in {demo.organization.time_zone}.")


@transaction.atomic
def _owner(email: str, password: str) -> User:
    """The demonstration's person, with this password; somebody who is in another organisation is left alone."""
    user = User.objects.filter(email=email).first() or User.objects.create_user(email, name="Demo")
    if user.memberships.exclude(organization__name="Demo").exists():
        raise CommandError(f"{email} belongs to another organisation already; choose another --email.")
    user.set_password(password)
    user.save(update_fields=["password"])
    EmailAddress.objects.update_or_create(user=user, email=email, defaults={"verified": True, "primary": True})
    return user
