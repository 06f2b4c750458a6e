"""Sets an organisation and an agent up: one JSON object on stdout, or one line that says what is wrong."""

import json
import sys
from typing import Any, NoReturn
from urllib.parse import urljoin

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandParser
from django.core.validators import validate_email
from django.db import Error as DatabaseError
from django.db import transaction
from django.urls import reverse

from accounts import credentials
from accounts.members import create_organization
from accounts.models import Organization, User
from agents import budgets, keys
from agents.models import Agent, KeyMode
from agents.money import InvalidAmount, parse_usd


class CannotProvision(Exception):
    """The order cannot be carried out; the text is for the operator."""


class Command(BaseCommand):
    help = "Create what is missing of a user, organisation and agent; print its new keys as one JSON object."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **options)
        parser.__class__ = _OneLineParser
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True, help="owner of the organisation")
        parser.add_argument("--organisation", required=True, help="its name")
        parser.add_argument("--password", help="of a user that is created (default: none; reset it by mail)")
        parser.add_argument("--time-zone", default="UTC", help="of an organisation that is created (default UTC)")
        parser.add_argument("--agent", required=True, help="its name")
        parser.add_argument("--daily-budget", required=True, help="in US dollars, such as 5.00")
        parser.add_argument(
            "--provider", action="append", default=[], metavar="NAME=KEY", help="connect a provider; may be repeated"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                facts = provision(options)
        except CannotProvision as reason:
            _refuse(str(reason))
        except ValidationError as error:
            _refuse("; ".join(error.messages))
        except DatabaseError as error:
            _refuse(f"the database does not answer as it should; is ./dev up running? ({str(error).splitlines()[0]})")
        self.stdout.write(json.dumps(facts))


def provision(options: dict[str, Any]) -> dict[str, str]:
    """Carry the order out; raises CannotProvision or ValidationError."""
    limit_pico = _amount(options["daily_budget"])
    providers = [_provider(text) for text in options["provider"]]
    agent_name = _agent_name(options["agent"])
    user = _user(options["email"], options["password"])
    organization = _organization(options["organisation"], user, options["time_zone"])
    agent = _agent(agent_name, organization, user, limit_pico)
    for name, api_key in providers:
        credentials.connect(organization, name, api_key, by=user)
    _, live_key = keys.issue(agent, KeyMode.LIVE, by=user, name="provision")
    _, test_key = keys.issue(agent, KeyMode.TEST, by=user, name="provision")
    return {
        "organisation": organization.name,
        "agent": agent.name,
        "agent_id": str(agent.id),
        "key": live_key,
        "test_key": test_key,
        "base_url": _address("/proxy/v1"),
        "anthropic_base_url": _address("/proxy"),
        "dashboard_url": _address(reverse("agents:overview")),
    }


def _amount(text: str) -> int:
    try:
        return parse_usd(text)
    except InvalidAmount as error:
        raise CannotProvision(f"--daily-budget {text}: {error}") from None


def _agent_name(text: str) -> str:
    try:
        return str(Agent._meta.get_field("name").clean(text.strip(), None))
    except ValidationError as error:
        raise CannotProvision(f"--agent {text!r}: {'; '.join(error.messages)}") from None


def _provider(text: str) -> tuple[str, str]:
    name, separator, api_key = text.partition("=")
    if not separator or not api_key:
        raise CannotProvision("--provider is written NAME=KEY, such as openai=sk-…")
    if name not in credentials.PROVIDERS:
        raise CannotProvision(f"--provider {name}: known are {', '.join(credentials.PROVIDERS)}")
    return name, api_key


def _user(email: str, password: str | None) -> User:
    validate_email(email)
    user = User.objects.filter(email__iexact=email).first()
    if user is None:
        user = User.objects.create_user(email, password)
    # The operator vouches for the address; without this, sign-in would ask for a code first.
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    return user


def _organization(name: str, user: User, time_zone: str) -> Organization:
    found = user.organizations.filter(name=name).first()
    if found is not None:
        return found
    organization = create_organization(name, owner=user, time_zone=time_zone)
    budgets.ensure_organization_meter(organization)
    return organization


def _agent(name: str, organization: Organization, user: User, limit_pico: int) -> Agent:
    found = Agent.objects.for_org(organization).current().filter(name=name).first()
    if found is None:
        return budgets.create_agent(organization, name, daily_limit_pico=limit_pico, by=user)
    daily = found.budgets.filter(scope="agent", unit="usd", window="day", ended_at=None).first()
    if daily is not None and daily.limit != limit_pico:
        budgets.set_limit(daily, limit_pico, by=user)
    return found


def _address(path: str) -> str:
    return urljoin(settings.SITE_URL, path)


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"provision: {reason}\n")
    raise SystemExit(1)


class _OneLineParser(CommandParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"provision: {message} (see ./dev provision --help)\n")
        raise SystemExit(2)
