from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.models import Organization
from agents.models.agent import Agent


class Scope(models.TextChoices):
    ORGANIZATION = "organization", "Organisation"
    AGENT = "agent", "Agent"
    SUB_AGENT = "sub_agent", "Sub-agent"
    SESSION = "session", "Session"
    USER = "user", "User"
    MODEL = "model", "Model"
    AGENT_USER = "agent_user", "Agent and user"


class Unit(models.TextChoices):
    USD = "usd", "US dollars"  # limits and balances in pico-dollars
    TOKENS = "tokens", "Tokens"
    CALLS = "calls", "Calls"
    PARALLEL = "parallel", "Calls at a time"  # held while a call runs, never spent


class Window(models.TextChoices):
    DAY = "day", "Day"
    WEEK = "week", "Week"
    MONTH = "month", "Month"
    ROLLING = "rolling_24h", "Rolling 24 hours"
    SESSION = "session", "Session"
    TOTAL = "total", "Total"


class Mode(models.TextChoices):
    HARD = "hard", "Refuse"
    SOFT = "soft", "Alert only"


def default_thresholds() -> list[int]:
    return [50, 80, 100]


class Budget(models.Model):
    """A limit in a unit over a window for a scope. No limit means unlimited; its balance is counted all the same."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="budgets")
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, blank=True, related_name="budgets")
    scope = models.CharField(max_length=12, choices=Scope)
    scope_name = models.CharField(max_length=128, blank=True)  # the sub-agent or model that is meant, where one is
    unit = models.CharField(max_length=8, choices=Unit, default=Unit.USD)
    window = models.CharField(max_length=11, choices=Window, default=Window.DAY)
    mode = models.CharField(max_length=4, choices=Mode, default=Mode.HARD)
    limit = models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(0)])
    thresholds = ArrayField(
        models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(100)]),
        default=default_thresholds,
    )
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "budget"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(limit=None) | Q(limit__gte=0), name="budget_limit_not_negative"),
            models.UniqueConstraint(
                fields=["organization", "agent", "scope", "scope_name", "unit", "window"],
                condition=Q(ended_at=None),
                nulls_distinct=False,
                name="budget_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} per {self.window}"


class Balance(models.Model):
    """What one window of a budget has spent and holds, per subject; only the ledger's functions write it.

    The subject is the session, user or model where the budget is for each of them, else empty. Practice balances
    belong to test keys and stand outside every total.
    """

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="balances")
    subject = models.CharField(max_length=128, default="", blank=True)
    practice = models.BooleanField(default=False)
    window_start = models.DateTimeField()
    window_end = models.DateTimeField(null=True)  # none: the window never ends
    extra = models.BigIntegerField(default=0, db_default=0)  # topped up beside the limit, for this window alone
    spent = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    seeded = models.BigIntegerField(default=0)  # part of spent: what the window had spent before the budget existed
    opened_at = models.DateTimeField()

    class Meta:
        db_table = "balance"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["budget", "subject", "practice", "window_start"], name="balance_once"),
            models.CheckConstraint(condition=Q(spent__gte=0) & Q(held__gte=0), name="balance_not_negative"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["window_end"], name="balance_by_window_end"),  # the windows that alerts look at
            # Counts new sessions, users and models of the last hour, which clients could invent without end.
            models.Index(fields=["budget", "opened_at"], condition=~Q(subject=""), name="balance_by_new_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.budget} from {self.window_start:%Y-%m-%d}"


class BalanceBucket(models.Model):
    """An hour of a rolling budget's balance: what calls reserved in it were charged; only the ledger writes it."""

    pk = models.CompositePrimaryKey("balance_id", "bucket_start")
    balance = models.ForeignKey(Balance, models.CASCADE, db_index=False, related_name="buckets")
    bucket_start = models.DateTimeField()
    spent = models.BigIntegerField(default=0)

    class Meta:
        db_table = "balance_bucket"

    def __str__(self) -> str:
        return f"{self.balance_id} {self.bucket_start:%Y-%m-%d %H:00}"
