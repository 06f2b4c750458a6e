"""The one way out to providers: a pooled client that dials checked addresses only and says what became of a request.

What matters to the ledger is whether the provider can have billed. So a failure is one of three: nothing was sent
(the hold is given back), sent but no answer, or cut off in the middle of the answer (both may have been billed).
"""

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from yarl import URL

from accounts.addresses import may_dial
from proxy.patience import Patience

# Shorter than any provider's own, so that a pooled connection is rarely closed under a request.
KEEP_ALIVE_SECONDS = 30.0
READ_BUFFER_BYTES = 2**16

# Headers that aiohttp would add where a client sends none.
_NOT_OURS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

type Guard = Callable[[str], bool]
type Draft = aiohttp.ClientRequest


class UpstreamFailed(Exception):
    """The provider did not give a whole answer; `reason` is for logs and the book."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.timed_out = timed_out


class NothingSent(UpstreamFailed):
    """Not one byte of the request left, so nothing can have been billed."""


class NoAnswer(UpstreamFailed):
    """The request left and no answer came: it may have been billed."""


class CutOff(UpstreamFailed):
    """The answer broke off in the middle."""


class AddressRefused(OSError):
    """A host that resolves to an address which calls must not reach."""


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """How long to wait for a provider, in seconds (product.md W12)."""

    connect_seconds: float = 5.0
    first_byte_seconds: float = 600.0
    between_bytes_seconds: float = 300.0
    total_seconds: float = 1800.0


class Answer:
    """A provider's answer whose body is read piece by piece; closed by leaving its `async with`."""

    def __init__(self, response: aiohttp.ClientResponse, patience: Patience) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.raw_headers: Iterable[tuple[bytes, bytes]] = response.raw_headers
        self._response = response
        self._patience = patience

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patience.close()
        # A body read to its end has given its connection back already; any other is closed, not reused.
        self._response.close()

    async def read_some(self) -> bytes:
        """The bytes that have arrived since, waiting for at least one; empty at the end. Raises CutOff."""
        try:
            with self._patience:
                return await self._response.content.readany()
        except TimeoutError:
            raise CutOff("provider_time_out", timed_out=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise CutOff("provider_cut_off") from error

    async def read_all(self, bytes_max: int) -> bytes:
        """The whole body; raises CutOff, also when it is longer than allowed."""
        pieces, size = [], 0
        while piece := await self.read_some():
            size += len(piece)
            if size > bytes_max:
                raise CutOff("answer_too_long")
            pieces.append(piece)
        return b"".join(pieces)


class Upstream:
    """One client for the whole process: its own pool, no cookies, no redirects, no proxies from the environment.

    It works below aiohttp's session, with the same connector, requests and answers: what a session does between a
    call's admission and its first byte on the wire is done here before the admission (`draft`).
    """

    def __init__(self, *, allow_private: bool = False, time_outs: TimeOuts | None = None) -> None:
        self._time_outs = time_outs or TimeOuts()
        guard = partial(may_dial, allow_private=allow_private)
        self._loop = asyncio.get_running_loop()
        self._connect_time = aiohttp.ClientTimeout(total=None, connect=self._time_outs.connect_seconds)
        self._connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            resolver=_GuardedResolver(guard),
            socket_factory=partial(_guarded_socket, guard),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._connector.close()

    def draft(self, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes | None) -> Draft:
        """Make a request ready to leave, of which nothing leaves yet; raises NothingSent for an impossible address."""
        try:
            return aiohttp.ClientRequest(
                method, _url(url), headers=headers, data=body, skip_auto_headers=_NOT_OURS, loop=self._loop
            )
        except (aiohttp.ClientError, ValueError) as error:
            raise NothingSent("connect_failed") from error

    async def send(self, draft: Draft) -> Answer:
        """Send a request, once, and return the answer as soon as its head is there.

        Raises NothingSent or NoAnswer. Nothing is retried: only the caller knows what a second bill would mean.
        """
        deadline = self._loop.time() + self._time_outs.total_seconds
        connection = await self._connect(draft)
        patience = Patience(self._time_outs.first_byte_seconds, until=deadline)
        try:
            response = await _exchange(connection, draft, patience)
        except BaseException:
            patience.close()
            connection.close()  # half a request may be on it, or half an answer
            raise
        patience.seconds = self._time_outs.between_bytes_seconds
        return Answer(response, patience)

    async def _connect(self, draft: Draft) -> Connection:
        try:
            return await self._connector.connect(draft, [], self._connect_time)
        except TimeoutError:
            raise NothingSent("connect_time_out", timed_out=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise NothingSent("connect_failed") from error


async def _exchange(connection: Connection, draft: Draft, patience: Patience) -> aiohttp.ClientResponse:
    """Send over a connection and wait for the answer's head."""
    assert connection.protocol is not None, "it was just given"
    connection.protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=READ_BUFFER_BYTES)
    try:
        with patience:
            response = await draft.send(connection)
            try:
                return await response.start(connection)
            except BaseException:
                response.close()
                raise
    except TimeoutError:
        raise NoAnswer("provider_time_out", timed_out=True) from None
    except (aiohttp.ClientError, OSError) as error:
        raise NoAnswer("provider_cut_off") from error


class _GuardedResolver(AbstractResolver):
    """Resolve a host once and refuse it when any of its addresses must not be dialled."""

    def __init__(self, may_dial: Guard) -> None:
        self._may_dial = may_dial
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(self._may_dial(entry["host"]) for entry in found):
            raise AddressRefused(f"{host} resolves to an address that must not be dialled")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _guarded_socket(may_dial: Guard, address_info: tuple[Any, ...]) -> socket.socket:
    """Make the socket for an address that is about to be dialled; a literal address never met the resolver."""
    family, kind, protocol, _, address = address_info
    if not may_dial(address[0]):
        raise AddressRefused(f"{address[0]} must not be dialled")
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setblocking(False)
    return made


@lru_cache(maxsize=256)
def _url(text: str) -> URL:
    return URL(text, encoded=True)
