"""Alerts of an audit: books that differ (O2). One message an organisation for whatever it has not been told yet."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from accounts.models import Organization
from agents.audit import AuditReport, Difference
from alerts.models import Alert, AlertKind

SENTENCES_MAX = 10
# A flood is told as one; beyond this many, further ones are not told apart.
OPEN_MAX = 1_000
LOGGED_MAX = 20

log = logging.getLogger(__name__)

type Keys = Mapping[UUID, set[str]]


def log_differences(report: AuditReport) -> None:
    """Say at every run what differs, whomever it concerns: whoever runs the installation reads it here."""
    differences = report.differences()
    if differences:
        shown = [difference.sentence for difference in differences[:LOGGED_MAX]]
        log.critical("The books differ", extra={"differences": shown, "difference_count": len(differences)})


def audit_alerts(report: AuditReport) -> Iterator[Alert]:
    """The alerts of organisations with differences that were not there when they were told last.

    A difference that went away and comes back is a new one: what was told is kept open only as long as it lasts.
    """
    found = _by_organization(report)
    told = _still_open(found)
    for organization in Organization.objects.filter(id__in=found):
        now = found[organization.id]
        new = {key: difference for key, difference in now.items() if key not in told[organization.id]}
        if new:
            facts = _facts(report, list(new.values())) | {"open": sorted(new)}
            yield Alert(organization=organization, kind=AlertKind.AUDIT, window_start=report.at, facts=facts)


def _by_organization(report: AuditReport) -> dict[UUID, dict[str, Difference]]:
    found: defaultdict[UUID, dict[str, Difference]] = defaultdict(dict)
    for difference in sorted(report.differences(), key=lambda difference: difference.key):
        if difference.organization_id is not None and len(found[difference.organization_id]) < OPEN_MAX:
            found[difference.organization_id][_short(difference.key)] = difference
    return dict(found)


def _still_open(found: Mapping[UUID, Mapping[str, Difference]]) -> Keys:
    """What was told and is still so, by organisation; what is not any more is closed."""
    told: defaultdict[UUID, set[str]] = defaultdict(set)
    for alert in Alert.objects.filter(kind=AlertKind.AUDIT).exclude(facts__open=[]).select_for_update():
        still = [key for key in alert.facts["open"] if key in found.get(alert.organization_id, {})]
        if still != alert.facts["open"]:
            alert.facts["open"] = still
            alert.save(update_fields=["facts"])
        told[alert.organization_id].update(still)
    return told


def _facts(report: AuditReport, differences: list[Difference]) -> dict[str, Any]:
    return {
        "at": report.at.isoformat(),
        "count": len(differences),
        "differences": [difference.sentence for difference in differences[:SENTENCES_MAX]],
    }


def _short(key: str) -> str:
    return sha256(key.encode()).hexdigest()[:16]
