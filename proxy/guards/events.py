"""What guards stopped, on its way to the database: written by a thread of its own, so that no call waits for it."""

import logging
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from threading import BoundedSemaphore

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection

from agents.callers import Caller
from agents.loop_blocks import POLICY_VERSION
from agents.models import GuardEvent, GuardRule, RuleMode
from proxy.guards.memory import Memory

logger = logging.getLogger(__name__)

WAITING_MAX = 1_000
CLOSE_SECONDS = 1.0
ATTEMPTS = 4
# What trips once is one episode; what holds calls back again and again is one for each hour.
GRIDS = {GuardRule.RETRIES: timedelta(hours=1), GuardRule.HELD_BACK: timedelta(hours=1)}
GRID = timedelta(minutes=1)
_Episode = tuple[str, str, str, datetime]


class EventWriter:
    """Writes each episode once; what cannot be written is logged and forgotten, the block holds all the same."""

    def __init__(self) -> None:
        self._seen: Memory[_Episode, bool] = Memory()
        self._bridge = ThreadPoolExecutor(1, thread_name_prefix="guard-events")
        self._places = BoundedSemaphore(WAITING_MAX)
        self._closed = False

    def add(
        self, caller: Caller, rule: GuardRule, *, session: str, at: datetime, until: datetime, facts: dict[str, object]
    ) -> None:
        """Note that a rule blocked an agent; test calls alarm nobody.

        at, until: aware; session: empty where the rule is the agent's.
        """
        episode_at = _floor(at, GRIDS.get(rule, GRID))
        episode = (str(caller.agent_id), rule.value, session, episode_at)
        if caller.practice or self._seen.get(episode):
            return
        self._seen.put(episode, True)
        if self._closed or not self._places.acquire(blocking=False):
            logger.error("a guard's event is lost, the process stops or too many wait: %s", episode)
            return
        event = GuardEvent(
            organization_id=caller.organization_id, agent_id=caller.agent_id, rule=rule, mode=RuleMode.BLOCK,
            session=session, episode_at=episode_at, until_at=until,
            facts=facts | {POLICY_VERSION: caller.agent_version},
        )  # fmt: skip
        self._bridge.submit(self._write, event)

    def close(self) -> None:
        """Write what waits, for a second at most, and stop the thread; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        wait([self._bridge.submit(int)], timeout=CLOSE_SECONDS)
        self._bridge.shutdown(wait=False, cancel_futures=True)

    def _write(self, event: GuardEvent) -> None:
        """Runs in the thread."""
        try:
            _insert(event)
        except DatabaseError:
            logger.exception("a guard's event could not be written: %s", event)
        finally:
            self._places.release()


def _insert(event: GuardEvent) -> None:
    for attempt in range(ATTEMPTS):
        try:
            GuardEvent.objects.bulk_create([event], ignore_conflicts=True)
        except (OperationalError, InterfaceError):
            # Connections from before a restart of the database fail once each.
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return
        finally:
            connection.close()


def _floor(at: datetime, grid: timedelta) -> datetime:
    return at - timedelta(seconds=at.timestamp() % grid.total_seconds())
