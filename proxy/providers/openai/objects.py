"""Metering an answer that is one JSON object with a usage of its own kind."""

from collections.abc import Mapping
from typing import Any

from agents.pricing import Circumstances
from proxy.providers.answers import object_in, text_in
from proxy.providers.metered import Basis, Metered
from proxy.providers.usage import UsageUnreadable, ignored_cost, read_usage


class NoStream:
    """A meter where no stream is expected: bytes pass, and nothing is known."""

    def feed(self, chunk: bytes) -> bytes:
        """The chunk as it is."""
        return chunk

    def flush(self) -> bytes:
        """Nothing is held back."""
        return b""

    def finish(self) -> Metered:
        """Nothing usable."""
        return Metered(problem="a stream where none was asked for")


def meter_object(kind: str, body: bytes, *, usage_of: str = "openai") -> Metered:
    """Meter a whole answer. kind, usage_of: endpoint and provider of usage.read_usage."""
    found = object_in(body)
    return metered_of(kind, found, finished=found is not None, usage_of=usage_of)


def metered_of(
    kind: str, found: Mapping[str, Any] | None, *, finished: bool, error: str | None = None, usage_of: str = "openai"
) -> Metered:
    """What an object with a `usage` says about the bill. kind, usage_of: as above."""
    found = found or {}
    usage, problem, reading = found.get("usage"), "the answer holds no usage", None
    try:
        if isinstance(usage, dict):
            reading = read_usage(usage_of, kind, usage, {})
    except UsageUnreadable as unreadable:
        problem = str(unreadable)
    known = reading is not None and not reading[0].unknown_keys
    return Metered(
        usage=reading[0] if reading else None,
        circumstances=reading[1] if reading else Circumstances(),
        basis=Basis.USAGE if reading else Basis.NONE,
        served_model=text_in(found.get("model")),
        provider_id=text_in(found.get("id")),
        finished=finished,
        error=error,
        problem=None if reading else problem,
        flags=ignored_cost(usage_of, usage if isinstance(usage, dict) else {}),
        raw_usage=usage if isinstance(usage, dict) and not known else None,
    )
