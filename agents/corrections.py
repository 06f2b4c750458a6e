"""What an admin says a call really cost, where only its ceiling or an estimate was charged (B13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import OperationalError, connection, transaction

from accounts.models import AuditEntry
from agents.budget_terms import check_limit
from agents.models import Basis, Call, CallStatus, Unit

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Organization, User

REASON_MAX = 300
ATTEMPTS_MAX = 5


class CannotCorrect(Exception):
    """This call's charge is not one to correct; the reason is for people."""


def can_be_corrected(call: Call) -> bool:
    """Whether a charge is a worst case or an estimate; what the provider's usage says stands."""
    is_open = call.basis in (Basis.WORST_CASE, Basis.ESTIMATED)
    return call.seq == 0 and is_open and call.status in (CallStatus.SETTLED, CallStatus.EXPIRED)


def correct(organization: Organization, call_id: UUID, cost_pico: int, reason: str, by: User) -> None:
    """Book the difference to what a call cost, on every budget that counted it, as a row of its own.

    Raises CannotCorrect, or BadBudget for an amount that is none.
    """
    check_limit(Unit.USD, cost_pico)
    rows = Call.objects.filter(organization_id=organization.pk, call_id=call_id)
    call = rows.filter(seq=0).first()
    if call is None or not can_be_corrected(call) or rows.filter(seq__gt=0, basis=Basis.USAGE).exists():
        raise CannotCorrect("Only a charge at the ceiling or by estimate can be corrected.")
    if not reason.strip():
        raise CannotCorrect("Say why: the reason stays in the book.")
    amend(organization, call_id, cost_pico, reason.strip()[:REASON_MAX], by)


def amend(
    organization: Organization, call_id: UUID, cost_pico: int, reason: str, by: User, *, action: str = "call.corrected"
) -> None:
    """Book the difference whatever the call's basis is; who may is decided by the caller. action: for the audit log."""
    for attempt in range(ATTEMPTS_MAX):
        try:
            _amend(organization, call_id, cost_pico, reason, by, action)
        except OperationalError as error:
            # A balance was opened between the look-up and the lock, or two transactions met.
            if attempt == ATTEMPTS_MAX - 1 or getattr(error.__cause__, "sqlstate", "") not in ("40001", "40P01"):
                raise
        else:
            return


@transaction.atomic
def _amend(organization: Organization, call_id: UUID, cost_pico: int, reason: str, by: User, action: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq, facts->>'from_pico' FROM ledger_amend(%s, %s, %s, jsonb_build_object('by', %s, 'why', %s))",
            [call_id, organization.pk, cost_pico, by.email, reason],
        )
        seq, from_pico = cursor.fetchone()
    details = {"call_id": str(call_id), "seq": str(seq), "from": from_pico, "to": str(cost_pico), "why": reason}
    AuditEntry.objects.create(organization=organization, user=by, action=action, target=str(call_id), details=details)
