"""A count over a stretch of time, in buckets of seconds, as this process keeps it; lua/windows.lua is alike. Pure."""

from bisect import bisect_left

MINUTE_SECONDS = 60


class Window:
    """Counts by second, oldest first."""

    __slots__ = ("_counts", "_seconds")

    def __init__(self) -> None:
        self._seconds: list[int] = []
        self._counts: list[int] = []

    def total_from(self, second: int) -> int:
        """Forget what is older than a second and sum the rest."""
        first = bisect_left(self._seconds, second)
        del self._seconds[:first], self._counts[:first]
        return sum(self._counts)

    def add(self, second: int, count: int) -> None:
        """Count at a second; never below zero."""
        at = bisect_left(self._seconds, second)
        if at < len(self._seconds) and self._seconds[at] == second:
            self._counts[at] = max(0, self._counts[at] + count)
        elif count > 0:
            self._seconds.insert(at, second)
            self._counts.insert(at, count)

    def fits_at(self, more: int, limit: int, now_second: int) -> int:
        """The first second at which `more`, itself within the limit, fits into a minute.

        The first second of a minute counts whole, so that no sixty seconds ever hold more than the limit.
        """
        left, at = self.total_from(minute_from(now_second)), now_second
        for second, count in zip(self._seconds, self._counts, strict=True):
            if left + more <= limit:
                break
            left, at = left - count, second + MINUTE_SECONDS + 1
        return at


def minute_from(second: int) -> int:
    """The first second of the minute that ends with this one."""
    return second - MINUTE_SECONDS
