"""Guards: what an agent may do beside spending, and what the rules against loops and storms saw."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from accounts.ids import uuid7
from accounts.models import Organization
from agents.models.agent import Agent


class RuleMode(models.TextChoices):
    OFF = "off", "Off"
    WARN = "warn", "Warn"
    BLOCK = "block", "Block"


# Set beside the guards, and kept with the agent.
AGENT_FIELDS = ("default_output", "refusal_status")


class Guards(models.Model):
    """An agent's guards (product.md B3, B7 to B10); an empty limit means that there is none."""

    agent = models.OneToOneField(Agent, models.CASCADE, primary_key=True, related_name="guards")

    # Each call
    allowed_models = ArrayField(models.CharField(max_length=128), null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_input_tokens = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_ceiling_pico = models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(0)])
    clamp_output = models.BooleanField(default=False)  # a client's bound that does not fit is lowered
    hosted_tools = models.JSONField(default=dict, blank=True)  # name -> most uses in one call
    required_headers = ArrayField(models.CharField(max_length=10), default=list, blank=True)  # session, user

    # How many
    calls_per_minute = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    tokens_per_minute = models.PositiveBigIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_parallel = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    pacing_seconds = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(60)])

    # What looks like a loop: B8
    repeat_mode = models.CharField(max_length=5, choices=RuleMode, default=RuleMode.WARN)
    repeat_count = models.PositiveIntegerField(default=10, validators=[MinValueValidator(2)])
    repeat_minutes = models.PositiveIntegerField(default=5, validators=[MinValueValidator(1), MaxValueValidator(1440)])
    session_mode = models.CharField(max_length=5, choices=RuleMode, default=RuleMode.WARN)
    session_calls = models.PositiveIntegerField(default=500, validators=[MinValueValidator(1)])
    busy_mode = models.CharField(max_length=5, choices=RuleMode, default=RuleMode.WARN)
    busy_hours = models.PositiveIntegerField(default=8, validators=[MinValueValidator(1), MaxValueValidator(168)])
    windows_mode = models.CharField(max_length=5, choices=RuleMode, default=RuleMode.WARN)
    cool_down_minutes = models.PositiveIntegerField(
        default=30, validators=[MinValueValidator(1), MaxValueValidator(1440)]
    )

    # Retry storms and growing contexts (B9)
    retry_mode = models.CharField(max_length=5, choices=RuleMode, default=RuleMode.WARN)
    retry_percent = models.PositiveSmallIntegerField(
        default=5, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    bloat_mode = models.CharField(max_length=5, choices=RuleMode, default=RuleMode.WARN)
    bloat_calls = models.PositiveIntegerField(default=20, validators=[MinValueValidator(2), MaxValueValidator(1000)])

    # Cache (B10): none is off
    cache_seconds = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(30 * 86_400)]
    )

    class Meta:
        db_table = "guards"

    def __str__(self) -> str:
        return f"Guards of {self.agent}"

    @classmethod
    def of(cls, agent: Agent) -> Guards:
        """The agent's guards; the defaults where it has none of its own yet."""
        guards = cls.objects.filter(agent=agent).first() or cls()
        guards.agent = agent
        return guards

    def value_of(self, name: str) -> Any:
        """A guard's value, also of those that the agent's own row keeps; without an agent the usual one."""
        if name not in AGENT_FIELDS:
            return getattr(self, name)
        return Agent._meta.get_field(name).get_default() if self.agent_id is None else getattr(self.agent, name)


class GuardRule(models.TextChoices):
    REPEAT = "loop_repeat", "The same message again and again"
    SESSION = "loop_session", "A session with very many calls"
    BUSY = "loop_busy", "No pause for hours"
    WINDOWS = "loop_windows", "Budget used up several times in a row"
    RETRIES = "retry_storm", "Retry storm"
    BLOAT = "context_bloat", "Growing context"
    HELD_BACK = "held_back", "The provider asked to wait"


class GuardEvent(models.Model):
    """What a rule saw, once for each episode; alerts tell it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="guard_events")
    rule = models.CharField(max_length=16, choices=GuardRule)
    mode = models.CharField(max_length=5, choices=RuleMode)  # what was done about it
    session = models.CharField(max_length=128, default="", blank=True)
    episode_at = models.DateTimeField()  # when the episode began, on the rule's own grid
    until_at = models.DateTimeField(null=True)  # end of a block
    facts = models.JSONField(default=dict)  # the numbers behind it
    seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "guard_event"
        indexes: ClassVar = [models.Index(fields=["seen_at"], name="guard_event_by_time")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agent", "rule", "session", "episode_at"], name="guard_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} of {self.agent_id}"
