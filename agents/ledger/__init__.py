"""The ledger: live balances and reservations, and the book of finished calls, moved together in PostgreSQL."""

from agents.ledger.errors import (
    AlreadyEnded,
    BudgetRefused,
    LedgerAway,
    LedgerError,
    LedgerOverloaded,
    RefusalKind,
    Stale,
    TooManySubjects,
)
from agents.ledger.faults import InjectedFault, fault
from agents.ledger.reservation import Reservation
from agents.ledger.service import Ledger
from agents.ledger.stops import Stop, StopListener
from agents.ledger.stored import StoredAnswer
from agents.ledger.terms import (
    Ask,
    BudgetFacts,
    CachedRow,
    CallEnd,
    CallStart,
    CallState,
    RefusalRow,
    SessionFacts,
    limit_under,
)

__all__ = [
    "AlreadyEnded",
    "Ask",
    "BudgetFacts",
    "BudgetRefused",
    "CachedRow",
    "CallEnd",
    "CallStart",
    "CallState",
    "InjectedFault",
    "Ledger",
    "LedgerAway",
    "LedgerError",
    "LedgerOverloaded",
    "RefusalKind",
    "RefusalRow",
    "Reservation",
    "SessionFacts",
    "Stale",
    "Stop",
    "StopListener",
    "StoredAnswer",
    "TooManySubjects",
    "fault",
    "limit_under",
]
