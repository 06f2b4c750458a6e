"""What a provider bills for an answer that is an error, before any token was seen (metering.md section 1.3)."""

from enum import StrEnum

import orjson

from proxy.providers.traits import Traits


class Charge(StrEnum):
    """What the hold of a failed call becomes."""

    NOTHING = "nothing"
    INPUT = "input"
    CEILING = "ceiling"


# A provider that gave up waiting for itself may have worked, and some bill for it.
_PERHAPS_BILLED = frozenset({408, 504})
# Turned away before anything was read.
_UNREAD = frozenset({401, 403, 404, 409, 413, 422, 429})

# What a provider that bills errors calls a request that it turned away by its form. Its limits of length are not among
# them: those may be found by reading.
_UNREAD_CODES = frozenset(
    {
        "unsupported_parameter", "unsupported_value", "unknown_parameter", "missing_required_parameter",
        "invalid_type", "integer_below_min_value", "integer_above_max_value", "decimal_below_min_value",
        "decimal_above_max_value", "OperationNotSupported",
    }
)  # fmt: skip


def was_unread(body: bytes) -> bool:
    """Whether an error's code proves that nothing was processed, so that also who bills errors bills nothing."""
    try:
        error = orjson.loads(body)["error"]
        code, inner = error["code"], error.get("innererror")
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return False
    return isinstance(code, str) and code in _UNREAD_CODES and not inner


def charge_of(traits: Traits, status: int) -> Charge:
    """The charge for an answer with this status, which is not a success."""
    if status in _PERHAPS_BILLED:
        return Charge.CEILING
    if not traits.bills_errors or status in _UNREAD or status < 400:
        return Charge.NOTHING
    # What a content filter or a limit of the input stopped was read and billed; nothing was written.
    return Charge.INPUT if status < 500 else Charge.CEILING
