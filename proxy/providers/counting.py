"""Strict reading of a provider's usage object: whole numbers only, and nothing that looks like money overlooked."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

COUNT_MAX = 10**10  # more than any answer can hold; beyond it the number is an error, not a count
# One unknown key is enough for a bill to be in doubt; names are kept for a person to read.
UNKNOWN_KEYS_MAX, KEY_LENGTH_MAX = 16, 128
MONEY_ENDINGS = ("_tokens", "_requests", "cost", "seconds", "TokenCount")


class UsageUnreadable(ValueError):
    """A usage object that lacks a mandatory number or holds an impossible one; the hold becomes the charge."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key} {problem}")
        self.key = key
        self.problem = problem


class Counts:
    """One object of a usage report. Every key that is asked for is known from then on."""

    def __init__(self, facts: Mapping[str, Any], path: str = "") -> None:
        self._facts = facts
        self._path = path
        self._known: set[str] = set()
        self._parts: list[Counts] = []

    def count(self, key: str) -> int:
        """The number under a key, 0 when it is absent or null."""
        return self.optional(key) or 0

    def required(self, key: str) -> int:
        """The number under a key that must be there."""
        value = self.optional(key)
        if value is None:
            raise UsageUnreadable(self._path + key, "is missing")
        return value

    def optional(self, key: str) -> int | None:
        """The number under a key, None when it is absent or null."""
        self._known.add(key)
        value = self._facts.get(key)
        return None if value is None else whole(value, self._path + key)

    def part(self, key: str) -> "Counts":
        """The object under a key, empty when it is absent or null."""
        self._known.add(key)
        value = self._facts.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise UsageUnreadable(self._path + key, "is not an object")
        part = Counts(value, f"{self._path}{key}.")
        self._parts.append(part)
        return part

    def ignore(self, *keys: str) -> None:
        """Declare keys that cost nothing or are counted elsewhere."""
        self._known.update(keys)

    def unknown_keys(self) -> tuple[str, ...]:
        """Keys nobody asked for, that look like money and are not zero; in this object and the parts read."""
        own = (
            name
            for key, value in self._facts.items()
            if key not in self._known
            for name in _money_keys(self._path + key, value)
        )
        return (*islice(own, UNKNOWN_KEYS_MAX), *(key for part in self._parts for key in part.unknown_keys()))


def whole(value: object, key: str, *, most: int = COUNT_MAX) -> int:
    """A count as a provider may write it (5 or 5.0), not negative and not absurd."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageUnreadable(key, "is not a whole number")
    if value < 0:
        raise UsageUnreadable(key, "is negative")
    if value > most:
        raise UsageUnreadable(key, "is too large to be true")
    return value


def rest(total: int, *parts: int, key: str) -> int:
    """What a total holds beside its parts; parts larger than their total are an error, not a credit."""
    left = total - sum(parts)
    if left < 0:
        raise UsageUnreadable(key, "is smaller than its parts")
    return left


def _money_keys(key: str, value: object) -> Iterator[str]:
    waiting: list[tuple[str, object]] = [(key, value)]
    while waiting:
        name, item = waiting.pop()
        if isinstance(item, Mapping):
            start = name[: KEY_LENGTH_MAX // 2]
            waiting += [(f"{start}.{inner}", part) for inner, part in reversed(list(item.items()))]
        elif isinstance(item, list):
            waiting += [(name, part) for part in reversed(item) if isinstance(part, Mapping)]
        elif item and not isinstance(item, bool) and name.endswith(MONEY_ENDINGS):
            yield name[:KEY_LENGTH_MAX]
