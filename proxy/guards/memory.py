"""What this process remembers about agents by itself, within a bound: the oldest is forgotten first."""

from collections import OrderedDict
from collections.abc import Callable

ENTRIES_MAX = 10_000


class Memory[Key, Value]:
    """A dictionary of the entries that were used last."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        self._entries_max = entries_max

    def get(self, key: Key) -> Value | None:
        """The entry, if it is still known."""
        return self._entries.get(key)

    def get_or_make(self, key: Key, make: Callable[[], Value]) -> Value:
        """The entry, a new one where there is none."""
        if (known := self._entries.get(key)) is None:
            known = make()
        self.put(key, known)
        return known

    def put(self, key: Key, value: Value) -> None:
        """Remember an entry as the newest."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)

    def forget(self, key: Key) -> None:
        """Forget an entry, if it is there."""
        self._entries.pop(key, None)
