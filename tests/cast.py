"""The cast of the tests: Alice owns Acme Robotics, Bob works there, Vera only looks; Charlie is from elsewhere."""

from dataclasses import dataclass

from accounts.members import create_organization
from accounts.models import Membership, Organization, Role, User
from agents import budgets, keys
from agents.models import Agent, KeyMode
from agents.money import PICO_PER_USD

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    """Somebody with a place in an organisation and, where they own it, its agent and that agent's keys."""

    user: User
    organization: Organization
    membership: Membership
    agent: Agent
    live_key: str
    test_key: str


def alice(*, daily_limit_pico: int | None = 5 * PICO_PER_USD, time_zone: str = "UTC") -> Person:
    """Owner of Acme Robotics, whose agent support-triage may spend five dollars a day."""
    return _owner("alice@acme.example", "Acme Robotics", "support-triage", daily_limit_pico, time_zone)


def charlie() -> Person:
    """The stranger: owner of Borealis, with an agent of his own, who must never see anything of Acme's."""
    return _owner("charlie@borealis.example", "Borealis", "newsletter", 5 * PICO_PER_USD, "Europe/Oslo")


def bob(of: Person) -> Person:
    """A member of the same organisation as `of`."""
    return _colleague(of, "bob@acme.example", Role.MEMBER)


def vera(of: Person) -> Person:
    """A viewer in the same organisation as `of`: looks, changes nothing."""
    return _colleague(of, "vera@acme.example", Role.VIEWER)


def _owner(email: str, name: str, agent_name: str, daily_limit_pico: int | None, time_zone: str) -> Person:
    user = User.objects.create_user(email, PASSWORD)
    organization = create_organization(name, owner=user, time_zone=time_zone)
    budgets.ensure_organization_meter(organization)
    agent = budgets.create_agent(organization, name=agent_name, daily_limit_pico=daily_limit_pico, by=user)
    _, live_key = keys.issue(agent, KeyMode.LIVE, by=user)
    _, test_key = keys.issue(agent, KeyMode.TEST, by=user)
    organization.refresh_from_db()
    agent.refresh_from_db()
    return Person(user, organization, user.memberships.get(), agent, live_key, test_key)


def _colleague(of: Person, email: str, role: Role) -> Person:
    user = User.objects.create_user(email, PASSWORD)
    membership = Membership.objects.create(organization=of.organization, user=user, role=role)
    return Person(user, of.organization, membership, of.agent, of.live_key, of.test_key)
