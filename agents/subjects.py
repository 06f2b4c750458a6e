"""Which budgets a call counts against, and as which subject of each. Pure; the SQL function ledger_concerns agrees."""

from typing import Protocol

from accounts.records import record

NOBODY = "-"  # the session or user of a call that names none


@record(kw_only=True)
class Subjects:
    """What a call is about, as its client and its model say."""

    model: str
    session: str = NOBODY
    user: str = NOBODY
    sub_agent: str = ""


class Scoped(Protocol):
    """A budget as far as this page cares: agents.models.Budget, or a caller's BudgetPolicy."""

    @property
    def scope(self) -> str: ...

    @property
    def scope_name(self) -> str: ...


def subject_of(budget: Scoped, subjects: Subjects) -> str | None:
    """Return the subject under which a call counts against a budget; None where the budget is not about it.

    A budget that names what it is for has one balance, without a subject.
    """
    match budget.scope:
        case "session":
            name = subjects.session
        case "user" | "agent_user":
            name = subjects.user
        case "model":
            name = subjects.model
        case "sub_agent":
            name = subjects.sub_agent
        case _:
            return ""
    if budget.scope_name:
        return "" if budget.scope_name == name else None
    return name or None
