"""Strict reading of a provider's usage object: whole numbers only, and nothing that looks like money overlooked."""

from collections.abc import Collection, Iterator, Mapping
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
    """One object of a usage report. Every key that is asked for is known from then on.

    ignored: keys that cost nothing or are counted elsewhere.
    """

    __slots__ = ("_facts", "_ignored", "_known", "_parts", "_path")

    def __init__(self, facts: Mapping[str, Any], path: str = "", *, ignored: Collection[str] = ()) -> None:
        self._facts = facts
        self._path = path
        self._ignored = ignored
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
        value = self._facts.get(key)
        # What is null or zero need not be known: unknown_keys does not tell of it.
        if value is None or (value == 0 and type(value) is int):
            return value
        self._known.add(key)
        if type(value) is int and 0 < value <= COUNT_MAX:
            return value
        return whole(value, self._path + key)

    def part(self, key: str, *, ignored: Collection[str] = ()) -> "Counts":
        """The object under a key, empty when it is absent or null. ignored: of its keys."""
        value = self._facts.get(key)
        if value is None:
            return _ABSENT
        if type(value) is not dict and not isinstance(value, Mapping):
            raise UsageUnreadable(self._path + key, "is not an object")
        self._known.add(key)
        part = Counts(value, f"{self._path}{key}.", ignored=ignored)
        self._parts.append(part)
        return part

    def unknown_keys(self) -> tuple[str, ...]:
        """Keys nobody asked for, that look like money and are not zero; in this object and the parts read."""
        names: list[str] = []
        for key, value in self._facts.items():
            if value and key not in self._known and key not in self._ignored:
                names += islice(_money_keys(self._path + key, value), UNKNOWN_KEYS_MAX - len(names))
        for part in self._parts:
            names += part.unknown_keys()
        return tuple(names)


# Of every part that is not there: it holds nothing, so nothing of it is remembered.
_ABSENT = Counts({})


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
    left = total
    for part in parts:
        left -= part
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
