"""An organisation with agents and budgets, and questions to the database that the ledger's tests ask."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from django.db import connection
from psycopg.types.json import Jsonb

from accounts.ids import uuid7
from accounts.models import Organization
from agents import budgets
from agents.ledger import Ask, CallStart
from agents.ledger.connection import conninfo_of_django
from agents.models import Agent, Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

USD = 10**12


async def in_thread[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run something that uses Django's models, and leave no connection behind."""

    def work() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            connection.close()

    return await asyncio.to_thread(work)


class House:
    """One organisation; `ask` speaks for its agent, `sql` asks the database."""

    def __init__(self, limit: int | None = 5 * USD, time_zone: str = "UTC") -> None:
        self.organization = Organization.objects.create(name="Acme", time_zone=time_zone)
        self.agent = budgets.create_agent(self.organization, "Scout", daily_limit_pico=limit, by=None)
        self.meter = Budget.objects.get(organization=self.organization, scope="organization")
        self.budget = Budget.objects.get(agent=self.agent)
        self.budgets: list[tuple[int, str]] = [(self.meter.pk, ""), (self.budget.pk, "")]
        self.connection = psycopg.connect(conninfo_of_django(), autocommit=True)

    def new_budget(self, **fields: Any) -> Budget:
        """Add a budget that every further ask names."""
        fields = {"scope": "agent", "agent": self.agent} | fields
        budget = Budget.objects.create(organization=self.organization, **fields)
        self.budgets.append((budget.pk, ""))
        return budget

    def ask(self, usd_pico: int, agent: Agent | None = None, **fields: Any) -> Ask:
        """Return an ask of the agent with the versions that are in force."""
        agent = agent or self.agent
        agent_version, organization_version = self.versions(agent)
        values: dict[str, Any] = {
            "call_id": uuid7(),
            "organization_id": self.organization.pk,
            "agent_id": agent.pk,
            "agent_version": agent_version,
            "organization_version": organization_version,
            "budgets": tuple(self.budgets),
            "usd_pico": usd_pico,
            "tokens": 100,
            "deadline_seconds": 60.0,
            "start": CallStart(provider="openai", model="gpt-4o", tags={"team": "a"}),
        }
        return Ask(**values | fields)

    def versions(self, agent: Agent) -> tuple[int, int]:
        row = self.sql(
            "SELECT a.policy_version, o.policy_version FROM agent a JOIN organization o ON o.id = a.organization_id"
            " WHERE a.id = %s",
            agent.pk,
        )[0]
        return row[0], row[1]

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(query, [Jsonb(v) if isinstance(v, dict) else v for v in values])
        return cursor.fetchall() if cursor.description else []

    def amounts(self, budget: Budget | None = None, practice: bool = False) -> tuple[int, int]:
        """Return what a budget has spent and holds in all its windows; the agent's by default."""
        row = self.sql(
            "SELECT coalesce(sum(spent), 0), coalesce(sum(held), 0) FROM balance"
            " WHERE budget_id = %s AND practice = %s",
            (budget or self.budget).pk,
            practice,
        )[0]
        return int(row[0]), int(row[1])

    def book(self, call_id: UUID) -> list[dict[str, Any]]:
        """Return a call's rows in the book."""
        cursor = self.connection.execute("SELECT * FROM call WHERE call_id = %s ORDER BY seq", [call_id])
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """A second session in the middle of a transaction."""
        with psycopg.connect(conninfo_of_django()) as other:
            yield other
