"""Shells for Celery; each may run twice or not at all, the next run makes it up."""

from celery import shared_task

from agents import rollups, watch
from agents.ledger import partitions, purge
from agents.models import database_now


@shared_task(ignore_result=True)
def roll_up() -> None:
    """Bring the sums of hours and days up to date."""
    rollups.roll_up(database_now())


@shared_task(ignore_result=True)
def watch_agents() -> None:
    """Look for loops, retry storms and growing contexts."""
    watch.watch(database_now())


@shared_task(ignore_result=True)
def keep_partitions() -> None:
    """Make the book's partitions of the days to come."""
    partitions.ensure()


@shared_task(ignore_result=True)
def purge_balances() -> None:
    """Forget balances of subjects that have been quiet for long."""
    purge.purge()


@shared_task(ignore_result=True)
def purge_responses() -> None:
    """Forget answers that their providers keep no more."""
    purge.purge_responses()
