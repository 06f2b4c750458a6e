"""Budgets in words: every combination that can be made has a sentence of its own."""

import itertools

import pytest

from agents.budget_terms import BadBudget, BudgetTerms
from agents.budget_words import amount, phrase, summary
from agents.models import Mode, Scope, Unit, Window
from agents.money import PICO_PER_USD as USD

LIMITS = {Unit.USD: 2 * USD, Unit.TOKENS: 12_000, Unit.CALLS: 40}


def terms(scope: str, window: str, *, unit: str = Unit.USD, name: str = "", **more: object) -> BudgetTerms:
    values = {"mode": Mode.HARD, "limit": LIMITS[Unit(unit)]} | more
    return BudgetTerms(scope=scope, window=window, unit=unit, scope_name=name, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scope", "window", "name", "says"),
    [
        ("organization", "day", "", "at most $2.00 a day"),
        ("organization", "total", "", "at most $2.00 in all"),
        ("agent", "day", "", "at most $2.00 a day"),
        ("agent", "week", "", "at most $2.00 a week"),
        ("agent", "month", "", "at most $2.00 a month"),
        ("agent", "rolling_24h", "", "at most $2.00 in any 24 hours"),
        ("agent", "total", "", "at most $2.00 in all"),
        ("session", "session", "", "at most $2.00 per session"),
        ("session", "session", "run-7", "at most $2.00 for the session run-7"),
        ("session", "day", "", "at most $2.00 per session and day"),
        ("session", "day", "run-7", "at most $2.00 a day for the session run-7"),
        ("session", "total", "", "at most $2.00 per session in all"),
        ("user", "month", "", "at most $2.00 per user and month"),
        ("agent_user", "day", "", "at most $2.00 per user and day"),
        ("agent_user", "rolling_24h", "", "at most $2.00 per user in any 24 hours"),
        ("agent_user", "week", "u-1", "at most $2.00 a week for the user u-1"),
        ("model", "day", "", "at most $2.00 per model and day"),
        ("model", "total", "gpt-4o", "at most $2.00 in all for the model gpt-4o"),
        ("sub_agent", "week", "", "at most $2.00 per sub-agent and week"),
        ("sub_agent", "rolling_24h", "writer", "at most $2.00 in any 24 hours for the sub-agent writer"),
    ],
)
def test_scope_and_window_are_said_plainly(scope: str, window: str, name: str, says: str) -> None:
    assert summary(terms(scope, window, name=name)) == says


@pytest.mark.parametrize(
    ("unit", "mode", "limit", "says"),
    [
        ("usd", "hard", 5 * USD, "at most $5.00 a day"),
        ("usd", "hard", USD // 8, "at most $0.125 a day"),
        ("usd", "hard", 1, "at most $0.000000000001 a day"),
        ("usd", "hard", 1_234_567 * USD, "at most $1,234,567.00 a day"),
        ("usd", "hard", 0, "at most $0.00 a day: nothing paid passes"),
        ("usd", "hard", None, "unlimited dollars a day, only counted"),
        ("usd", "soft", None, "unlimited dollars a day, only counted"),
        ("usd", "soft", 5 * USD, "an alert at $5.00 a day, nothing is refused"),
        ("usd", "soft", 0, "an alert at $0.00 a day, nothing is refused"),
        ("tokens", "hard", 1, "at most 1 token a day"),
        ("tokens", "hard", 1_000_000, "at most 1,000,000 tokens a day"),
        ("calls", "hard", 0, "at most 0 calls a day: nothing passes"),
        ("calls", "soft", 1, "an alert at 1 call a day, nothing is refused"),
        ("calls", "hard", None, "unlimited calls a day, only counted"),
    ],
)
def test_unit_mode_and_limit_are_said_plainly(unit: str, mode: str, limit: int | None, says: str) -> None:
    assert summary(terms("agent", "day", unit=unit, mode=mode, limit=limit)) == says


def test_two_units_of_one_window_are_one_sentence() -> None:
    def session(unit: str, **more: object) -> BudgetTerms:
        return terms("session", "session", unit=unit, **more)

    assert summary(session("usd"), session("calls")) == "at most $2.00 and 40 calls per session"
    free = summary(session("usd", limit=0), session("calls"))
    assert free == "at most $0.00 and 40 calls per session: nothing paid passes"
    none = summary(session("usd", limit=0), session("calls", limit=0))
    assert none == "at most $0.00 and 0 calls per session: nothing passes"
    counted = summary(session("usd", limit=None), session("calls", limit=None))
    assert counted == "unlimited dollars and calls per session, only counted"


@pytest.mark.parametrize("within_agent", [True, False])
def test_every_budget_that_can_be_made_has_a_sentence_of_its_own(within_agent: bool) -> None:
    said: dict[str, BudgetTerms] = {}
    for scope, unit, window, mode, name, limit in itertools.product(
        Scope.values, LIMITS, Window.values, Mode.values, ("", "x"), (0, None, 7)
    ):
        made = terms(scope, window, unit=unit, mode=mode, name=name, limit=limit)
        try:
            made.check(within_agent=within_agent)
        except BadBudget:
            continue
        if limit is None and mode == Mode.SOFT:
            continue  # without a limit both modes do the same, and say so
        sentence = summary(made)
        assert sentence not in said, (said.get(sentence), made)
        assert "  " not in sentence
        assert sentence == sentence.strip()
        said[sentence] = made
    assert len(said) > 100


def test_a_limit_stands_within_a_sentence_too() -> None:
    assert phrase(terms("organization", "month", limit=100 * USD)) == "$100.00 a month"
    assert amount("usd", 487 * USD // 100) == "$4.87"
    assert (amount("calls", 1), amount("tokens", 0), amount("parallel", 1), amount("parallel", 3)) == (
        "1 call", "0 tokens", "1 call at a time", "3 calls at a time",
    )  # fmt: skip
