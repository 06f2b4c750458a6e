"""What a caller is told whose key opens nothing, or behind whom no agent stands."""

from types import MappingProxyType

from agents.created_agents import AgentRejected
from agents.key_text import ORGANIZATION, PREFIX, KeyRejected
from proxy.errors import (
    AgentRequired,
    AgentUnknown,
    KeyAmbiguous,
    KeyExpired,
    KeyMalformed,
    KeyRevoked,
    KeyUnknown,
    Refusal,
)
from proxy.errors.refusals import AGENTS_PAGE, ORGANIZATION_KEYS_PAGE

AGENT_HEADER = "X-AWX-Agent-ID"  # as people write it
OWN_KEY_HINT = (
    "To call with a provider's own key, connect it under Settings → Provider keys and name the agent in X-AWX-Agent-ID,"
    " or send an AWX key as X-AWX-Key beside it."
)
_KEY_HINTS = MappingProxyType({"archived": "Its agent was archived.", "suspended": "Its organisation is suspended."})
_AGENT_HINTS = MappingProxyType(
    {
        "not_allowed": "Create it on the Agents page, or allow new agents under Settings → Organisation keys.",
        "no_budget": "Set a hard daily dollar budget of the organisation under Settings → Budgets; without one no call"
        " may create an agent.",
        "too_many": "The number of new agents a day ({count}) is used up. Create it on the Agents page, raise that"
        " number under Settings → Organisation keys, or wait for midnight.",
        "archived": "An agent of this id was archived, and its id is not used again: choose another.",
        "suspended": "The organisation is suspended.",
    }
)


def refusal_of(rejection: KeyRejected | AgentRejected) -> Refusal:
    """What is wrong with a claim, as the client is told."""
    return _of_agent(rejection) if isinstance(rejection, AgentRejected) else _of_key(rejection)


def _of_key(rejection: KeyRejected) -> Refusal:
    shown = rejection.shown
    page = ORGANIZATION_KEYS_PAGE if shown.startswith(f"{PREFIX}{ORGANIZATION}_") else AGENTS_PAGE
    match rejection.problem:
        case "malformed":
            return KeyMalformed()
        case "foreign":
            return KeyMalformed(hint=OWN_KEY_HINT)
        case "ambiguous":
            return KeyAmbiguous()
        case "unknown":
            return KeyUnknown()
        case "expired":
            return KeyExpired(shown=shown, page=page)
    return KeyRevoked(shown=shown, page=page, hint=_KEY_HINTS.get(rejection.problem, ""))


def _of_agent(rejection: AgentRejected) -> Refusal:
    if rejection.problem == "missing":
        return AgentRequired(param=AGENT_HEADER, hint="Name the agent that calls, such as researcher.")
    hint = _AGENT_HINTS[rejection.problem].format(count=rejection.new_agents_max)
    return AgentUnknown(agent=rejection.slug, hint=hint)
