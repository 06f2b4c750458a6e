"""What may be spent and what was: agents and keys, budgets and balances, reservations, the book, its sums."""

from agents.models.agent import Agent, AgentKey, KeyMode
from agents.models.book import Basis, Call, CallStatus, PriceBookVersion
from agents.models.budget import Balance, Budget, Mode, Scope, Unit, Window
from agents.models.mark import Mark, database_now
from agents.models.reservation import OwnerLease, Reservation
from agents.models.usage import DailyUsage, HourlyUsage

__all__ = [
    "Agent",
    "AgentKey",
    "Balance",
    "Basis",
    "Budget",
    "Call",
    "CallStatus",
    "DailyUsage",
    "HourlyUsage",
    "KeyMode",
    "Mark",
    "Mode",
    "OwnerLease",
    "PriceBookVersion",
    "Reservation",
    "Scope",
    "Unit",
    "Window",
    "database_now",
]
