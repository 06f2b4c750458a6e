"""Prepared statements on one connection, spoken below psycopg's cursors: a flush costs the process half as much."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors, pq
from psycopg.adapt import Transformer

from agents.ledger import connection as connections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import abc
    from psycopg.pq.abc import PGresult


# While an answer is due the line is also looked at now and then, as psycopg does: under uvloop, once in some twenty
# kills of PostgreSQL, the reader of the line that died was never called.
LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """What is asked again and again; its parameters are $1, $2 … and travel as text, its answer in binary form."""

    name: str
    text: str


class Statements:
    """One statement at a time, each its own transaction; nobody else may use the connection meanwhile.

    A lost connection is noticed when it happens, also while nothing is asked. Whatever leaves an answer unread (a
    cancelled wait, a broken line) closes the connection: the next statement must not meet the last one's answer.

    on_lost: called once when the other side hangs up.
    """

    def __init__(self, connection: connections.Connection, on_lost: Callable[[], None]) -> None:
        self.is_closed = False
        self._connection = connection
        self._pgconn = connection.pgconn
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._socket = self._pgconn.socket
        self._answer: asyncio.Future[PGresult] | None = None
        self._result: PGresult | None = None
        self._is_writing = False
        self._lost_at = 0.0
        self._loaders: dict[Statement, abc.Transformer] = {}
        # For as long as the connection lives: to come and go with each statement would cost two calls of the system.
        self._loop.add_reader(self._socket, self.look)

    async def fetch(self, statement: Statement, parameters: Sequence[str | None]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement's answer.

        parameters: none may hold a NUL, at which the protocol's texts end; the literals of wire.py do not survive it.
        Raises psycopg.Error as psycopg's own cursors would; after ANSWER_SECONDS the connection counts as lost.
        """
        loaders = self._loaders.get(statement) or await self._prepare(statement)
        values = [None if value is None else value.encode() for value in parameters]
        self._pgconn.send_query_prepared(statement.name.encode(), values, result_format=pq.Format.BINARY)
        result = await self._answered()
        loaders.set_pgresult(result, set_loaders=False)
        return loaders.load_rows(0, result.ntuples, tuple)

    def close(self) -> None:
        """Close the connection; a statement that is under way may or may not happen."""
        if not self.is_closed:
            self.is_closed = True
            # A number kept from before: of a line that broke, libpq has closed the socket already.
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._pgconn.finish()

    async def _prepare(self, statement: Statement) -> abc.Transformer:
        """Let the server parse a statement once, and find once how the columns of its answer are read."""
        name = statement.name.encode()
        self._pgconn.send_prepare(name, statement.text.encode())
        await self._answered()
        self._pgconn.send_describe_prepared(name)
        told = await self._answered()
        loaders: abc.Transformer = Transformer(self._connection)
        loaders.set_loader_types([told.ftype(column) for column in range(told.nfields)], pq.Format.BINARY)
        self._loaders[statement] = loaders
        return loaders

    async def _answered(self) -> PGresult:
        """Send what was begun and wait for the end of its answer."""
        answer: asyncio.Future[PGresult] = self._loop.create_future()
        self._answer = answer
        self._lost_at = self._loop.time() + connections.ANSWER_SECONDS
        self._timer = self._loop.call_later(LOOK_SECONDS, self._wait_on)
        try:
            self._write()
            return await answer
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._timer.cancel()

    def _wait_on(self) -> None:
        """Look at a line that has said nothing for a while; after ANSWER_SECONDS it counts as lost."""
        self.look()
        if self._answer is None:
            return
        if self._loop.time() >= self._lost_at:
            self._lose(psycopg.OperationalError("no answer in time"))
        else:
            self._timer = self._loop.call_later(LOOK_SECONDS, self._wait_on)

    def _write(self) -> None:
        """Send what the line takes; the rest follows when it takes more."""
        try:
            is_left = self._pgconn.flush() == 1
        except psycopg.OperationalError as error:
            self._lose(error)
            return
        if is_left and not self._is_writing:
            self._loop.add_writer(self._socket, self._write)
        elif self._is_writing and not is_left:
            self._loop.remove_writer(self._socket)
        self._is_writing = is_left

    def look(self) -> None:
        """Take what has come, if anything; with the last of an answer, wake whoever waits for it."""
        if self.is_closed:
            return
        try:
            self._pgconn.consume_input()
            while not (is_more_to_come := self._pgconn.is_busy()) and (result := self._pgconn.get_result()):
                self._result = result
        except psycopg.OperationalError as error:
            self._lose(error)
            return
        if is_more_to_come or self._result is None:
            return  # Without a result it was a notice, and nobody's answer.
        answer, self._answer, result, self._result = self._answer, None, self._result, None
        if answer is not None and not answer.done():
            _give(answer, result)

    def _lose(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self._on_lost()


def _give(answer: asyncio.Future[PGresult], result: PGresult) -> None:
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        answer.set_result(result)
    else:
        answer.set_exception(errors.error_from_result(result))
