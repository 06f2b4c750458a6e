"""What a provider bills for an answer that is an error, before any token was seen (metering.md section 1.3)."""

from enum import StrEnum

from proxy.providers.shape import Traits


class Charge(StrEnum):
    """What the hold of a failed call becomes."""

    NOTHING = "nothing"
    INPUT = "input"
    CEILING = "ceiling"


# A provider that gave up waiting for itself may have worked, and some bill for it.
_PERHAPS_BILLED = frozenset({408, 504})
# Turned away before anything was read.
_UNREAD = frozenset({401, 403, 404, 409, 413, 422, 429})


def charge_of(traits: Traits, status: int) -> Charge:
    """The charge for an answer with this status, which is not a success."""
    if status in _PERHAPS_BILLED:
        return Charge.CEILING
    if not traits.bills_errors or status in _UNREAD or status < 400:
        return Charge.NOTHING
    # What a content filter or a limit of the input stopped was read and billed; nothing was written.
    return Charge.INPUT if status < 500 else Charge.CEILING
