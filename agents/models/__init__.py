"""What may be spent and what was: agents and keys, budgets and balances, reservations, the book, its sums."""

from agents.models.agent import Agent, AgentKey, KeyMode
from agents.models.audit import AuditedBalance, AuditedDay, AuditedHour
from agents.models.book import Basis, Call, CallStatus, PriceBookVersion
from agents.models.budget import Balance, BalanceBucket, Budget, Mode, Scope, Unit, Window
from agents.models.guards import AGENT_FIELDS, GuardEvent, GuardRule, Guards, RuleMode
from agents.models.mark import Mark, database_now
from agents.models.organization_key import OrganizationKey
from agents.models.pin import PinnedCredential
from agents.models.rate import CustomRate
from agents.models.reservation import OwnerLease, Reservation
from agents.models.stored import StoredResponse
from agents.models.usage import DailyUsage, HourlyUsage

__all__ = [
    "AGENT_FIELDS",
    "Agent",
    "AgentKey",
    "AuditedBalance",
    "AuditedDay",
    "AuditedHour",
    "Balance",
    "BalanceBucket",
    "Basis",
    "Budget",
    "Call",
    "CallStatus",
    "CustomRate",
    "DailyUsage",
    "GuardEvent",
    "GuardRule",
    "Guards",
    "HourlyUsage",
    "KeyMode",
    "Mark",
    "Mode",
    "OrganizationKey",
    "OwnerLease",
    "PinnedCredential",
    "PriceBookVersion",
    "Reservation",
    "RuleMode",
    "Scope",
    "StoredResponse",
    "Unit",
    "Window",
    "database_now",
]
