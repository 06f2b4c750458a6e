"""Named points at which tests make a process die, fail or wait: SHREDDER_FAULT="point:3[:raise|:sleep=2.5|:drop]".

The third time that the process comes by, it ends as if killed (`exit`, the default), raises, sleeps, or loses the
connection that it speaks on (`drop`). docs/reliability.md lists the points. A production installation never strikes.
"""

import os
import time
from collections.abc import Mapping
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
        if self.action == "drop":
            raise ConnectionResetError(f"dropped at {point}")
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


def _asked_for(environment: Mapping[str, str]) -> str:
    """What a test wants of this process; an https address means production, where nobody tests."""
    is_production = environment.get("SITE_URL", "").startswith("https://")
    return "" if is_production else environment.get("SHREDDER_FAULT", "")


_faults = _parse(_asked_for(os.environ))


def fault(point: str) -> None:
    """Strike here if a test asked for it; costs one look-up otherwise."""
    if _faults and point in _faults:
        _faults[point].strike(point)


def arm(text: str) -> None:
    """Set the faults of this process, in the form of the variable; an empty text disarms."""
    _faults.clear()
    _faults.update(_parse(text))
