"""Watches the book for loops, retry storms and growing contexts (product.md B8, B9): rules that warn, once a minute.

Rules that block stop calls in the proxy, which notes it; that a session has made too many calls the ledger says, and
its refusals are found here. Only the rule over several windows needs the book to block, too, so it blocks from here.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction

from agents.models import Mark, RuleMode
from agents.watch import bloat, busy, repeats, retries, sessions, windows
from agents.watch.active import Active, active
from agents.watch.blocking import block
from agents.watch.episodes import Sighting, note

MARK = "watch"
# Rows carry the moment at which their transaction looked at the clock and are seen when it commits.
OVERLAP = timedelta(minutes=1)
LATE_MAX = timedelta(hours=1)  # what was over an hour ago when the worker came back is no longer worth a warning


def watch(at: datetime) -> int:
    """Look at the agents that called since the last run; return how many episodes are new.

    at: the database's clock. Safe to run at any time and any number of times; of several runs at once one works.
    """
    with transaction.atomic():
        if not Mark.take(MARK):
            return 0
        since_at = max((Mark.of(MARK) or at) - OVERLAP, at - LATE_MAX)
        seen = active(since_at, at)
        used_up = windows.sightings(seen)
        to_block = [one for one in used_up if one.mode == RuleMode.BLOCK]
        new_count = note([*_sightings(seen), *(one for one in used_up if one.mode != RuleMode.BLOCK)])
        Mark.move(MARK, at)
    # Each in a transaction of its own, because calls wait for it. What a crash leaves out the next run finds again.
    return new_count + sum(block(one) for one in to_block)


def _sightings(seen: Active) -> Iterator[Sighting]:
    for rule in (repeats, sessions, busy, retries, bloat):
        yield from rule.sightings(seen)
    yield from sessions.stopped(seen)
