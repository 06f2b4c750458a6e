"""Which threshold of a budget to tell: the highest that is reached, and only above what was told before. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

REFUSAL_COUNTS_PERCENT = 80  # from this share on, a refused call means that the budget is used up


@dataclass(frozen=True, slots=True)
class Told:
    """A threshold that was told before in this window: the percentage, and the limit and spent of that time."""

    threshold: int
    limit: int
    spent: int


def reached(spent: int, limit: int, thresholds: Iterable[int]) -> int:
    """Return the highest threshold that is reached, in percent; 0 when none is.

    spent, limit: in the budget's unit. Nothing can be spent of a limit of 0, so it reaches nothing.
    """
    if limit <= 0:
        return 0
    return max((threshold for threshold in thresholds if spent * 100 >= limit * threshold), default=0)


def passed(told: Sequence[Told], limit: int, thresholds: Sequence[int], *, spent_at_raise: int) -> int:
    """Return the threshold up to which nothing is told again, in percent.

    told: what was told in this window, in order of time. After a raise it counts what had been reached of the new
    limit when it was raised (A2); after a lowering, and while the limit stays, it is the last that was told.
    spent_at_raise: what had been spent when the limit was raised; only read after a raise.
    """
    if not told:
        return 0
    last = told[-1]
    if limit > last.limit:
        return reached(max(spent_at_raise, last.spent), limit, thresholds)
    return max(one.threshold for one in told if one.limit == last.limit)


def to_tell(spent: int, limit: int, thresholds: Iterable[int], already_passed: int) -> int:
    """Return the one threshold to tell now, the highest; 0 when there is nothing new."""
    highest = reached(spent, limit, thresholds)
    return highest if highest > already_passed else 0


def refusal_means_used_up(spent: int, limit: int) -> bool:
    """Whether a call refused at this state shows that the budget is used up, rather than that the call was large."""
    return limit > 0 and spent * 100 >= limit * REFUSAL_COUNTS_PERCENT


def share(spent: int, limit: int) -> str:
    """What is spent of a limit, in percent to a tenth: "2.7", "80". Never a whole percent that is not reached yet.

    limit: above 0.
    """
    tenths = (2000 * spent + limit) // (2 * limit)
    if tenths % 10 == 0 and spent * 1000 < limit * tenths:
        tenths -= 1
    whole, tenth = divmod(tenths, 10)
    return f"{whole}.{tenth}" if tenth else str(whole)
