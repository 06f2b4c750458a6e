"""How long a task waits for others: one bound for many short waits, one after the other."""

import asyncio
import math
from types import TracebackType


class Patience:
    """A time-out like asyncio.timeout that can be entered again and again: `with patience: await …`.

    It keeps one timer for all waits, where asyncio.timeout makes one for each: of the 65 µs that an event of a stream
    cost, two such time-outs were a fifth. seconds: for one wait; may be changed between waits. until: the event loop's
    time at which every wait ends. Raises TimeoutError; whoever made it closes it.
    """

    def __init__(self, seconds: float, *, until: float = math.inf) -> None:
        self.seconds = seconds
        self._until = until
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._due = math.inf  # when the wait that is under way ends; never, while there is none
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None, "only a task can wait"
        self._cancelling = self._task.cancelling()
        self._due = min(self._loop.time() + self.seconds, self._until)
        if self._due < self._timer_at:
            self._look_at(self._due)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._due = math.inf
        if self._expired:
            self._expired = False
            assert self._task is not None, "it was entered"
            # Somebody else may have cancelled the task at the same moment: then it is cancelled.
            if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, at: float) -> None:
        self.close()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        """End the wait that is overdue; else look again when the one that is under way would be."""
        self._timer, self._timer_at = None, math.inf
        if self._due == math.inf:
            return
        if self._loop.time() < self._due:
            self._look_at(self._due)
            return
        self._expired = True
        assert self._task is not None, "it was entered"
        self._task.cancel()
