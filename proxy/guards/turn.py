"""One call before the guards: what it took, given back where it is refused after all, and told of its end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, Self

from agents.models import GuardRule
from proxy.guards import refusals
from proxy.guards.asking import agent_key, ask_of, fitted, minute_of
from proxy.guards.retry_after import asked_wait_ms
from proxy.guards.terms import NEVER_MS, Answer, Ask, Ended, Verdict
from proxy.incoming import ClientGone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from types import TracebackType

    from agents.ledger import BudgetFacts, CallEnd
    from proxy.guards.gate import Gate
    from proxy.guards.stores import Store
    from proxy.planning import Plan

    type Narrow = Callable[[Plan, BudgetFacts], Awaitable[Plan | None]]

TOO_MANY = 429
# The call was cut by us or left by its client: that is no failure of the agent's.
NOT_FAILURES = frozenset({"stopped", "drain_ended", "interrupted"})


class Turn:
    """Made once for each call.

    session: as the client names it, empty where it names none; gone: returns when the client has left.
    """

    def __init__(self, gate: Gate, session: str, gone: Callable[[], Coroutine[None, None, None]]) -> None:
        self._gate = gate
        self._session = session
        self._gone = gone
        self._plan: Plan | None = None
        self._agent = ""
        self._taken: tuple[Store, Ask, Answer] | None = None
        self._waited_ms = 0
        self._held_ms = 0

    async def take(self, plan: Plan, narrow: Narrow) -> Plan:
        """Take what the call needs, waiting for it where the agent's pacing allows.

        narrow: counts the text of a plan that no minute can hold by its bytes. Returns the plan to go on with. Raises
        RateLimited, LoopDetected, or ClientGone where nobody waits any more; then nothing is taken.
        """
        self._agent = agent_key(plan.caller)
        async with self:
            self._check_blocks(plan)
            self._plan = await self._take(fitted(plan), narrow)
        return self._plan

    async def __aenter__(self) -> Self:
        """Begin what must succeed, or what was taken is given back."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            await self._give_back()

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The provider has answered: where it asks to wait, the agent waits."""
        plan = self._plan
        if plan is None or status != TOO_MANY:
            return
        self._held_ms = asked_wait_ms(headers, self._gate.now())
        if self._held_ms:
            self._gate.hold(self._agent, plan.target.provider, self._held_ms)

    def end(self, end: CallEnd) -> None:
        """The call has ended; nobody waits until it is counted."""
        if self._taken is None:
            return
        store, ask, answer = self._taken
        self._taken = None
        if ask.tokens_limit or ask.busy_ms or ask.retries or self._held_ms:
            failed = end.failed and end.reason not in NOT_FAILURES
            ended = Ended(tokens=end.tokens, failed=failed, held_ms=self._held_ms)
            self._gate.behind(store.end(ask, answer, ended))

    def _check_blocks(self, plan: Plan) -> None:
        caller = plan.caller
        if caller.blocked_until is not None and caller.blocked_until > self._gate.now():
            raise refusals.loop(caller, caller.blocked_rule, caller.blocked_until)
        if block := self._gate.block_of(self._agent, caller.agent_version):
            raise refusals.loop(caller, block[1], refusals.until(self._gate.now(), block[0]))

    async def _take(self, plan: Plan, narrow: Narrow) -> Plan:
        gate, provider = self._gate, plan.target.provider
        held_ms = gate.held_ms(self._agent, provider)
        ask = ask_of(plan, self._session, held_ms=held_ms, waited_ms=self._waited_ms)
        if ask is None:
            if held_ms:
                self._tell(plan, GuardRule.HELD_BACK, held_ms, {"provider": provider})
                raise refusals.held_by(plan.caller, provider, held_ms)
            return plan
        store, answer = await gate.take(ask if gate.may_wait else replace(ask, pacing_ms=0))
        if answer.wait_ms == NEVER_MS and not plan.counted and (counted := await narrow(plan, minute_of(ask))):
            return await self._take(fitted(counted), narrow)
        if answer.verdict is not Verdict.TAKEN:
            self._refuse(plan, ask, answer)
        self._taken = store, ask, answer
        if answer.wait_ms:
            await self._wait(answer.wait_ms)
        return plan

    async def _wait(self, ms: int) -> None:
        """Nothing is forwarded for a client that did not wait."""
        self._waited_ms += ms
        leaving = asyncio.create_task(self._gone())
        waiting = asyncio.create_task(self._gate.wait(ms))
        try:
            done, _ = await asyncio.wait({leaving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            waiting.cancel()
        if leaving in done:
            raise ClientGone

    def _refuse(self, plan: Plan, ask: Ask, answer: Answer) -> NoReturn:
        """Raise the refusal, and see to it that what people want to know of is written."""
        if answer.rule:
            self._gate.note_block(ask, answer)
            if answer.verdict is not Verdict.BLOCKED:
                self._tell(plan, GuardRule(answer.rule), answer.wait_ms, _facts_of_loop(plan, answer.verdict))
            raise refusals.loop(plan.caller, answer.rule, refusals.until(self._gate.now(), answer.wait_ms))
        if answer.verdict is Verdict.RETRIES:
            facts: dict[str, object] = {"failed_count": answer.failed_count, "wait_seconds": answer.wait_ms / 1000}
            self._tell(plan, GuardRule.RETRIES, answer.wait_ms, facts, session=self._session)
        elif answer.verdict is Verdict.PROVIDER:
            self._tell(plan, GuardRule.HELD_BACK, answer.wait_ms, {"provider": ask.provider})
        raise refusals.limited(plan.caller, ask, answer)

    def _tell(self, plan: Plan, rule: GuardRule, wait_ms: int, facts: dict[str, object], *, session: str = "") -> None:
        now = self._gate.now()
        until = refusals.until(now, wait_ms)
        self._gate.events.add(plan.caller, rule, session=session, at=now, until=until, facts=facts)

    async def _give_back(self) -> None:
        """Before the refusal is told, so that the next call finds the counters as they were."""
        if self._taken is not None:
            store, ask, answer = self._taken
            self._taken = None
            await asyncio.shield(self._gate.behind(store.give_back(ask, answer)))


def _facts_of_loop(plan: Plan, verdict: Verdict) -> dict[str, object]:
    guards = plan.caller.guards
    if verdict is Verdict.BUSY:
        return {"hours": guards.busy_hours}
    return {"model": plan.priced_model, "count": guards.repeat_count, "minutes": guards.repeat_minutes}
