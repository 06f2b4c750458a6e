"""Opaque identifiers that sort by the time they were made (UUID version 7, RFC 9562)."""

import os
import time
from datetime import UTC, datetime
from uuid import UUID

_RANDOM_BYTES, _SPARE_BITS = 10, 6  # 74 bits


def uuid7(at_ms: int | None = None) -> UUID:
    """Return a new UUIDv7.

    at_ms: Unix time in milliseconds; the present when None.
    """
    milliseconds = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    random = int.from_bytes(os.urandom(_RANDOM_BYTES)) >> _SPARE_BITS
    high = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 62) << 64
    return UUID(int=high | 0b10 << 62 | random & (1 << 62) - 1)


def made_at(identifier: UUID) -> datetime:
    """Return the instant that a UUIDv7 carries, in UTC with millisecond precision."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
