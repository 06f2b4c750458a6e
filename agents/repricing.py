"""Past calls priced again by a rate that was set late or typed wrongly (B20): each difference is a row of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q, Sum

from accounts.ids import uuid7
from agents import corrections, rates
from agents.models import Basis, Call, CallStatus, CustomRate
from agents.pricing import UnpricedFeature, settle
from agents.pricing.custom import row_id_of
from agents.pricing.kept import TOKEN_COLUMNS, kept_circumstances, kept_usage

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from django.db.models import QuerySet

    from accounts.models import Organization, User
    from agents.pricing import PriceRow

CALLS_MAX = 500  # in one go: a click is answered within seconds


@dataclass(frozen=True, slots=True)
class Change:
    """A call that would cost something else, in pico-dollars."""

    call_id: UUID
    from_pico: int
    to_pico: int


@dataclass(frozen=True, slots=True)
class Repricing:
    """What a rate makes of past calls.

    examined_count: calls looked at. unpriced_count: those of a tier, place or tool that the rate has no price for; they
    keep their cost. is_whole: there are no more calls than were looked at.
    """

    changes: tuple[Change, ...]
    examined_count: int
    unpriced_count: int
    is_whole: bool

    @property
    def difference_pico(self) -> int:
        """What all changes together add; negative where calls become cheaper."""
        return sum(change.to_pico - change.from_pico for change in self.changes)


def preview(organization: Organization, rate: CustomRate, since: datetime) -> Repricing:
    """What would change: settled calls to the rate's model since a moment whose bill was the provider's usage.

    Charges at the ceiling or by estimate are not among them: those are corrected one by one (agents.corrections).
    """
    found = list(_calls(organization, rate, since)[: CALLS_MAX + 1])
    calls, row = found[:CALLS_MAX], rates.row_of(rate)
    charged = _charged(organization, [call.call_id for call in calls])
    changes, unpriced_count = [], 0
    for call in calls:
        to_pico = _cost(row, call)
        if to_pico is None:
            unpriced_count += 1
        elif to_pico != charged[call.call_id]:
            changes.append(Change(call.call_id, charged[call.call_id], to_pico))
    return Repricing(tuple(changes), len(calls), unpriced_count, is_whole=len(found) <= CALLS_MAX)


def reprice(organization: Organization, rate: CustomRate, since: datetime, by: User) -> Repricing:
    """Book what `preview` says, on every budget that counted the calls. A second time changes nothing."""
    found = preview(organization, rate, since)
    for change in found.changes:
        corrections.amend(
            organization, change.call_id, change.to_pico, f"priced again by the rate for {rate.model}", by,
            action="call.repriced",
        )  # fmt: skip
    return found


def _calls(organization: Organization, rate: CustomRate, since: datetime) -> QuerySet[Call]:
    """Newest first, so that a rate that is wrong for today is put right for today first."""
    earlier = CustomRate.objects.filter(organization=organization, provider=rate.provider, model=rate.model)
    rows = [row_id_of(rate_id) for rate_id in earlier.values_list("id", flat=True)]
    asked = [rate.model, f"{rate.provider}/{rate.model}"]  # where two providers have it, agents name theirs first
    named = Q(provider=rate.provider, model__in=asked) | Q(pricing__row__in=rows)
    calls = Call.objects.filter(
        named, organization_id=organization.pk, seq=0, call_id__gte=uuid7(int(since.timestamp() * 1000)),
        reserved_at__gte=since, status=CallStatus.SETTLED, basis=Basis.USAGE, practice=False, pricing__has_key="row",
    )  # fmt: skip
    return calls.order_by("-call_id")


def _charged(organization: Organization, call_ids: list[UUID]) -> dict[UUID, int]:
    """What the calls cost now, with every row that corrected them."""
    rows = Call.objects.filter(organization_id=organization.pk, call_id__in=call_ids).order_by()
    return {row["call_id"]: int(row["sum"]) for row in rows.values("call_id").annotate(sum=Sum("cost_pico"))}


def _cost(row: PriceRow, call: Call) -> int | None:
    assert call.pricing is not None
    usage = kept_usage(call.pricing, [getattr(call, f"{name}_tokens") for name in TOKEN_COLUMNS])
    try:
        return settle([row], usage, kept_circumstances(call.pricing), reserved_pico=call.held_pico).cost_pico
    except UnpricedFeature:
        return None
