"""Named points at which tests make a process die, fail or wait: SHREDDER_FAULT="point:3[:raise|:sleep=2.5]"."""

import os
import time
from dataclasses import dataclass

EXIT_STATUS = 70


class InjectedFault(Exception):
    """A test asked for this failure."""


@dataclass(slots=True)
class _Fault:
    remaining: int
    action: str

    def strike(self, point: str) -> None:
        self.remaining -= 1
        if self.remaining != 0:
            return
        if self.action == "raise":
            raise InjectedFault(point)
        if self.action.startswith("sleep="):
            time.sleep(float(self.action.removeprefix("sleep=")))
        else:
            os._exit(EXIT_STATUS)  # As a kill -9 would: no handler runs.


def _parse(text: str) -> dict[str, _Fault]:
    faults = {}
    for part in filter(None, text.split(",")):
        point, _, rest = part.partition(":")
        count, _, action = rest.partition(":")
        faults[point] = _Fault(int(count or 1), action or "exit")
    return faults


_faults = _parse(os.environ.get("SHREDDER_FAULT", ""))


def fault(point: str) -> None:
    """Strike here if a test asked for it; costs one look-up otherwise."""
    if _faults and point in _faults:
        _faults[point].strike(point)


def arm(text: str) -> None:
    """Set the faults of this process, in the form of the variable; an empty text disarms."""
    _faults.clear()
    _faults.update(_parse(text))
