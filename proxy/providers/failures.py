"""What a provider bills for an answer that is an error, before any token was seen (metering.md section 1.3)."""

from enum import StrEnum


class Charge(StrEnum):
    """What the hold of a failed call becomes."""

    NOTHING = "nothing"
    INPUT = "input"
    CEILING = "ceiling"


# A provider that gave up waiting for itself may have worked, and some bill for it.
_PERHAPS_BILLED = frozenset({408, 504})
# Says it charges what it has processed, whatever the status; what a filter or a limit stopped was read before.
_BILLS_WHAT_IT_READ = frozenset({"azure"})
_REFUSED_UNREAD = frozenset({401, 403, 404, 413, 422, 429})


def charge_of(provider: str, status: int) -> Charge:
    """The charge for an answer with this status, which is not a success."""
    if status in _PERHAPS_BILLED:
        return Charge.CEILING
    if provider not in _BILLS_WHAT_IT_READ or status in _REFUSED_UNREAD:
        return Charge.NOTHING
    if status == 400:
        return Charge.INPUT
    return Charge.CEILING if status >= 500 else Charge.NOTHING
