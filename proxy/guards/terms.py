"""What a call asks of its agent's counters and what they answer: one form for Valkey and for this process."""

from enum import StrEnum

from accounts.records import record

NEVER_MS = -1


class Verdict(StrEnum):
    """What became of an ask. The names of rules are those of agents.models.GuardRule."""

    TAKEN = "taken"
    BLOCKED = "blocked"  # by a rule that tripped before
    REPEAT = "loop_repeat"  # trips now
    BUSY = "loop_busy"  # trips now
    CALLS = "calls"
    TOKENS = "tokens"
    RETRIES = "retry_storm"
    PROVIDER = "held_back"


@record()
class Ask:
    """What one call wants; a limit of 0 is none.

    agent: whose counters, live and test apart; session, repeat: fingerprints, `repeat` of model and last message.
    version: the agent's policy version; a block of another version is over.
    calls_limit, tokens_limit: for a minute; tokens: the call's worst case.
    repeat_limit, repeat_ms: so many like calls in such a window; busy_ms: the longest time without a pause.
    retries: whether failed calls hold the agent back; held_ms: how long this process knows that the provider does.
    pacing_ms: how long the call may wait instead of being refused.
    """

    agent: str
    session: str
    version: int
    provider: str
    calls_limit: int = 0
    tokens_limit: int = 0
    tokens: int = 0
    repeat: str = ""
    repeat_limit: int = 0
    repeat_ms: int = 0
    busy_ms: int = 0
    cool_down_ms: int = 0
    retries: bool = False
    held_ms: int = 0
    pacing_ms: int = 0


@record()
class Answer:
    """What the counters say; where the verdict is TAKEN, the rest tells what was moved so that it can be given back.

    wait_ms: taken: how long the call must wait first; refused: until there is room, NEVER_MS where there never is;
    blocked: until the block ends.
    rule: which rule blocked it; failed_count: failures in a row.
    at_ms: when the call begins, on the counters' clock; second, repeat_second: the buckets it counts in.
    busy_before, busy: the stretch of work as it was and as this call made it.
    """

    verdict: Verdict
    wait_ms: int = 0
    rule: str = ""
    failed_count: int = 0
    at_ms: int = 0
    second: int = 0
    repeat_second: int = 0
    busy_before: str = ""
    busy: str = ""


@record()
class Ended:
    """How a call that had been taken ended.

    tokens: what it used; failed: whether calls that follow are retries; held_ms: how long its provider asked to wait.
    """

    tokens: int
    failed: bool
    held_ms: int = 0
