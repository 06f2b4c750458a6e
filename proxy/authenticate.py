"""Who is calling: a claim becomes a Caller, from this process's memory where that is fresh enough.

The memory is keyed by the keyed hash of the whole key and the agent that is named beside it. It may be up to a minute
old: the reserve function compares the policy versions again, so a revoked key or a paused agent is noticed by the very
next call.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection

from agents import budgets
from agents.callers import Caller, caller_for
from agents.created_agents import AgentRejected
from agents.key_text import KeyRejected
from proxy.claims import Claim
from proxy.errors import LedgerAway, Refusal
from proxy.names import Meter
from proxy.rejections import refusal_of

FRESH_SECONDS = 60.0
REJECTION_FRESH_SECONDS = 5.0
LOOSENING_SECONDS = 0.25  # product.md B5: an agent may be allowed, or a key connected, at any time
_LIFTED_BY_PEOPLE = frozenset({"foreign", "ambiguous", "suspended"})  # of KeyRejected; the others are for good
CALLERS_MAX = 20_000
REJECTIONS_MAX = 2_000
BRIDGE_THREADS = 4
LOOK_UP_SECONDS = 2.0
LOOK_UP_ATTEMPTS = 4


class Authenticator:
    """The snapshots of this process and the one bridge to the ORM, with threads of its own."""

    def __init__(self) -> None:
        self._callers: OrderedDict[str, tuple[float, Caller]] = OrderedDict()
        self._rejections: OrderedDict[str, tuple[float, Refusal]] = OrderedDict()
        self._running: dict[str, asyncio.Task[Caller]] = {}
        self._bridge = ThreadPoolExecutor(BRIDGE_THREADS, thread_name_prefix="authenticate")

    async def caller(self, claim: Claim, *, fresh_seconds: float = FRESH_SECONDS) -> Caller:
        """The caller who makes this claim; raises a refusal that says what is wrong with it, or LedgerAway.

        fresh_seconds: how old the snapshot may be; short where no reserve function checks it again.
        """
        digest = claim.digest
        now = time.monotonic()
        known = self._callers.get(digest)
        if known is not None and now < known[0] + fresh_seconds and not _has_expired(known[1]):
            return _with_own_key(known[1], claim)
        rejected = self._rejections.get(digest)
        if rejected is not None and now < rejected[0]:
            raise replace(rejected[1])  # what was raised before holds frames, and they hold the key
        return _with_own_key(await self._look_up(claim, digest), claim)

    async def reloaded(self, claim: Claim, stale: Caller) -> Caller:
        """The caller as the database has it now, after the ledger said that a snapshot is stale.

        All calls that hold the same stale snapshot share one look-up.
        """
        digest = claim.digest
        known = self._callers.get(digest)
        if known is None or _versions(known[1]) == _versions(stale):
            self._callers.pop(digest, None)
            return _with_own_key(await self._look_up(claim, digest), claim)
        return _with_own_key(known[1], claim)

    async def with_meters(self, claim: Claim, caller: Caller, meters: Sequence[Meter]) -> Caller:
        """The caller once budgets exist against which the limits of its calls can be held; raises LedgerAway."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                await loop.run_in_executor(self._bridge, _make_meters, caller.agent_id, meters)
        except (DatabaseError, TimeoutError) as error:
            raise LedgerAway from error
        return await self.reloaded(claim, caller)

    def close(self) -> None:
        """Stop the bridge's threads."""
        self._bridge.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, claim: Claim, digest: str) -> Caller:
        """Ask the database once for all calls that wait for the same key and agent."""
        running = self._running.get(digest)
        if running is None:
            running = asyncio.create_task(self._ask(claim, digest))
            self._running[digest] = running
            running.add_done_callback(lambda done: self._forget(digest, done))
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return await asyncio.shield(running)
        except (KeyRejected, AgentRejected) as error:
            raise refusal_of(error) from error
        except (DatabaseError, TimeoutError) as error:
            raise LedgerAway from error

    async def _ask(self, claim: Claim, digest: str) -> Caller:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        try:
            caller = await loop.run_in_executor(self._bridge, _caller_from_database, claim)
        except (KeyRejected, AgentRejected) as error:
            self._callers.pop(digest, None)
            _remember(
                self._rejections, digest, (time.monotonic() + _fresh_seconds(error), refusal_of(error)), REJECTIONS_MAX
            )
            raise
        self._rejections.pop(digest, None)
        _remember(self._callers, digest, (began, caller), CALLERS_MAX)
        return caller

    def _forget(self, digest: str, done: asyncio.Task[Caller]) -> None:
        if self._running.get(digest) is done:
            del self._running[digest]
        if not done.cancelled():
            done.exception()  # every waiter was told; a task that nobody awaits any more must not complain


def _caller_from_database(claim: Claim) -> Caller:
    """Runs in a thread of the bridge, outside any request, so it looks after its connection itself."""
    for attempt in range(LOOK_UP_ATTEMPTS):
        try:
            return caller_for(claim.key, claim.agent, claim.daily_pico)
        except (OperationalError, InterfaceError):
            # Connections from before a restart of the database fail once each.
            if attempt == LOOK_UP_ATTEMPTS - 1:
                raise
        finally:
            connection.close()
    raise AssertionError("the last attempt returns or raises")


def _with_own_key(caller: Caller, claim: Claim) -> Caller:
    """The provider's key that one call brings is part of no memory."""
    return caller if claim.own_key is None else replace(caller, own_key=claim.own_key)


def _fresh_seconds(rejection: KeyRejected | AgentRejected) -> float:
    """How long a rejection may be repeated from memory."""
    lifted = isinstance(rejection, AgentRejected) or rejection.problem in _LIFTED_BY_PEOPLE
    return LOOSENING_SECONDS if lifted else REJECTION_FRESH_SECONDS


def _versions(caller: Caller) -> tuple[int, int]:
    return caller.organization_version, caller.agent_version


def _make_meters(agent_id: UUID, meters: Sequence[Meter]) -> None:
    try:
        for meter in meters:
            budgets.ensure_meter(agent_id, meter.scope, meter.unit, meter.window)
    finally:
        connection.close()


def _remember[T](memory: OrderedDict[str, T], digest: str, entry: T, entries_max: int) -> None:
    memory[digest] = entry
    memory.move_to_end(digest)
    if len(memory) > entries_max:
        memory.popitem(last=False)


def _has_expired(caller: Caller) -> bool:
    return caller.expires_at is not None and time.time() >= caller.expires_at.timestamp()
