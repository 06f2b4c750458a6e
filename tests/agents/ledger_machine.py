"""F3: a state machine that does to the real ledger and to the model whatever may happen, in any order."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from agents import budgets
from agents.ledger import AlreadyEnded, BudgetRefused, CallEnd, Ledger, LedgerError, Reservation
from agents.ledger.connection import conninfo_of_django
from tests.agents.ledger_house import House
from tests.agents.ledger_model import Model, ModelBudget, State
from tests.faults.tcp_proxy import TcpProxy

AMOUNTS = st.sampled_from([0, 1, 2, 3, 5, 8, 20, 60])
COSTS = st.sampled_from([0, 1, 3, 8, 25])
LOSE = st.sampled_from([False, False, False, True])
WAIT_SECONDS = 10
# Steps between two disasters that end every running call: else hardly one would live to be settled.
CALM_STEPS = 8
SWEEPS_MAX = 50


class LedgerMachine(RuleBasedStateMachine):
    """Two agents of one organisation: dollars for each, tokens and calls for the first, practice beside them."""

    calls = Bundle("calls")

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.house = house = House(limit=50)
        self.model = Model()
        self.calm_count = 0
        second = budgets.create_agent(house.organization, "Second", daily_limit_pico=30, by=None)
        tokens = house.new_budget(unit="tokens", window="month", limit=600)
        numbers = house.new_budget(unit="calls", window="total", limit=12)
        self.rows = {"meter": house.meter, "first": house.budget, "tokens": tokens, "numbers": numbers}
        self.rows["second"] = second.budgets.get()
        self.budgets = {
            "meter": ModelBudget("usd", None, True),
            "first": ModelBudget("usd", 50, True),
            "second": ModelBudget("usd", 30, True),
            "tokens": ModelBudget("tokens", 600, True),
            "numbers": ModelBudget("calls", 12, False),
            "practice meter": ModelBudget("usd", None, True),
            "practice first": ModelBudget("usd", 50, True),
        }
        self.agents = {
            "first": (house.agent, ["meter", "first", "tokens", "numbers"]),
            "second": (second, ["meter", "second"]),
            "practice": (house.agent, ["practice meter", "practice first"]),
        }
        self.proxy = TcpProxy(conninfo_of_django())
        self.dsn = self.loop.run_until_complete(self.proxy.start())
        self.ledger = self.new_ledger()

    def new_ledger(self) -> Ledger:
        ledger = Ledger(self.dsn)
        self.loop.run_until_complete(ledger.start())
        return ledger

    def run(self, *awaitables: Any) -> list[Any]:
        """Run these at once, and until the ledger has nothing left to do."""

        self.calm_count += 1

        async def work() -> list[Any]:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.gather(*awaitables, return_exceptions=True)

        return self.loop.run_until_complete(work())

    def ask(self, who: str, usd: int, tokens: int, **fields: Any) -> Any:
        agent, names = self.agents[who]
        named = tuple((self.rows[name.removeprefix("practice ")].pk, "") for name in names)
        return self.house.ask(usd, agent=agent, tokens=tokens, budgets=named, practice=who == "practice", **fields)

    def expect(self, who: str, ask: Any, answer: Any) -> None:
        """Compare one answer with the model and let the model follow."""
        names = self.agents[who][1]
        mine = [self.budgets[name] for name in names]
        refusing = self.model.refusing(mine, ask.usd_pico, ask.tokens)
        if not refusing:
            assert isinstance(answer, Reservation), f"admitted by the model, {answer!r}"
            self.model.reserve(ask.call_id, mine, ask.usd_pico, ask.tokens)
            return
        assert isinstance(answer, BudgetRefused), f"refused by the model, {answer!r}"
        rows = {self.rows[name.removeprefix("practice ")].pk: budget for name, budget in zip(names, mine, strict=True)}
        facts = answer.facts
        named = rows[facts.budget_id]
        assert named in refusing, f"the refusal names {named}, the model {refusing}"
        assert (facts.limit, facts.spent, facts.held) == (named.limit, named.current.spent, named.current.held)

    # What may happen

    @rule(
        target=calls,
        who=st.sampled_from(["first", "second", "practice"]),
        usd=AMOUNTS,
        tokens=AMOUNTS,
        lose=LOSE,
    )
    def reserve(self, who: str, usd: int, tokens: int, lose: bool) -> Any:
        ask = self.ask(who, usd, tokens)
        self.lose_next(lose)
        [answer] = self.run(self.ledger.reserve(ask))
        self.expect(who, ask, answer)
        return (who, ask)

    @rule(wishes=st.lists(st.tuples(st.sampled_from(["first", "second"]), AMOUNTS), min_size=2, max_size=6))
    def reserve_at_once(self, wishes: list[tuple[str, int]]) -> None:
        asks = [(who, self.ask(who, usd, 7)) for who, usd in wishes]
        answers = self.run(*(self.ledger.reserve(ask) for _, ask in asks))
        for (who, ask), answer in zip(asks, answers, strict=True):
            self.expect(who, ask, answer)

    @rule(call=calls)
    def reserve_again(self, call: Any) -> None:
        who, ask = call
        agent_version, organization_version = self.house.versions(self.agents[who][0])
        # With a fresh view, as a proxy asks again after it was told that its own is stale.
        ask = replace(ask, agent_version=agent_version, organization_version=organization_version)
        known = self.model.calls.get(ask.call_id)
        [answer] = self.run(self.ledger.reserve(ask))
        if known is None:
            self.expect(who, ask, answer)
        elif known.state is State.RESERVED and self.is_mine(ask.call_id):
            assert isinstance(answer, Reservation), repr(answer)
        elif known.state is State.RESERVED:
            assert isinstance(answer, AlreadyEnded), repr(answer)
        else:
            assert isinstance(answer, AlreadyEnded | BudgetRefused), repr(answer)

    def is_mine(self, call_id: Any) -> bool:
        query = "SELECT owner = %s FROM reservation WHERE call_id = %s"
        return self.house.sql(query, self.ledger.owner, call_id) == [(True,)]

    @rule(call=calls, cost=COSTS, tokens=COSTS, lose=LOSE, status=st.sampled_from(["settled", "voided"]))
    def end(self, call: Any, cost: int, tokens: int, lose: bool, status: str) -> None:
        _, ask = call
        self.lose_next(lose)
        ending = self.ledger.settle if status == "settled" else self.ledger.void

        async def send() -> str:
            return await ending(ask.call_id, CallEnd(cost_pico=cost, tokens=tokens))

        [outcome] = self.run(send())
        expected = self.model.end(ask.call_id, status, cost, tokens)
        # After a lost answer the ledger learns that it had been said before.
        assert outcome == expected or (lose and outcome == "same" and expected not in ("conflict", "unknown"))

    @rule(call=consumes(calls), cost=COSTS)
    def end_twice_at_once(self, call: Any, cost: int) -> None:
        _, ask = call

        async def send(amount: int) -> str:
            return await self.ledger.settle(ask.call_id, CallEnd(cost_pico=amount))

        outcomes = self.run(send(cost), send(cost + 1))
        assert outcomes == [self.model.end(ask.call_id, "settled", amount, 0) for amount in (cost, cost + 1)]

    @rule(
        who=st.sampled_from(["first", "second"]),
        usd=AMOUNTS,
        cost=COSTS,
        wishes=st.lists(AMOUNTS, min_size=1, max_size=6),
    )
    def end_and_reserve_at_once(self, who: str, usd: int, cost: int, wishes: list[int]) -> None:
        """All travel in one flush: what the ending gives back is there for the asks, and what it cost is not."""
        first = self.ask(who, usd, 7)
        [answer] = self.run(self.ledger.reserve(first))
        self.expect(who, first, answer)
        if not isinstance(answer, Reservation):
            return
        asks = [self.ask(who, wish, 7) for wish in wishes]

        async def send() -> str:
            return await self.ledger.settle(first.call_id, CallEnd(cost_pico=cost))

        outcome, *answers = self.run(send(), *(self.ledger.reserve(ask) for ask in asks))
        assert outcome == self.model.end(first.call_id, "settled", cost, 0)
        for ask, answer in zip(asks, answers, strict=True):
            self.expect(who, ask, answer)

    @rule(who=st.sampled_from(["first", "second", "practice"]), usd=st.sampled_from([0, 1, 2]))
    def end_and_ask_again(self, who: str, usd: int) -> None:
        """What has ended cannot be held a second time, whatever room there is."""
        ask = self.ask(who, usd, 0)
        [answer] = self.run(self.ledger.reserve(ask))
        self.expect(who, ask, answer)
        if not isinstance(answer, Reservation):
            return

        async def send() -> str:
            return await self.ledger.settle(ask.call_id, CallEnd(cost_pico=usd))

        outcome, again = self.run(send()) + self.run(self.ledger.reserve(ask))
        assert outcome == self.model.end(ask.call_id, "settled", usd, 0)
        assert isinstance(again, AlreadyEnded | BudgetRefused), repr(again)

    @rule(who=st.sampled_from(["first", "second"]), usd=AMOUNTS)
    def leave_while_the_answer_is_lost(self, who: str, usd: int) -> None:
        """The caller goes away and the answer never comes: whatever happened, nothing may stay held."""
        ask = self.ask(who, usd, 1)
        self.lose_next(True)

        async def leave() -> None:
            task = asyncio.create_task(self.ledger.reserve(ask))
            await asyncio.sleep(0.002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.ledger.drain()

        self.run(leave())
        self.proxy.lose_answer = lambda: False
        self.settle_down()

    @precondition(lambda self: self.calm_count >= CALM_STEPS)
    @rule()
    def die_and_start_again(self) -> None:
        """The process is gone with all that it knew; its holds expire at their ceilings."""
        self.calm_count = 0
        died = self.ledger
        self.abandon(died)
        self.ledger = self.new_ledger()
        self.reap("UPDATE owner_lease SET expires_at = '-infinity' WHERE owner = %s", died.owner)
        for call_id in self.model.open_ids():
            self.model.expire(call_id)

    @precondition(lambda self: self.calm_count >= CALM_STEPS)
    @rule()
    def deadlines_pass_while_the_lease_is_lost(self) -> None:
        self.calm_count = 0
        self.house.sql("UPDATE reservation SET deadline_at = now() - interval '1 s'")
        self.reap("UPDATE owner_lease SET expires_at = now() - interval '1 s'")
        for call_id in self.model.open_ids():
            self.model.expire(call_id)

    @rule(name=st.sampled_from(["first", "second", "tokens", "numbers"]), limit=st.sampled_from([0, 10, 40, 100, None]))
    def edit(self, name: str, limit: int | None) -> None:
        budgets.set_limit(self.rows[name], limit, None)
        self.budgets[name].limit = limit
        if name == "first":
            self.budgets["practice first"].limit = limit

    @rule()
    def windows_end(self) -> None:
        self.house.sql(
            # Now and not a moment ago: the next window begins where this one ends, and calls belong to one alone.
            "UPDATE balance SET window_end = now() WHERE window_end > now()"
            " AND budget_id IN (SELECT id FROM budget WHERE organization_id = %s)",
            self.house.organization.pk,
        )
        for budget in self.budgets.values():
            budget.turn()

    # What must hold

    @invariant()
    def balances_agree(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for name, budget in self.budgets.items():
            row = self.rows[name.removeprefix("practice ")]
            every = [budget.current, *budget.past]
            expected = sum(one.spent for one in every), sum(one.held for one in every)
            actual = self.house.amounts(row, practice=name.startswith("practice"))
            assert actual == expected, f"{name}: spent and held are {actual}, the model has {expected}"

    @invariant()
    def the_book_agrees(self) -> None:
        if not hasattr(self, "ledger"):
            return
        rows = self.house.sql(
            "SELECT call_id, sum(cost_pico), sum(tokens), sum(counted) FROM call WHERE organization_id = %s GROUP BY 1",
            self.house.organization.pk,
        )
        booked = {row[0]: tuple(map(int, row[1:])) for row in rows}
        expected = {
            call_id: (call.cost, call.used_tokens, call.counted)
            for call_id, call in self.model.calls.items()
            if call.state is not State.RESERVED
        }
        # Beside the model's calls there may be asks that were withdrawn, at nothing.
        assert {key: value for key, value in booked.items() if key in expected} == expected
        assert all(value == (0, 0, 0) for key, value in booked.items() if key not in expected)
        held = self.house.sql("SELECT call_id FROM reservation WHERE organization_id = %s", self.house.organization.pk)
        assert {row[0] for row in held} == set(self.model.open_ids())

    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        self.run(self.ledger.stop(grace_seconds=2))
        self.loop.run_until_complete(self.proxy.stop())
        self.loop.run_until_complete(self._end_tasks())
        self.house.connection.close()
        self.loop.close()

    async def _end_tasks(self) -> None:
        """Let what still runs end, connections that were on their way included: none may outlive the loop."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        gc.collect()  # nobody holds a connection that was made for a cancelled task
        await asyncio.sleep(0)

    # Tools

    def lose_next(self, lose: bool) -> None:
        def once() -> bool:
            self.proxy.lose_answer = lambda: False
            return lose

        self.proxy.lose_answer = once

    def abandon(self, ledger: Ledger) -> None:
        """End a ledger as a kill would: nothing is sent any more."""

        async def kill() -> None:
            for task in ledger._tasks:
                task.cancel()
            await asyncio.gather(*ledger._tasks, return_exceptions=True)
            for part in (ledger.batcher, ledger.upkeep):
                await part.close()

        self.run(kill())

    def reap(self, lease_ends: str, *values: Any) -> None:
        """Let a lease end and expire what was held under it.

        More than one sweep where a flush whose connection was lost still has a hold's lock at the server, or where the
        ledger has renewed its lease meanwhile: both are left alone, and are found the next time.
        """
        for _ in range(SWEEPS_MAX):
            self.house.sql(lease_ends, *values)
            [expired] = self.run(self.ledger.upkeep.reap(is_cautious=False))
            assert not isinstance(expired, BaseException), repr(expired)
            query = "SELECT count(*) FROM reservation WHERE organization_id = %s"
            if self.house.sql(query, self.house.organization.pk) == [(0,)]:
                return

    def settle_down(self) -> None:
        """Wait until an ask that nobody waits for is withdrawn or buried."""

        async def wait() -> None:
            known = set(self.model.open_ids())
            query = "SELECT call_id FROM reservation WHERE organization_id = %s"
            while (
                sum(self.ledger.batcher.waiting_count)
                or self.ledger.upkeep._graves
                or {row[0] for row in self.house.sql(query, self.house.organization.pk)} != known
            ):
                await asyncio.sleep(0.005)

        [result] = self.run(wait())
        assert result is None or not isinstance(result, LedgerError | TimeoutError), repr(result)
