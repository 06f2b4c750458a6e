"""Answers that providers keep: noted for the agent that made them, and counted where a later call continues one.

docs/responses.md; metering.md section 1.5.
"""

from dataclasses import replace

from agents import ledger as ledgers
from agents.callers import Caller
from agents.ledger import Ledger, StoredAnswer
from proxy import planning
from proxy.errors import LedgerAway, UnboundedCall
from proxy.planning import Plan
from proxy.process import Process
from proxy.providers.shape import Basis, Metered, ModelRequest, Route

PARAM = "previous_response_id"
# How long the end of an answer may wait for its note; without one it cannot be continued.
REMEMBER_SECONDS = 0.25
MODEL_LENGTH_MAX, ID_LENGTH_MAX = 128, 128
_HINT = "Send the earlier items in 'input' instead."


async def with_prior(process: Process, caller: Caller, route: Route, request: ModelRequest) -> ModelRequest:
    """The request, bounded with all that the answer it continues brings in; raises UnboundedCall, LedgerAway.

    What another agent made is answered like what nobody made.
    """
    if not request.previous_id:
        return request
    target = planning.choose_target(process.prices, caller.with_own_key(request.model), route, request.model)
    prior = await find(process, caller, request.previous_id)
    if prior is None:
        raise UnboundedCall(what="this agent has no such response, or it was not noted", param=PARAM, hint=_HINT)
    if (prior.provider, prior.model) != (target.provider, target.model):
        raise UnboundedCall(
            what=f"the response is {prior.model}'s, and how long it is for {target.model} is not known",
            param=PARAM,
            hint=f"Ask {prior.model} again, or send the earlier items in 'input'.",
        )
    if prior.tokens is None:
        raise UnboundedCall(what="its provider did not say how long the response is", param=PARAM, hint=_HINT)
    hidden = request.hidden
    return replace(request, hidden=replace(hidden, constant_tokens=hidden.constant_tokens + prior.tokens))


async def find(process: Process, caller: Caller, response_id: str) -> StoredAnswer | None:
    """The answer of that id, where this agent made it; raises LedgerAway."""
    if not _is_id(response_id):
        return None
    try:
        return await process.ledger.stored_answer(
            response_id, caller.organization_id, caller.agent_id, practice=caller.practice
        )
    except ledgers.LedgerAway as error:
        raise LedgerAway from error


class Note:
    """One call's note of the answer that its provider keeps: taken once, before the client can see the answer's end."""

    def __init__(self, ledger: Ledger, plan: Plan) -> None:
        self._ledger = ledger
        self._plan = plan
        self._is_taken = not plan.request.keeps

    @property
    def is_taken(self) -> bool:
        """Whether there is nothing left to note."""
        return self._is_taken

    async def take(self, metered: Metered) -> None:
        """Note what the answer says about itself; waits for a bounded time, and nothing depends on it."""
        response_id, plan = metered.provider_id, self._plan
        if self._is_taken or response_id is None:
            return
        self._is_taken = True
        if not _is_id(response_id) or len(plan.target.model) > MODEL_LENGTH_MAX:
            return
        read, written = _exact_tokens(metered)
        await self._ledger.remember(
            StoredAnswer(
                organization_id=plan.caller.organization_id,
                agent_id=plan.caller.agent_id,
                practice=plan.caller.practice,
                response_id=response_id,
                provider=plan.target.provider,
                model=plan.target.model,
                input_tokens=read,
                output_tokens=written,
            ),
            seconds_max=REMEMBER_SECONDS,
        )


def _is_id(text: str) -> bool:
    return len(text) <= ID_LENGTH_MAX and text.isascii() and text.isprintable()


def _exact_tokens(metered: Metered) -> tuple[int | None, int | None]:
    """What the model read and wrote; none where the bill does not say all of it."""
    usage = metered.usage
    if usage is None or metered.basis is not Basis.USAGE or usage.unknown_keys or metered.error is not None:
        return None, None
    return usage.total_input, usage.total_output
