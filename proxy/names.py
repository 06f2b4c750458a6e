"""What a call's headers name: its sub-agent, session and user, its tags, and limits of its own (product.md W6, W7)."""

import re
from collections.abc import Mapping

from accounts.records import record
from agents.callers import BudgetPolicy, Caller
from agents.ledger.terms import SUBJECT_BYTES_MAX
from agents.models import RuleMode, Scope, Unit, Window
from agents.money import InvalidAmount, parse_usd
from agents.subjects import NOBODY, Subjects, subject_of
from proxy.errors import Malformed

SESSION, USER, AGENT, AGENT_ALIAS = "x-awx-session-id", "x-awx-user-id", "x-awx-agent-id", "x-agent-id"
TAGS, DAILY_BUDGET, SESSION_BUDGET = "x-awx-tags", "x-awx-daily-budget", "x-awx-session-budget"
_ALL = frozenset({SESSION, USER, AGENT, AGENT_ALIAS, TAGS, DAILY_BUDGET, SESSION_BUDGET})
TAGS_MAX = 16

_SLUG = re.compile(r"[a-z0-9._-]{1,64}")
_TAG = re.compile(r"[A-Za-z0-9._/-]{1,64}")


@record()
class Meter:
    """A budget per subject that must exist before a limit of the call's own can be held against it."""

    scope: str
    unit: str
    window: str


@record()
class Names:
    """One call's names; empty where the client gave none. daily_pico, session_pico: limits that it brought."""

    session: str = ""
    user: str = ""
    sub_agent: str = ""
    tags: Mapping[str, str] | None = None
    daily_pico: int | None = None
    session_pico: int | None = None

    def subjects(self, model: str) -> Subjects:
        """What budgets per session, user, sub-agent and model count it under."""
        return Subjects(model=model, session=self.session or NOBODY, user=self.user or NOBODY, sub_agent=self.sub_agent)


def read_names(headers: Mapping[str, str], caller: Caller, *, body_user: str | None = None) -> Names:
    """Read a call's headers; raises Malformed for a value that cannot be used, since its sender relies on it.

    body_user: the end user that the request body names.
    """
    if _ALL.isdisjoint(headers):
        return Names(user=cut(body_user or ""))
    daily_pico, session_pico = daily_budget(headers), _budget(headers, SESSION_BUDGET)
    session = _subject(headers, SESSION)
    if session_pico is not None and not session:
        raise Malformed(
            problem=f"{SESSION_BUDGET} needs a session", param=SESSION_BUDGET, hint=f"Send {SESSION} beside it."
        )
    return Names(
        session=session,
        user=_subject(headers, USER) or cut(body_user or ""),
        sub_agent=_sub_agent(headers, caller),
        tags=_tags(headers),
        daily_pico=daily_pico,
        session_pico=session_pico,
    )


def agent_named(headers: Mapping[str, str]) -> str:
    """The agent's id in the headers, folded; empty where there is none. Raises Malformed."""
    given = {headers[name].lower() for name in (AGENT, AGENT_ALIAS) if headers.get(name)}
    if len(given) > 1:
        raise Malformed(problem=f"{AGENT} and {AGENT_ALIAS} differ", param=AGENT)
    slug = next(iter(given), "")
    if slug and not _SLUG.fullmatch(slug):
        raise Malformed(
            problem=f"{AGENT} is not an agent's id", param=AGENT,
            hint="Use a–z, 0–9, dot, dash and underscore, at most 64 characters.",
        )  # fmt: skip
    return slug


def daily_budget(headers: Mapping[str, str]) -> int | None:
    """The daily budget in the headers in pico-dollars; raises Malformed."""
    return _budget(headers, DAILY_BUDGET)


def limits(names: Names, caller: Caller) -> dict[Meter, int]:
    """The limits that this call brings or that its agent's rules set, by the budget they are held against."""
    found: dict[Meter, int] = {}
    if names.daily_pico is not None:
        scope = Scope.SUB_AGENT if names.sub_agent else Scope.AGENT
        found[Meter(scope, Unit.USD, Window.DAY)] = names.daily_pico
    if names.session_pico is not None:
        found[Meter(Scope.SESSION, Unit.USD, Window.SESSION)] = names.session_pico
    if names.session and caller.guards.session_mode == RuleMode.BLOCK:
        found[SESSION_CALLS] = caller.guards.session_calls
    return found


SESSION_CALLS = Meter(Scope.SESSION, Unit.CALLS, Window.SESSION)


def meter_of(meter: Meter, caller: Caller) -> BudgetPolicy | None:
    """The caller's own budget that counts this, for each subject; None while there is none."""
    for budget in caller.budgets:
        same = (budget.scope, budget.unit, budget.window) == (meter.scope, meter.unit, meter.window)
        if same and not budget.scope_name and budget.is_agents_own:
            return budget
    return None


def missing_meters(names: Names, caller: Caller) -> list[Meter]:
    """The budgets that the call's own limits are to be held against and that do not exist yet."""
    return [meter for meter in limits(names, caller) if meter_of(meter, caller) is None]


def named_budgets(names: Names, caller: Caller, model: str) -> tuple[tuple[int, str], ...]:
    """The budgets that the call counts against, with its subject in each."""
    subjects = names.subjects(model)
    found = [(budget.budget_id, subject_of(budget, subjects)) for budget in caller.budgets]
    return tuple([(budget_id, subject) for budget_id, subject in found if subject is not None])


def cut(text: str) -> str:
    """What a client wrote, as a column of the book and a subject take it: no NUL, a bounded number of bytes."""
    clean = text.replace("\0", "")
    if len(clean) * 4 <= SUBJECT_BYTES_MAX:
        return clean
    return clean.encode("utf-8", "replace")[:SUBJECT_BYTES_MAX].decode("utf-8", "ignore")


def _subject(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if len(value) > SUBJECT_BYTES_MAX:
        raise Malformed(problem=f"{name} is longer than {SUBJECT_BYTES_MAX} bytes", param=name)
    return value


def _sub_agent(headers: Mapping[str, str], caller: Caller) -> str:
    """Who names the calling agent itself names no sub-agent."""
    slug = agent_named(headers)
    return "" if slug == caller.agent_slug else slug


def _tags(headers: Mapping[str, str]) -> dict[str, str] | None:
    pairs = [part.strip() for part in headers.get(TAGS, "").split(",") if part.strip()]
    tags: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not _TAG.fullmatch(key.strip()) or len(value) > SUBJECT_BYTES_MAX:
            raise Malformed(problem=f"{TAGS} holds {pair[:40]!r}", param=TAGS, hint="Write it as a=b,c=d.")
        tags[key.strip()] = value.strip()
    if len(tags) > TAGS_MAX:
        raise Malformed(problem=f"{TAGS} holds more than {TAGS_MAX} tags", param=TAGS)
    return tags or None


def _budget(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    try:
        return parse_usd(text)
    except InvalidAmount as error:
        raise Malformed(problem=f"{name} is not an amount of dollars", param=name, hint=error.reason) from error
