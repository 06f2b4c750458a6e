"""Who asks, where an answer counts as a call does: a snapshot of a second ago would not do."""

from agents.callers import Caller
from proxy.incoming import Incoming
from proxy.process import Process
from proxy.selfservice.answers import caller_of


async def current_caller(process: Process, incoming: Incoming) -> Caller:
    """The caller under the policy that the ledger would hold a call to; raises refusals of the key, ledger.LedgerAway.

    A paused agent's is read anew: the ledger calls no snapshot of it current.
    """
    caller = caller_of(incoming)
    if caller.paused or not await process.ledger.is_current(
        incoming.call_id, organization_id=caller.organization_id, agent_id=caller.agent_id,
        organization_version=caller.organization_version, agent_version=caller.agent_version,
    ):  # fmt: skip
        caller = incoming.caller = await process.keys.reloaded(incoming.claim, caller)
    return caller
