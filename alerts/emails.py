"""The messages: an alert's facts put into words, as e-mails."""

from collections.abc import Callable

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from alerts.letters import Facts, Letter, budgets, guards, others
from alerts.letters.more import more
from alerts.models import GUARDS, Alert, AlertKind, Delivery


def message(delivery: Delivery) -> EmailMultiAlternatives:
    """Write the message of a delivery. Its id stays the same at every attempt, so a repeated one can be told."""
    alert = delivery.alert
    written = letter(alert)
    context = {"letter": written, "organization": alert.organization}
    mail = EmailMultiAlternatives(
        subject=written.subject,
        body=render_to_string("alerts/email/alert.txt", context),
        to=[delivery.address],
        headers={"Message-ID": f"<{delivery.id}@awx-shredder>", "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string("alerts/email/alert.html", context), "text/html")
    return mail


def letter(alert: Alert) -> Letter:
    """Put an alert into words; the subject is a single line, whatever agents are called."""
    written = _WRITERS[AlertKind(alert.kind)](alert, alert.facts)
    return Letter(" ".join(written.subject.split()), [one for one in written.sentences if one], written.links)


_WRITERS: dict[AlertKind, Callable[[Alert, Facts], Letter]] = {
    AlertKind.THRESHOLD: budgets.threshold,
    AlertKind.TOO_LARGE: budgets.too_large,
    AlertKind.MORE: more,
    AlertKind.OVERRUN: others.overrun,
    AlertKind.BOUND_BREACH: others.bound_breach,
    AlertKind.KEY_REJECTED: others.key_rejected,
    AlertKind.BEHIND: others.behind,
    AlertKind.AUDIT: others.audit,
    AlertKind.PRICE_EXPIRES: others.price_expires,
    AlertKind.GUARDS_DEGRADED: others.guards_degraded,
    AlertKind.TEST: others.test,
    **dict.fromkeys(GUARDS, guards.guard),
}
