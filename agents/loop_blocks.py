"""Which agents a rule against loops holds back now (B8), whichever side of the product noticed the loop."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from agents.models import Agent, GuardEvent, GuardRule, RuleMode

# What the proxy notices by itself is blocked in its counters, for as long as the agent's policy stays as it was; the
# rules that only the book can tell (agents.watch) block the agent's row.
_OF_THE_PROXY = (GuardRule.REPEAT, GuardRule.BUSY)
POLICY_VERSION = "policy_version"


@dataclass(frozen=True, slots=True)
class LoopBlock:
    """What holds an agent's calls back beside budgets and people: the rule that tripped, and when that ends."""

    rule: GuardRule
    until_at: datetime

    @property
    def words(self) -> str:
        """The rule as people read it."""
        return str(self.rule.label)


def loop_blocks(agents: Iterable[Agent], at: datetime) -> dict[UUID, LoopBlock]:
    """Each agent's block that holds at that moment, the longest; at its end calls pass again, as the proxy has it."""
    by_id = {agent.pk: agent for agent in agents}
    blocks = [
        (agent.pk, LoopBlock(GuardRule(agent.blocked_rule), agent.blocked_until))
        for agent in by_id.values()
        if agent.blocked_until is not None and agent.blocked_until > at
    ]
    events = GuardEvent.objects.filter(agent__in=by_id, rule__in=_OF_THE_PROXY, mode=RuleMode.BLOCK, until_at__gt=at)
    for event in events:
        if event.until_at is not None and event.facts.get(POLICY_VERSION) == by_id[event.agent_id].policy_version:
            blocks.append((event.agent_id, LoopBlock(GuardRule(event.rule), event.until_at)))
    # The last of an agent's counts, and that is the one which ends last.
    return dict(sorted(blocks, key=lambda block: block[1].until_at))
