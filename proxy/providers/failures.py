"""What a provider bills for an answer that is an error, before any token was seen (metering.md section 1.3)."""

from enum import StrEnum
from http import HTTPStatus

import orjson

from accounts.records import record
from proxy.providers.traits import Traits


class Charge(StrEnum):
    """What the hold of a failed call becomes."""

    NOTHING = "nothing"
    INPUT = "input"
    CEILING = "ceiling"


@record()
class ErrorCost:
    """What becomes of a call that its provider answered with an error.

    reason: as the book says it. blames_our_key: the client is told so, in none of the provider's words.
    """

    charge: Charge
    reason: str
    blames_our_key: bool


# A provider that gave up waiting for itself may have worked, and some bill for it.
_PERHAPS_BILLED = frozenset({408, 504})
# Turned away before anything was read.
_UNREAD = frozenset({401, 403, 404, 409, 413, 422, 429})
_KEY_REJECTED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

# What a provider that bills errors calls a request that it turned away by its form. Its limits of length are not among
# them: those may be found by reading.
_UNREAD_CODES = frozenset(
    {
        "unsupported_parameter", "unsupported_value", "unknown_parameter", "missing_required_parameter",
        "invalid_type", "integer_below_min_value", "integer_above_max_value", "decimal_below_min_value",
        "decimal_above_max_value", "OperationNotSupported",
    }
)  # fmt: skip


def cost_of(traits: Traits, status: int, body: bytes | None, *, is_our_key: bool) -> ErrorCost:
    """What an answer that is not a success costs.

    body: None as long as it is not read, or where it could not be: then the status alone tells. is_our_key: the
    provider was shown the stored key, not one that the caller brought.
    """
    charge = charge_of(traits, status)
    if charge is Charge.INPUT and body is not None and was_unread(body):
        charge = Charge.NOTHING
    blames_our_key = is_our_key and rejects_key(traits, status, body or b"")
    reason = "provider_key_rejected" if blames_our_key and charge is Charge.NOTHING else f"provider_{status}"
    return ErrorCost(charge, reason, blames_our_key)


def rejects_key(traits: Traits, status: int, body: bytes) -> bool:
    """Whether an answer turns away the key that was shown; body: of the answer, since some say it with a 400."""
    if traits.moderates and status == HTTPStatus.FORBIDDEN:
        return False
    if status == HTTPStatus.BAD_REQUEST and traits.bad_key:
        return traits.bad_key in body
    return status in _KEY_REJECTED


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
