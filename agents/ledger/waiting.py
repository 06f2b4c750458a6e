"""Asks and endings that wait for the database's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from uuid import UUID

    from agents.ledger.groups import Group
    from agents.ledger.reservation import Reservation
    from agents.ledger.terms import Ask
    from agents.ledger.wire import Row


@dataclass(slots=True, eq=False)
class WaitingAsk:
    """An ask on its way; sent once it may have reached the database."""

    ask: Ask
    start: Row
    start_literal: str
    future: asyncio.Future[Reservation]
    asked_at: float
    group: Group | None = None
    sent: bool = False
    attempts: int = 0


@dataclass(slots=True, eq=False)
class WaitingEnd:
    """An ending on its way; it is sent until the database answers."""

    call_id: UUID
    row: Row
    future: asyncio.Future[str]
    attempts: int = 0
