"""A request as it arrives: its headers checked, its body counted while it is read."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any
from uuid import UUID

from agents.callers import Caller
from proxy import headers
from proxy.claims import Claim, read_claim
from proxy.errors import BodyTooLarge, Dialect, KeyMalformed, Malformed, Refusal, UpgradeAsked
from proxy.providers import registry

BODY_BYTES_MAX = 32 * 2**20
BODY_SECONDS_MAX = 120
# A client reads our answer only after it has sent everything, so what is too large is read and dropped, up to here.
DISCARDED_BYTES_MAX = 256 * 2**20
PREFIX = "/proxy"
GOOGLE_KEY = "x-goog-api-key"
# It may become a header, and no part of it may pass for something beside the key.
_KEY_OF_QUERY = re.compile(r"[\x21-\x7e]*")

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]


class ClientGone(Exception):
    """The client left before it had sent everything: there is nobody to answer."""


class Incoming:
    """One request below /proxy, and the id that its call will have."""

    def __init__(self, scope: Scope, receive: Receive, call_id: UUID) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"].removeprefix(PREFIX)
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.call_id = call_id
        self.receive = receive
        self.caller: Caller | None = None  # known once the key is
        self._raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._raw_path: bytes = scope.get("raw_path") or b""

    @property
    def raw_path(self) -> str:
        """The path as it came: a %2F in it is part of a name."""
        return self._raw_path.decode("latin-1").removeprefix(PREFIX)

    @cached_property
    def headers(self) -> dict[str, str]:
        """Lower-case names; raises Malformed for a header that must not be there twice or holds control characters."""
        return headers.read_headers(self._raw_headers)

    @property
    def dialect(self) -> Dialect:
        """The dialect to answer in; known for every request, however broken."""
        try:
            names = self.headers
        except Refusal:
            names = _loose(self._raw_headers)
        return registry.dialect_of(self.path, names)

    @cached_property
    def claim(self) -> Claim:
        """Who it says that it comes from; raises KeyMissing, KeyMalformed, Malformed."""
        whose = Dialect.GEMINI if registry.is_googles(self.path) else self.dialect
        return read_claim(self._with_key_of_query(whose), whose)

    def _with_key_of_query(self, whose: Dialect) -> dict[str, str]:
        """The headers, and as one of them the key of the query, where Google's clients may have it."""
        if whose is not Dialect.GEMINI:
            return self.headers
        keys = {value for name, value in registry.query_pairs(self.query) if name == "key"}
        keys |= {self.headers.get(GOOGLE_KEY, "")}
        keys.discard("")
        if len(keys) > 1 or not all(map(_KEY_OF_QUERY.fullmatch, keys)):
            raise KeyMalformed
        return self.headers | ({GOOGLE_KEY: keys.pop()} if keys else {})

    async def body(self) -> bytes:
        """The whole body; raises BodyTooLarge, Malformed when it comes too slowly, UpgradeAsked, or ClientGone."""
        declared_bytes = self._declared_bytes()
        if declared_bytes > DISCARDED_BYTES_MAX:
            raise BodyTooLarge(max_bytes=BODY_BYTES_MAX)
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body") and self._fits(message["body"]):
            whole: bytes = message["body"]
            if not whole:
                self._check_upgrade()
            return whole
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                return await self._read_rest(message)
        except TimeoutError:
            if declared_bytes > BODY_BYTES_MAX:
                raise BodyTooLarge(max_bytes=BODY_BYTES_MAX) from None
            raise Malformed(problem=f"its body did not arrive within {BODY_SECONDS_MAX} seconds") from None

    async def gone(self) -> None:
        """Return when the client has left, which can be told once its body has been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def _check_upgrade(self) -> None:
        """Raise UpgradeAsked where the server took the body for the first bytes of another protocol.

        Java's client asks every plain-text server for HTTP/2, with its first call.
        """
        if "upgrade" in self.headers and (self._declared_bytes() or "transfer-encoding" in self.headers):
            raise UpgradeAsked(
                problem="it asks to change to another protocol, and so its body was not read", param="upgrade",
                hint="Send it as HTTP/1.1 without the header Upgrade, or over TLS.",
            )  # fmt: skip

    def _declared_bytes(self) -> int:
        """What Content-Length says, 0 without one; the server has checked that it is a number."""
        return int(self.headers.get("content-length") or 0)

    async def _read_rest(self, message: Message) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            size += len(message["body"])
            if size <= BODY_BYTES_MAX:
                pieces.append(message["body"])
            else:
                pieces.clear()
            if not message.get("more_body") or size > DISCARDED_BYTES_MAX:
                break
            message = await self.receive()
        if size > BODY_BYTES_MAX:
            raise BodyTooLarge(max_bytes=BODY_BYTES_MAX)
        return b"".join(pieces)

    @staticmethod
    def _fits(body: bytes) -> bool:
        return len(body) <= BODY_BYTES_MAX


def _loose(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
