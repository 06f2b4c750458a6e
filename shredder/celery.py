"""Celery: the queue of tasks and the timetable."""

import os
import warnings
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shredder.settings")

from django.conf import settings

from shredder.embedded.ready import say_ready

# In a container, and under `up` as root, this is known and wanted.
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

# Name of the task → seconds between two runs.
TIMETABLE = {
    "alerts.tasks.raise_alerts": 5,
    "alerts.tasks.deliver_waiting": 30,
    "agents.tasks.roll_up": 60,
    "agents.tasks.watch_agents": 60,
    "agents.tasks.keep_partitions": 3_600,
    "agents.tasks.purge_balances": 3_600,
    "agents.tasks.purge_responses": 3_600,
    "alerts.tasks.audit_books": 3_600,
}

RARE_SECONDS = 600

app = Celery("shredder")
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_time_limit=300,  # seconds
    # A task that was taken by a worker that died runs again: all of ours are safe to repeat.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # On the way down, waiting deliveries are not worth holding up the stop.
    worker_soft_shutdown_timeout=0,
    timezone="UTC",
    beat_schedule={
        name: {
            "task": name,
            "schedule": seconds,
            # Without a worker, runs that were missed must not pile up in the queue.
            "options": {"expires": max(seconds, 10)},
        }
        for name, seconds in TIMETABLE.items()
    },
)
app.set_default()
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**facts: Any) -> None:
    """Being connected is enough: Celery then leaves Django's logging alone."""


@worker_ready.connect
def worker_works(**facts: Any) -> None:
    """The worker is connected to the queue."""
    for name, seconds in TIMETABLE.items():
        # A new timetable waits a whole interval before the first run: too long for tomorrow's partitions.
        if seconds >= RARE_SECONDS:
            app.send_task(name, expires=RARE_SECONDS)
    say_ready()


@beat_init.connect
def beat_works(**facts: Any) -> None:
    """The timetable is about to tick."""
    say_ready()
