"""A random walk through budgets, edits, windows and clocks, with the two promises checked at every step.

Never over: right after an admission, spent + held is within the limit of every hard budget of the call. Exact: every
balance has spent what the calls of its window cost and holds what its open calls hold, counted here in plain Python.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import time_machine

from accounts.ids import uuid7
from accounts.models import User
from agents import budgets, corrections
from agents.budget_terms import BadBudget, BudgetTerms
from agents.ledger import Ask, BudgetRefused, CallEnd, CallStart, Reservation
from agents.ledger.batcher import Batcher
from agents.ledger.connection import conninfo_of_django
from agents.ledger.wire import ending_row, start_row
from agents.models import Budget
from agents.subjects import Subjects, subject_of
from agents.windows import window_of
from tests.agents.ledger_house import House, in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
# Just before clocks change in Berlin, New York and Lord Howe.
STARTS = (
    datetime(2026, 3, 28, 20, tzinfo=UTC),
    datetime(2026, 10, 31, 3, tzinfo=UTC),
    datetime(2026, 4, 4, 12, tzinfo=UTC),
)
KINDS = (
    ("organization", False), ("user", False), ("session", False), ("agent", True), ("session", True), ("model", True),
    ("agent_user", True), ("sub_agent", True),
)  # fmt: skip
LIMITS = {"usd": (0, 5, 40, 200), "tokens": (0, 50, 400), "calls": (1, 4, 15)}
BUDGETS_MAX = 9
CHECK_EVERY = 25

CLOCK = """
CREATE OR REPLACE FUNCTION ledger_clock() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS
$$ BEGIN RETURN clock_timestamp() + (SELECT step FROM walk_clock); END $$
"""
REAL_CLOCK = (
    "CREATE OR REPLACE FUNCTION ledger_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()'"
)


@dataclass
class Seen:
    """One call as the walk knows it."""

    ask: Ask
    subjects: Subjects
    reserved_at: datetime
    state: str = "running"
    usd: int = 0
    tokens: int = 0
    counted: int = 0
    basis: str = ""


@dataclass
class Walk:
    """One organisation with two agents; `run` takes the steps."""

    house: House
    random: Random
    calls: dict[UUID, Seen] = field(default_factory=dict)
    refused_count: int = 0
    admitted_count: int = 0

    async def run(self, steps: int) -> None:
        """Take the steps; asserts the promises on the way."""
        await in_thread(self.begin)
        self.batcher = Batcher(conninfo_of_django(), uuid4(), bury=lambda _: None)
        flushing = asyncio.create_task(self.batcher.run())
        moves = [
            (self.reserve, 40), (self.end, 30), (self.expire, 2), (self.pass_time, 10), (self.add_budget, 5),
            (self.edit, 5), (self.end_budget, 4), (self.top_up, 2), (self.reset, 1), (self.correct, 2), (self.purge, 1),
            (self.end_late, 1),
        ]  # fmt: skip
        names, weights = zip(*moves, strict=True)
        try:
            for step in range(steps):
                move = self.random.choices(names, weights)[0]
                await move()
                if step % CHECK_EVERY == 0:
                    self.check_sums()
            self.check_sums()
        finally:
            flushing.cancel()
            await self.batcher.close()

    def begin(self) -> None:
        zone = self.random.choice(ZONES)
        self.house.sql("UPDATE organization SET time_zone = %s", zone)
        self.zone = zone
        self.admin = User.objects.create_user(f"walk-{uuid4()}@acme.example", "x")
        second = budgets.create_agent(self.house.organization, "Second", daily_limit_pico=60, by=None)
        self.agents = [self.house.agent, second]
        self.begun_at = self.now()

    # Moves

    async def reserve(self) -> None:
        """One ask, or several at once; of random subjects, sometimes with a limit of its own."""
        asks = [self.an_ask() for _ in range(self.random.choice((1, 1, 1, 4)))]
        answers = await asyncio.gather(*(self.ask(ask) for ask, _ in asks), return_exceptions=True)
        for (ask, subjects), answer in zip(asks, answers, strict=True):
            if isinstance(answer, Reservation):
                self.admitted_count += 1
                self.calls[ask.call_id] = Seen(ask, subjects, answer.reserved_at)
            else:
                assert isinstance(answer, BudgetRefused), repr(answer)
                self.refused_count += 1
        for (ask, _), answer in zip(asks, answers, strict=True):
            if isinstance(answer, Reservation):
                self.check_limits(ask)

    async def ask(self, ask: Ask) -> Reservation:
        return await self.batcher.ask(ask, start_row(ask.start))

    def an_ask(self) -> tuple[Ask, Subjects]:
        agent = self.random.choice(self.agents)
        subjects = Subjects(
            model=self.random.choice(("gpt-a", "gpt-b")),
            session=self.random.choice(("-", "s1", "s2", "s3")),
            user=self.random.choice(("-", "u1", "u2")),
            sub_agent=self.random.choice(("", "writer")),
        )
        live = self.live_budgets()
        named = [(one, subject_of(one, subjects)) for one in live if one.agent_id in (None, agent.pk)]
        mine = [(budget, subject) for budget, subject in named if subject is not None]
        caps = tuple(
            (budget.pk, self.random.choice(LIMITS[budget.unit])) for budget, _ in mine if self.random.random() < 0.05
        )
        start = CallStart(
            model=subjects.model,
            session="" if subjects.session == "-" else subjects.session,
            user_subject="" if subjects.user == "-" else subjects.user,
            sub_agent=subjects.sub_agent,
        )
        call_id = uuid7(int(self.now().timestamp() * 1000))
        ask = self.house.ask(
            self.random.choice((0, 1, 2, 7, 30)), agent=agent, tokens=self.random.choice((0, 3, 40)), call_id=call_id,
            budgets=tuple((budget.pk, subject) for budget, subject in mine), caps=caps, start=start,
        )  # fmt: skip
        return ask, subjects

    async def end(self) -> None:
        """Settle or void a running call; seldom above its hold, which is booked in full."""
        running = [seen for seen in self.calls.values() if seen.state == "running"]
        if not running:
            return
        seen = self.random.choice(running)
        status = self.random.choice(("settled", "settled", "settled", "voided"))
        usd = self.random.choice((0, seen.ask.usd_pico // 2, seen.ask.usd_pico))
        tokens = self.random.choice((0, seen.ask.tokens))
        basis = self.random.choice(("usage", "worst_case", "estimated"))
        row = ending_row(seen.ask.call_id, status, CallEnd(cost_pico=usd, tokens=tokens, basis=basis), {})
        assert await self.batcher.end(seen.ask.call_id, row | self.of_start(seen)) == status
        self.ended(seen, status, usd, tokens, basis)

    async def end_late(self) -> None:
        """The true cost of a call that expired comes after all."""
        expired = [seen for seen in self.calls.values() if seen.state == "expired"]
        if not expired:
            return
        seen = self.random.choice(expired)
        row = ending_row(seen.ask.call_id, "settled", CallEnd(cost_pico=1, tokens=1), {}) | self.of_start(seen)
        assert await self.batcher.end(seen.ask.call_id, row) == "corrected"
        self.ended(seen, "settled", 1, 1, "usage")

    @staticmethod
    def of_start(seen: Seen) -> dict[str, Any]:
        return start_row(seen.ask.start)

    @staticmethod
    def ended(seen: Seen, status: str, usd: int, tokens: int, basis: str) -> None:
        charged = status != "voided"
        seen.state, seen.basis = status, basis
        seen.usd, seen.tokens, seen.counted = (usd, tokens, 1) if charged else (0, 0, 0)

    async def expire(self) -> None:
        """Whoever held what is past its deadline has died."""
        [(expired, _)] = self.house.sql("SELECT expired, suspicious FROM ledger_expire(false, 100, interval '1 hour')")
        for call_id in expired:
            seen = self.calls[call_id]
            self.ended(seen, "expired", seen.ask.usd_pico, seen.ask.tokens, "worst_case")

    async def pass_time(self) -> None:
        """Seconds, hours or a day."""
        step = self.random.choice((1, 600, 1800, 3600, 3 * 3600, 9 * 3600, 25 * 3600))
        self.house.sql("UPDATE walk_clock SET step = step + make_interval(secs => %s)", float(step))
        self.house.sql("SELECT ensure_partitions(2, 3)")

    async def add_budget(self) -> None:
        """Any kind; one that exists already says so."""
        if len(self.live_budgets()) >= BUDGETS_MAX:
            return
        scope, within = self.random.choice(KINDS)
        unit = self.random.choice(("usd", "usd", "tokens", "calls"))
        windows = ("day", "week", "month", "rolling_24h", "total") + (("session",) if scope == "session" else ())
        names = {"model": "gpt-a", "session": "s1", "user": "u1", "agent_user": "u2", "sub_agent": "writer"}
        terms = BudgetTerms(
            scope=scope, unit=unit, window=self.random.choice(windows), limit=self.random.choice(LIMITS[unit]),
            mode=self.random.choice(("hard", "hard", "hard", "soft")),
            scope_name=names.get(scope, "") if self.random.random() < 0.2 else "",
        )  # fmt: skip
        agent = self.random.choice(self.agents) if within else None
        try:
            # Python dates it, and by the real year, which may lie before the walk's, it would have no past to count.
            with time_machine.travel(self.now()):
                await in_thread(budgets.create_budget, self.house.organization, agent, terms, None)
        except BadBudget as error:
            assert error.field == "window", error  # noqa: PT017 (there is one already)

    async def edit(self) -> None:
        """Another limit, none, or another mode."""
        budget = self.random.choice(self.live_budgets())
        limit = self.random.choice((None, *LIMITS[budget.unit]))
        await in_thread(budgets.set_limit, budget, limit, None)
        mode = self.random.choice(("hard", "hard", "soft"))
        await in_thread(budgets.change_terms, budget, mode=mode, thresholds=(50, 100), by=None)

    async def end_budget(self) -> None:
        """A budget goes; the organisation's meter stays."""
        mortal = [b for b in self.live_budgets() if (b.scope, b.unit, b.window) != ("organization", "usd", "day")]
        if len(mortal) > 3:
            await in_thread(budgets.end_budget, self.random.choice(mortal), None)

    async def top_up(self) -> None:
        """More for one window."""
        plain = [b for b in self.live_budgets() if b.scope in ("organization", "agent") and b.limit is not None]
        if plain:
            await in_thread(budgets.top_up, self.random.choice(plain), 10, None)

    async def reset(self) -> None:
        """A session begins anew."""
        agent = self.random.choice(self.agents)
        self.house.sql("SELECT ledger_reset_session(%s, %s, false)", agent.pk, self.random.choice(("s1", "s2")))

    async def correct(self) -> None:
        """An admin says what a worst case really cost."""
        open_ones = [
            seen for seen in self.calls.values()
            if seen.state in ("settled", "expired") and seen.basis in ("worst_case", "estimated")
        ]  # fmt: skip
        if open_ones:
            seen = self.random.choice(open_ones)
            cost = self.random.choice((0, 1, 9))
            arguments = (self.house.organization, seen.ask.call_id, cost, "invoice", self.admin)
            await in_thread(corrections.correct, *arguments)
            seen.usd, seen.state = cost, "amended"

    async def purge(self) -> None:
        """Whatever is forgotten comes back as the book says."""
        self.house.sql("SELECT ledger_purge(50)")

    # What must hold

    def now(self) -> datetime:
        [(now,)] = self.house.sql("SELECT ledger_clock()")
        assert isinstance(now, datetime)
        return now

    def live_budgets(self) -> list[Budget]:
        rows = self.house.sql(
            'SELECT id, agent_id, scope, scope_name, unit, "window", mode, "limit", organization_id FROM budget'
            " WHERE organization_id = %s AND ended_at IS NULL ORDER BY id", self.house.organization.pk,
        )  # fmt: skip
        names = ("id", "agent_id", "scope", "scope_name", "unit", "window", "mode", "limit", "organization_id")
        return [Budget(**dict(zip(names, row, strict=True))) for row in rows]

    def check_limits(self, ask: Ask) -> None:
        caps = dict(ask.caps)
        rows = self.house.sql(
            'SELECT b.id, b.mode, b."limit" + l.extra, l.held,'
            " CASE WHEN b.\"window\" = 'rolling_24h' THEN r.spent ELSE l.spent END"
            " FROM reservation v, unnest(v.balance_ids) AS x JOIN balance l ON l.id = x"
            " JOIN budget b ON b.id = l.budget_id"
            " CROSS JOIN LATERAL ledger_rolling(l.id, v.reserved_at) r WHERE v.call_id = %s",
            ask.call_id,
        )
        assert len(rows) >= len(ask.budgets)
        for budget_id, mode, limit, held, spent in rows:
            if mode == "hard" and limit is not None:
                assert spent + held <= limit, f"budget {budget_id}: {spent} + {held} > {limit}"
            if budget_id in caps and len([one for one in self.calls.values() if one.state == "running"]) == 1:
                assert spent + held <= caps[budget_id]

    def check_sums(self) -> None:
        rows = self.house.sql(
            "SELECT l.id, l.budget_id, l.subject, l.window_start, l.window_end, l.spent, l.held FROM balance l"
            " JOIN budget b ON b.id = l.budget_id"
            " WHERE b.organization_id = %s AND b.ended_at IS NULL AND NOT l.practice",
            self.house.organization.pk,
        )
        live = {budget.pk: budget for budget in self.live_budgets()}
        for balance_id, budget_id, subject, start, end, spent, held in rows:
            budget = live[budget_id]
            mine = [seen for seen in self.calls.values() if self.counts(seen, budget, subject, start, end)]
            if budget.window == "rolling_24h":
                self.check_rolling(balance_id, budget, mine)
            else:
                expected = sum(self.amount(seen, budget.unit) for seen in mine)
                assert spent == expected, (budget, budget_id, balance_id, subject, start, end, spent, expected)
                self.check_window(budget, start, end)
            expected = sum(self.held(seen, budget.unit) for seen in mine)
            assert held == expected, (budget, budget_id, balance_id, subject, start, end, held, expected)

    def check_rolling(self, balance_id: int, budget: Budget, mine: list[Seen]) -> None:
        now = self.now()
        [(spent, _)] = self.house.sql("SELECT * FROM ledger_rolling(%s, %s)", balance_id, now)
        counted = [seen for seen in mine if _hour(seen.reserved_at) > now - timedelta(hours=25)]
        assert spent == sum(self.amount(seen, budget.unit) for seen in counted), budget

    def check_window(self, budget: Budget, start: datetime, end: datetime | None) -> None:
        if budget.window in ("day", "week", "month"):
            span = window_of(budget.window, self.zone, start)
            assert (span.start, span.end) == (start, end)

    def counts(self, seen: Seen, budget: Budget, subject: str, start: datetime, end: datetime | None) -> bool:
        if budget.agent_id not in (None, seen.ask.agent_id):
            return False
        is_about = subject_of(budget, seen.subjects) == subject
        return is_about and start <= seen.reserved_at and (end is None or seen.reserved_at < end)

    @staticmethod
    def amount(seen: Seen, unit: str) -> int:
        return {"usd": seen.usd, "tokens": seen.tokens, "calls": seen.counted}[unit]

    @staticmethod
    def held(seen: Seen, unit: str) -> int:
        if seen.state != "running":
            return 0
        return {"usd": seen.ask.usd_pico, "tokens": seen.ask.tokens, "calls": 1}[unit]


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


@contextmanager
def movable_clock(house: House, random: Random) -> Iterator[None]:
    """Let the ledger live in another year, and as fast as the walk likes."""
    begins_at = random.choice(STARTS)
    house.sql("DROP TABLE IF EXISTS walk_clock")  # a walk that a fault ended may not have come so far
    house.sql("CREATE TABLE walk_clock (step interval)")
    try:
        house.sql("INSERT INTO walk_clock SELECT %s - clock_timestamp()", begins_at)
        house.sql(CLOCK)
        # What the house made lies in the present: the walk begins with nothing.
        house.sql("DELETE FROM balance")
        house.sql("UPDATE budget SET created_at = ledger_clock()")
        house.sql("SELECT ensure_partitions(2, 3)")
        yield
    finally:
        house.sql(REAL_CLOCK)
        house.sql("DROP TABLE walk_clock")


async def walk(house: House, seed: int, steps: int) -> Walk:
    """Walk; the seed makes the same choices again."""
    random = Random(seed)
    taken = Walk(house, random)
    with movable_clock(house, random):
        await taken.run(steps)
    return taken
