"""Writes the demonstration: an organisation with six agents and a month of calls, without asking any provider."""

import secrets
from collections.abc import Iterator
from typing import Any

from allauth.account.models import EmailAddress
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import Organization, User
from agents import rollups
from agents.demo import existing_demo, write_demo
from agents.demo.cast import DAYS
from agents.ledger import partitions
from agents.models import Balance, Budget, Call, CallStatus
from alerts.models import Alert, Delivery, DeliveryState
from alerts.thresholds import reached, refusal_means_used_up
from shredder.env import known_site_url

EMAIL = "demo@example.com"
NOTHING_RUNS = "Nothing runs here now: start ./dev up, then sign in at the address that it prints after “ready”."


class Command(BaseCommand):
    help = "Create the organisation Demo with six agents and a month of calls; print how to sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", default=EMAIL, help=f"who signs in (default {EMAIL})")
        parser.add_argument("--password", help="default: a new one, which is printed")
        parser.add_argument("--time-zone", help="of the organisation (default: one in which it is afternoon)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it once; a second run only sets a password, and leaves the books alone."""
        try:
            self._tell(options)
        except DatabaseError as error:
            reason = str(error).splitlines()[0]
            raise CommandError(f"the database does not answer as it should; is ./dev up running? ({reason})") from None

    def _tell(self, options: dict[str, Any]) -> None:
        password = options["password"] or secrets.token_urlsafe(9)
        owner = _owner(options["email"].strip().lower(), password)
        if existing_demo(owner) is not None:
            self.stdout.write("The demonstration is there already; its owner has a new password.")
        else:
            self._write(owner, options["time_zone"])
        # Asked last: `up` may have come and gone while the month was written.
        site = known_site_url()
        self.stdout.write(f"Sign in at {site}{reverse('account_login')}" if site else NOTHING_RUNS)
        self.stdout.write(f"  e-mail    {owner.email}")
        self.stdout.write(f"  password  {password}")

    def _write(self, owner: User, zone: str | None) -> None:
        now = timezone.now()
        # Before the transaction: making a day of the book locks it against running calls.
        partitions.ensure(days_back=DAYS + 3)
        with transaction.atomic():
            demo = write_demo(owner, now, zone=zone)
            rollups.sum_again(demo.organization, demo.since_at, now)
            _tell_alerts(demo.organization, owner)
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


@transaction.atomic
def _tell_alerts(organization: Organization, owner: User) -> None:
    """Write the alerts of the month as told already, so that nobody gets mail about an imaginary agent."""
    alerts = [
        alert
        for budget in Budget.objects.filter(organization=organization, agent__isnull=False, limit__gt=0).select_related(
            "agent"
        )
        for balance in budget.balances.filter(spent__gt=0)
        for alert in _alerts_of(budget, balance)
    ]
    Alert.objects.bulk_create(alerts)
    Delivery.objects.bulk_create(
        Delivery(
            alert=alert, address=owner.email, state=DeliveryState.SENT, attempt_count=1, sent_at=alert.raised_at,
            next_attempt_at=alert.raised_at,
        )
        for alert in alerts
    )  # fmt: skip


def _alerts_of(budget: Budget, balance: Balance) -> Iterator[Alert]:
    """The thresholds that one day of an agent passed, in order of time."""
    assert budget.agent_id is not None, "only agents have limits here"
    told, spent, limit = 0, 0, budget.limit or 0
    calls = Call.objects.filter(
        organization_id=budget.organization_id, agent_id=budget.agent_id,
        reserved_at__gte=balance.window_start, reserved_at__lt=balance.window_end,
    )  # fmt: skip
    for call in calls.order_by("call_id"):
        spent += call.cost_pico
        refused = call.status == CallStatus.REFUSED and refusal_means_used_up(spent, limit)
        threshold = 100 if refused else reached(spent, limit, budget.thresholds)
        if threshold > told:
            told = threshold
            yield _alert(budget, balance, call, threshold=threshold, spent=spent, refused=refused)


def _alert(budget: Budget, balance: Balance, call: Call, *, threshold: int, spent: int, refused: bool) -> Alert:
    organization, agent = budget.organization, budget.agent
    facts: dict[str, Any] = {
        "organization": organization.name, "agent": agent.name if agent else "", "scope": budget.scope,
        "scope_name": "", "unit": budget.unit, "window": budget.window, "mode": budget.mode, "limit": budget.limit,
        "spent": spent, "time_zone": organization.time_zone, "rate_pico_per_hour": 0,
    }  # fmt: skip
    if refused:
        facts |= {"refused_at": spent, "asked": (call.facts or {})["asked"], "call_id": str(call.call_id)}
    return Alert(
        id=uuid7(int(call.ended_at.timestamp() * 1000)),  # alerts are listed by their ids
        organization=organization, agent_id=budget.agent_id, budget_id=budget.id, threshold=threshold,
        window_start=balance.window_start, window_end=balance.window_end, limit=budget.limit or 0, facts=facts,
        raised_at=call.ended_at,
    )  # fmt: skip
