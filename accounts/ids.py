"""Opaque identifiers that sort by the time they were made (UUID version 7, RFC 9562)."""

import os
import time
from datetime import UTC, datetime
from uuid import UUID

_NS_PER_MS = 1_000_000
_FRACTION_BITS, _RANDOM_BITS = 12, 62


def uuid7(at_ms: int | None = None) -> UUID:
    """Return a new UUIDv7, with the parts of the millisecond before the random bits (RFC 9562 section 6.2, method 3).

    So what one process makes in turn also sorts in turn, within a quarter of a microsecond.
    at_ms: Unix time in milliseconds; the present when None.
    """
    milliseconds, rest_ns = divmod(time.time_ns() if at_ms is None else at_ms * _NS_PER_MS, _NS_PER_MS)
    fraction = (rest_ns << _FRACTION_BITS) // _NS_PER_MS
    random = int.from_bytes(os.urandom(8)) & (1 << _RANDOM_BITS) - 1
    high = (milliseconds & (1 << 48) - 1) << 16 | 0x7 << _FRACTION_BITS | fraction
    return UUID(int=high << 64 | 0b10 << _RANDOM_BITS | random)


def made_at(identifier: UUID) -> datetime:
    """Return the instant that a UUIDv7 carries, in UTC with millisecond precision."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
