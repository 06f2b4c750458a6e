"""How each agent stands against its daily budget."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from accounts.models import Organization
from agents.days import day_of, day_period
from agents.loop_blocks import LoopBlock, loop_blocks
from agents.models import Agent, Budget, Scope, Unit, Window
from agents.money import usd_display
from agents.reports.budget_list import used_up
from agents.reports.spend import Refusals, WindowSpend, agents_today, refusals_today

_WARN_PERCENT = 50
_NEAR_PERCENT = 80


class State(Enum):
    """What a pill says: the words, and the tone of its colour."""

    PAUSED = ("Paused", "idle")
    BLOCKED = ("Blocked", "bad")
    NEAR = ("Over 80 %", "warn")
    WARNED = ("Over 50 %", "warn")
    OK = ("OK", "good")
    NEW = ("New", "info")

    @property
    def words(self) -> str:
        return self.value[0]

    @property
    def tone(self) -> str:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Standing:
    """An agent and its day."""

    agent: Agent
    budget: Budget | None
    window: WindowSpend
    refusals: Refusals
    resets_at: datetime
    other_used_up: bool = False  # a hard budget beside the daily one, the agent's or the organisation's
    loop_block: LoopBlock | None = None

    @property
    def limit_pico(self) -> int | None:
        """What may be spent today, the top-up included."""
        return None if self.daily_pico is None else self.daily_pico + self.extra_pico

    @property
    def daily_pico(self) -> int | None:
        """What may be spent on any day."""
        return None if self.budget is None else self.budget.limit

    @property
    def extra_pico(self) -> int:
        return self.window.extra_pico

    @property
    def available_pico(self) -> int | None:
        if self.limit_pico is None:
            return None
        return max(0, self.limit_pico - self.window.spent_pico - self.window.held_pico)

    @property
    def spoken(self) -> str:
        """The bar in words, for those who cannot see it."""
        limit = "no limit of its own" if self.limit_pico is None else f"of {usd_display(self.limit_pico)}"
        held = f", {usd_display(self.window.held_pico)} held" if self.window.held_pico else ""
        return f"{self.agent.name}: {usd_display(self.window.spent_pico)} {limit} spent{held}"

    @property
    def percent(self) -> int | None:
        """Whole percent of the limit that is spent; none without a limit."""
        if self.limit_pico is None:
            return None
        return 100 if self.limit_pico == 0 else self.window.spent_pico * 100 // self.limit_pico

    @property
    def state(self) -> State:
        if self.agent.paused_at is not None:
            return State.PAUSED
        if self._is_blocked():
            return State.BLOCKED
        if self.agent.first_call_at is None and not self.window.spent_pico:
            return State.NEW
        percent = self.percent or 0
        if percent >= _NEAR_PERCENT:
            return State.NEAR
        return State.WARNED if percent >= _WARN_PERCENT else State.OK

    def _is_blocked(self) -> bool:
        """A rule against loops holds calls back, nothing is left, or a call was refused with most of it spent.

        The last is counted as alerts count it.
        """
        if self.loop_block is not None or self.other_used_up:
            return True
        limit_pico = self.limit_pico
        if limit_pico is None:
            return False
        if self.window.spent_pico >= limit_pico:
            return True
        return self.refusals.budget_count > 0 and (self.percent or 0) >= _NEAR_PERCENT


def standings(organization: Organization, at: datetime) -> list[Standing]:
    """Every current agent, by name, in as many queries however many agents there are."""
    agents = Agent.objects.for_org(organization).current().order_by("name", "created_at")
    return _standings(organization, list(agents), at)


def standing(organization: Organization, agent: Agent, at: datetime) -> Standing:
    """One agent's day."""
    return _standings(organization, [agent], at)[0]


def daily_budget(agent: Agent) -> Budget | None:
    """The agent's dollar budget per day."""
    return agent.budgets.filter(
        scope=Scope.AGENT, scope_name="", unit=Unit.USD, window=Window.DAY, ended_at=None
    ).first()


def _standings(organization: Organization, agents: list[Agent], at: datetime) -> list[Standing]:
    budgets = _daily_budgets(organization, agents)
    windows = agents_today(organization, at)
    refusals = refusals_today(organization, at)
    empty, blocks = used_up(organization, at), loop_blocks(agents, at)
    zone = organization.time_zone
    midnight = day_period(day_of(at, zone), zone).end_at
    stands = []
    for agent in agents:
        window = windows.get(agent.id, WindowSpend())
        stands.append(
            Standing(
                agent=agent,
                budget=budgets.get(agent.id),
                window=window,
                refusals=refusals.get(agent.id, Refusals()),
                resets_at=window.end_at or midnight,
                other_used_up=None in empty or agent.id in empty,
                loop_block=blocks.get(agent.id),
            )
        )
    return stands


def _daily_budgets(organization: Organization, agents: list[Agent]) -> dict[object, Budget]:
    found = Budget.objects.filter(
        organization=organization, agent__in=agents, scope=Scope.AGENT, scope_name="", unit=Unit.USD,
        window=Window.DAY, ended_at=None,
    )  # fmt: skip
    return {budget.agent_id: budget for budget in found}
