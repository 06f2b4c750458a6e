"""Answers that providers keep: noted for the agent that made them, and counted where a later call continues one.

docs/responses.md; metering.md section 1.5.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from agents import ledger as ledgers
from agents.callers import Caller
from agents.ledger import Ledger, StoredAnswer
from proxy import planning
from proxy.errors import LedgerAway, UnboundedCall
from proxy.planning import Plan
from proxy.process import Process
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis, Metered
from proxy.providers.model_request import ModelRequest
from proxy.providers.targets import Target

PARAM = "previous_response_id"
# Its answers hold the reasoning of all turns unless a request says otherwise; others hold that of the last.
_HOLDS_ALL = "gpt-5.6"
# How long the end of an answer may wait for its note; without one it cannot be continued.
REMEMBER_SECONDS = 0.25
MODEL_LENGTH_MAX, ID_LENGTH_MAX = 128, 123  # of an id: with what marks a part
_HINT = "Send the earlier items in 'input' instead."
_ITEM = "item "
_ITEM_HINT = 'Send the item itself; for reasoning ask for include: ["reasoning.encrypted_content"], or leave it out.'


async def with_prior(process: Process, caller: Caller, route: Route, request: ModelRequest) -> ModelRequest:
    """The request, bounded with all that the kept answers which it names bring in; raises UnboundedCall, LedgerAway.

    What another agent made is answered like what nobody made.
    """
    if not request.previous_id and not request.named_items:
        return request
    target = planning.choose_target(process.prices, caller.with_own_key(request.model), route, request.model)
    named = [(item_of(item_id) if _is_id(item_id) else "", param) for item_id, param in request.named_items]
    if request.previous_id:
        named.append((request.previous_id if _is_id(request.previous_id) else "", PARAM))
    if request.reads_all and request.previous_id and not target.model.startswith(_HOLDS_ALL):
        raise UnboundedCall(
            what="how much reasoning the answers before hold is not known", param="reasoning.context",
            hint="Leave reasoning.context out.",
        )  # fmt: skip
    noted = await _find(process, caller, [name for name, _ in named])
    tokens = sum(_tokens_of(noted.get(name), param, target) for name, param in named)
    hidden = request.hidden
    return replace(request, hidden=replace(hidden, constant_tokens=hidden.constant_tokens + tokens))


async def find(process: Process, caller: Caller, response_id: str) -> StoredAnswer | None:
    """The answer of that id, where this agent made it; raises LedgerAway."""
    return (await _find(process, caller, [response_id])).get(response_id) if _is_id(response_id) else None


def item_of(item_id: str) -> str:
    """What a part of an answer is noted under; no id looks like it."""
    return _ITEM + item_id


def _tokens_of(prior: StoredAnswer | None, param: str, target: Target) -> int:
    """What the model reads at most of an answer or a part of one; raises UnboundedCall. param: where it is named."""
    part, hint = ("", _HINT) if param == PARAM else ("part of a ", _ITEM_HINT)
    if prior is None:
        raise UnboundedCall(what=f"this agent has no such {part}response, or it was not noted", param=param, hint=hint)
    if (prior.provider, prior.model) != (target.provider, target.model):
        raise UnboundedCall(
            what=f"the response is {prior.model}'s, and how long it is for {target.model} is not known",
            param=param,
            hint=f"Ask {prior.model} again, or send the earlier items in 'input'." if param == PARAM else hint,
        )
    if prior.tokens is None:
        raise UnboundedCall(what="its provider did not say how long the response is", param=param, hint=hint)
    return prior.tokens


async def _find(process: Process, caller: Caller, names: Sequence[str]) -> dict[str, StoredAnswer]:
    try:
        return await process.ledger.stored_answers(
            names, caller.organization_id, caller.agent_id, practice=caller.practice
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
        if read is not None and plan.request.leaves_out:
            read = max(read, plan.bound.input_tokens)
        notes = [self._of(response_id, read, written)]
        if written is not None:
            notes += [self._of(item_of(name), 0, tokens) for name, tokens in metered.kept_items if _is_id(name)]
        await asyncio.gather(*(self._ledger.remember(note, seconds_max=REMEMBER_SECONDS) for note in notes))

    def _of(self, response_id: str, read: int | None, written: int | None) -> StoredAnswer:
        plan = self._plan
        return StoredAnswer(
            organization_id=plan.caller.organization_id,
            agent_id=plan.caller.agent_id,
            practice=plan.caller.practice,
            response_id=response_id,
            provider=plan.target.provider,
            model=plan.target.model,
            input_tokens=read,
            output_tokens=written,
        )


def _is_id(text: str) -> bool:
    return 0 < len(text) <= ID_LENGTH_MAX and text.isascii() and text.isprintable() and " " not in text


def _exact_tokens(metered: Metered) -> tuple[int | None, int | None]:
    """What the model read and wrote; none where the bill does not say all of it."""
    usage = metered.usage
    if usage is None or metered.basis is not Basis.USAGE or usage.unknown_keys or metered.error is not None:
        return None, None
    return usage.total_input, usage.total_output
