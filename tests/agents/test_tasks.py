"""The tasks as Celery runs them: by name, and safe to run twice."""

import pytest
from django.db import connection

from agents import tasks
from agents.models import HourlyUsage, Mark
from shredder.celery import TIMETABLE, app
from tests import cast
from tests.alerts.books import call

pytestmark = pytest.mark.django_db


def test_every_task_of_the_timetable_exists() -> None:
    app.loader.import_default_modules()
    assert set(TIMETABLE) <= set(app.tasks)


def test_rolling_up_twice_is_like_rolling_up_once() -> None:
    from agents.models import database_now

    alice = cast.alice()
    call(alice, database_now())
    for _ in range(2):
        tasks.roll_up.apply(throw=True)
    assert HourlyUsage.objects.get().call_count == 1
    assert Mark.of("sums") is not None


def test_partitions_are_made_ahead_and_only_once() -> None:
    with connection.cursor() as cursor:
        tasks.keep_partitions.apply(throw=True)
        before = _partition_count(cursor)
        tasks.keep_partitions.apply(throw=True)
        assert _partition_count(cursor) == before >= 8


def _partition_count(cursor: object) -> int:
    cursor.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'call'::regclass")  # type: ignore[attr-defined]
    return int(cursor.fetchone()[0])  # type: ignore[attr-defined]
