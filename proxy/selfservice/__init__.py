"""What an agent may ask about itself, also when its budget is gone (product.md W10)."""

from collections.abc import Awaitable, Callable

from agents import ledger as ledgers
from proxy.errors import LedgerAway, NotFound
from proxy.incoming import Incoming
from proxy.planning import can_serve
from proxy.process import Process
from proxy.providers import registry
from proxy.providers.endpoints import Route
from proxy.reply import Reply
from proxy.selfservice import budget, calls, estimate, sessions, usage
from proxy.selfservice.answers import JSON

__all__ = ["handle", "handle_models", "is_ours"]

FRESH_SECONDS = 1.0
SESSION_PATH = "/v1/sessions/"
RESET = "/reset"
CALL_PATH = "/v1/calls/"

type Handler = Callable[[Process, Incoming, str], Awaitable[Reply]]

_EXACT: dict[tuple[str, str], Handler] = {
    ("GET", "/v1/budget"): budget.show,
    ("POST", "/v1/estimate"): estimate.estimate,
    ("POST", "/v1/usage"): usage.record,
}


def is_ours(incoming: Incoming) -> bool:
    """Whether the request is for one of these and not for a provider's API."""
    return _handler(incoming) is not None


async def handle(process: Process, incoming: Incoming) -> Reply:
    """Answer one of our own addresses; raises refusals of the key or the request, NotFound, LedgerAway."""
    found = _handler(incoming)
    assert found is not None, "is_ours said so"
    incoming.caller = await process.keys.caller(incoming.claim, fresh_seconds=FRESH_SECONDS)
    handler, item = found
    try:
        return await handler(process, incoming, item)
    except ledgers.LedgerAway as error:
        raise LedgerAway from error


async def handle_models(process: Process, incoming: Incoming, route: Route) -> Reply:
    """The priced models that this caller can reach, in the dialect it asked in; nobody else is asked."""
    caller = incoming.caller = await process.keys.caller(incoming.claim, fresh_seconds=FRESH_SECONDS)
    models = can_serve(process.prices, caller, route)
    body = registry.manners_of(route.endpoint.dialect).render_models(models, route.item)
    if body is None:
        raise NotFound(what=f"model {route.item}")
    return Reply(200, [JSON], body)


def _handler(incoming: Incoming) -> tuple[Handler, str] | None:
    """Who answers, and the id in the path; a session's as it came, since clients name sessions as they like."""
    method, path = incoming.method, incoming.path
    if (method, path) in _EXACT:
        return _EXACT[method, path], ""
    if method == "GET" and path.startswith(CALL_PATH):
        return calls.show, path.removeprefix(CALL_PATH)
    if not path.startswith(SESSION_PATH):
        return None
    item = incoming.raw_path.removeprefix(SESSION_PATH)
    if item in ("", incoming.raw_path):
        return None
    if method == "GET" and "/" not in item:
        return sessions.show, item
    if method == "POST" and item.endswith(RESET) and "/" not in item.removesuffix(RESET):
        return sessions.reset, item.removesuffix(RESET)
    return None
