"""Bring each delivery to its address: claimed by a guarded update, tried again with back-off, its failure kept.

A crash between the claim and the note that it was sent leaves a row that a sweep finds: two messages are possible then,
none is not.
"""

import logging
import smtplib
import time
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from alerts.emails import message
from alerts.models import Delivery, DeliveryState

# Waits after each failed attempt but the last: eight attempts within about an hour.
BACK_OFF = tuple(timedelta(seconds=seconds) for seconds in (30, 60, 120, 240, 480, 900, 1800))
ATTEMPTS_MAX = len(BACK_OFF) + 1
# Longer than the mail server's time-out, so that a slow attempt is not taken for a dead one.
CLAIM_MAX = timedelta(minutes=5)
SWEEP_SECONDS = 25.0
SWEEP_COUNT_MAX = 200
ERROR_LENGTH_MAX = 300

log = logging.getLogger(__name__)


def deliver(delivery_id: UUID, at: datetime) -> bool:
    """Try one delivery if it is due and nobody else is at it; return whether it was sent.

    at: now, aware.
    """
    due = Delivery.objects.filter(id=delivery_id, state=DeliveryState.WAITING, next_attempt_at__lte=at)
    if due.update(state=DeliveryState.SENDING, claimed_at=at, attempt_count=F("attempt_count") + 1) != 1:
        return False
    delivery = Delivery.objects.select_related("alert__organization").get(id=delivery_id)
    try:
        message(delivery).send()
    except (smtplib.SMTPException, OSError) as error:
        _put_back(delivery, error, timezone.now())
        return False
    _end(delivery, state=DeliveryState.SENT, sent_at=timezone.now(), error="")
    return True


def deliver_waiting(at: datetime) -> int:
    """Try what is due, what a dead process had claimed included; return how many were sent.

    at: now, aware. Stops early when the mail server is slow: the next run goes on.
    """
    _free_dead_claims(at)
    due = Delivery.objects.filter(state=DeliveryState.WAITING, next_attempt_at__lte=at).order_by("next_attempt_at")
    stop_at = time.monotonic() + SWEEP_SECONDS
    sent_count = 0
    for delivery_id in list(due.values_list("id", flat=True)[:SWEEP_COUNT_MAX]):
        if time.monotonic() > stop_at:
            break
        sent_count += deliver(delivery_id, timezone.now())
    return sent_count


def _free_dead_claims(at: datetime) -> None:
    dead = Delivery.objects.filter(state=DeliveryState.SENDING, claimed_at__lt=at - CLAIM_MAX)
    dead.filter(attempt_count__gte=ATTEMPTS_MAX).update(
        state=DeliveryState.FAILED, error="Gave up: the last attempts did not come to an end."
    )
    dead.update(state=DeliveryState.WAITING, next_attempt_at=at)


def _put_back(delivery: Delivery, error: Exception, at: datetime) -> None:
    """Wait for the next attempt, or give up after the last one or where the server will never take it."""
    reason = _reason(error)[:ERROR_LENGTH_MAX]
    log.warning("alert not delivered", extra={"delivery_id": str(delivery.id), "reason": reason})
    if delivery.attempt_count >= ATTEMPTS_MAX or _is_final(error):
        _end(delivery, state=DeliveryState.FAILED, error=reason)
    else:
        next_attempt_at = at + BACK_OFF[delivery.attempt_count - 1]
        _end(delivery, state=DeliveryState.WAITING, next_attempt_at=next_attempt_at, error=reason)


def _reason(error: Exception) -> str:
    """Why an attempt failed, for people: the mail server's own words where it said something."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        said = next(iter(error.recipients.values()))
        return f"The mail server said {said[0]} {_text(said[1])}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"The mail server said {error.smtp_code} {_text(error.smtp_error)}"
    return f"The mail server could not be reached: {error or type(error).__name__}"


def _text(words: bytes | str) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else words


def _is_final(error: Exception) -> bool:
    """Whether the server refused the address for good (5xx), so that trying again is pointless."""
    if not isinstance(error, smtplib.SMTPRecipientsRefused):
        return False
    return all(code >= 500 for code, _ in error.recipients.values())


def _end(delivery: Delivery, **changes: object) -> None:
    """Note how an attempt ended, unless its claim was taken for dead meanwhile."""
    claimed = Delivery.objects.filter(id=delivery.id, state=DeliveryState.SENDING, claimed_at=delivery.claimed_at)
    if claimed.update(**changes) != 1:
        log.warning("claim was lost", extra={"delivery_id": str(delivery.id)})
