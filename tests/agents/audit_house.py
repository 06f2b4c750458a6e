"""What the audit's tests share: a day of work of the real ledger, older days, and questions to a report."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from accounts.ids import uuid7
from agents.audit import AuditReport, audit
from agents.audit.remembering import MARGIN
from agents.ledger import BudgetRefused, CachedRow, CallEnd, Ledger, RefusalRow
from tests.agents.ledger_house import USD, House, in_thread

DAY = timedelta(days=1)


async def a_day_of_work(house: House, ledger: Ledger) -> None:
    """Calls of every fate: settled, voided, refused, expired, corrected late, running, and practice."""
    await in_thread(house.new_budget, unit="tokens", window="month", limit=10**9)
    await in_thread(house.new_budget, unit="calls", window="total", limit=10**6)
    asks = [house.ask(USD // 10, practice=number == 5) for number in range(8)]
    await asyncio.gather(*map(ledger.reserve, asks))
    await asyncio.gather(*(ledger.settle(ask.call_id, CallEnd(cost_pico=7, tokens=3)) for ask in asks[:6]))
    await ledger.void(asks[6].call_id, CallEnd())
    late = [house.ask(USD // 10) for _ in range(2)]
    await asyncio.gather(*map(ledger.reserve, late))
    house.sql("UPDATE reservation SET deadline_at = now() WHERE call_id = ANY(%s)", [ask.call_id for ask in late])
    house.sql("UPDATE owner_lease SET expires_at = now()")
    await ledger.upkeep.reap(is_cautious=False)
    await ledger.settle(late[0].call_id, CallEnd(cost_pico=5, tokens=1))
    refused = house.ask(9 * USD)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(refused)
    ledger.record_refusal(
        RefusalRow(
            call_id=refused.call_id,
            organization_id=refused.organization_id,
            agent_id=refused.agent_id,
            reason="call_too_expensive",
            http_status=429,
            asked_pico=9 * USD,
        )
    )
    cached = CachedRow(
        call_id=uuid7(),
        organization_id=refused.organization_id,
        agent_id=refused.agent_id,
        http_status=200,
        saved_pico=5,
    )
    ledger.record_cached(cached)
    await ledger.upkeep.write_refusals()


def clock(house: House) -> datetime:
    """The database's clock."""
    now: datetime = house.sql("SELECT ledger_clock()")[0][0]
    return now


async def report(**options: Any) -> AuditReport:
    return await in_thread(audit, **options)


async def remember(house: House) -> AuditReport:
    """A run that remembers everything that has ended by now, as a later run would."""
    return await report(at=clock(house) + MARGIN)


def broken(found: AuditReport) -> dict[str, list[str]]:
    return {check.name: check.breaches for check in found.checks if check.breaches}


def old_call(house: House, at: datetime, cost_pico: int = 7, **columns: Any) -> dict[str, Any]:
    """Put a settled call of another day into the book, and its charge on the balances of that day."""
    house.sql("SELECT ensure_partitions(%s, 0)", (clock(house) - at).days + 2)
    opened = house.sql(
        "SELECT balance_id FROM ledger_open_balances(%s::bigint[], %s::text[], %s::boolean[], 10000, %s)",
        [house.meter.pk, house.budget.pk], ["", ""], [False, False], at,
    )  # fmt: skip
    balances = sorted(row[0] for row in opened)
    row: dict[str, Any] = {
        "call_id": str(uuid7(int(at.timestamp() * 1000))), "seq": 0, "organization_id": str(house.organization.pk),
        "agent_id": str(house.agent.pk), "reserved_at": at.isoformat(), "ended_at": at.isoformat(),
        "cost_pico": cost_pico, "held_pico": USD, "tokens": 3, "counted": 1, "status": "settled", "basis": "usage",
        "provider": "openai", "model": "gpt-4o", "balance_ids": balances,
    }  # fmt: skip
    add_row(house, row | columns)
    house.sql("UPDATE balance SET spent = spent + %s WHERE id = ANY(%s)", cost_pico, balances)
    return row | columns


def add_row(house: House, row: dict[str, Any]) -> None:
    """Put a row into the book; columns that it does not name have their defaults."""
    columns = ", ".join(row)
    house.connection.execute(
        f"INSERT INTO call ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::call, %s)", [Jsonb(row)]
    )


def tamper(house: House, statement: str, *values: Any) -> None:
    """Do what the book does not allow."""
    house.sql("SET session_replication_role = replica")
    house.sql(statement, *values)
    house.sql("SET session_replication_role = DEFAULT")
