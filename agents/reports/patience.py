"""Pages wait for the database only so long: a search through everything fails alone, not the product."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

PAGE_SECONDS = 5.0
_CANCELED = "57014"  # PostgreSQL: query_canceled


class TookTooLong(Exception):
    """A page's question was given up; a narrower one may be answered."""


@contextmanager
def patience() -> Iterator[None]:
    """Give up each statement inside after PAGE_SECONDS; raises TookTooLong."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(PAGE_SECONDS * 1000))])
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _CANCELED:
            raise
        raise TookTooLong from error
