"""An organisation's own rates (product.md B12): set and ended here; each change holds for the very next call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from accounts.credentials import PROVIDERS
from accounts.models import AuditEntry, ProviderCredential
from accounts.presets import preset_of
from agents.budgets import touch_organization
from agents.models import CustomRate
from agents.money import PICO_PER_USD, usd_exact
from agents.pricebook import UnpricedModel, current_book
from agents.pricing import Circumstances, UnpricedFeature, Usage, cost_pico
from agents.pricing.custom import custom_row, rate_id_of
from agents.pricing.dated import TOKENS_PER_RATE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from accounts.models import Organization, User
    from agents.pricing import PriceRow

RATES_MAX = 200  # a caller's snapshot carries all of them
RATE_PICO_MAX = 10_000 * PICO_PER_USD  # for a million tokens; no model is near
CALL_PICO_MAX = 1_000 * PICO_PER_USD
EXAMPLE = Usage(input=1_000, output=500)
_PRICES = ("input_pico", "cache_read_pico", "cache_write_pico", "output_pico", "call_pico")


class TooManyRates(Exception):
    """The organisation has as many rates as it may have."""

    def __init__(self, count_max: int) -> None:
        super().__init__(f"an organisation has at most {count_max} rates")
        self.count_max = count_max


@transaction.atomic
def set_rate(rate: CustomRate, by: User | None) -> CustomRate:
    """Put a new rate in force and end the one before it; rows are never edited, so that old calls can be priced again.

    rate: not saved yet; amounts in pico-dollars per million tokens, and per call. The same prices again change
    nothing. Raises TooManyRates, and ValueError for amounts that the form refuses.
    """
    _check(rate)
    touch_organization(rate.organization_id)
    others = current(rate.organization_id)
    before = find(others, rate.provider, rate.model)
    if before is not None and _prices(before) == _prices(rate):
        return before
    if before is None and len(others) >= RATES_MAX:
        raise TooManyRates(RATES_MAX)
    if before is not None:
        CustomRate.objects.filter(pk=before.pk).update(ended_at=timezone.now())
    rate.created_by = by
    rate.save(force_insert=True)
    _audit("rate.set", rate, by, {"from": _written(before) if before else None, "to": _written(rate)})
    return rate


@transaction.atomic
def end_rate(rate: CustomRate, by: User | None) -> None:
    """Let the price list decide again; a model that it lacks is refused. A second click changes nothing."""
    touch_organization(rate.organization_id)
    if CustomRate.objects.filter(pk=rate.pk, ended_at=None).update(ended_at=timezone.now()):
        _audit("rate.ended", rate, by, {"from": _written(rate)})


def end_rates_of(organization: Organization, provider: str, by: User | None, **_: object) -> None:
    """End all rates of a custom provider's name, which is to stand for another address or for none.

    Called inside the transaction that connects or disconnects it: that one holds the organisation still for set_rate,
    and calls look at their policy again.
    """
    ending = [rate for rate in current(organization.id) if rate.provider == provider]
    CustomRate.objects.filter(pk__in=[rate.pk for rate in ending]).update(ended_at=timezone.now())
    for rate in ending:
        _audit("rate.ended", rate, by, {"from": _written(rate)})


def current(organization_id: UUID) -> list[CustomRate]:
    """The rates in force, by provider and model."""
    found = CustomRate.objects.filter(organization_id=organization_id, ended_at=None)
    return list(found.order_by("provider", "model"))


def find(rates: Iterable[CustomRate], provider: str, model: str) -> CustomRate | None:
    """The rate of exactly this model; families and dates do not count."""
    return next((rate for rate in rates if rate.model == model and rate.provider == provider), None)


def row_of(rate: CustomRate, *, output_limit: int | None = None) -> PriceRow:
    """The rate as a row that prices calls. output_limit: tokens the model gives at most, where known."""
    return custom_row(
        rate.id,
        rate.provider,
        rate.model,
        input_pico=rate.input_pico,
        output_pico=rate.output_pico,
        cache_read_pico=rate.cache_read_pico,
        cache_write_pico=rate.cache_write_pico,
        call_pico=rate.call_pico,
        output_limit=output_limit,
    )


def listed_row(rate: CustomRate, now: datetime) -> PriceRow | None:
    """What the price list says of the same model now; None where it says nothing."""
    provider, model = names_in_list(rate.organization_id, rate.provider, rate.model)
    try:
        return current_book().row(provider, model, now)
    except UnpricedModel:
        return None


def names_in_list(organization_id: UUID, provider: str, model: str) -> tuple[str, str]:
    """Under which names the price list has a provider's model; a custom provider's kind says under which provider's."""
    if provider in PROVIDERS:
        return provider, model
    usual = ProviderCredential.objects.filter(organization_id=organization_id, provider=provider, label="").first()
    if usual is None:
        return provider, model
    preset = preset_of(usual.preset)
    is_mapped = preset.has_deployments
    return preset.prices, usual.options.get("deployments", {}).get(model, "") if is_mapped else model


def example_pico(row: PriceRow) -> int | None:
    """What EXAMPLE would cost; None for a row that prices no such call."""
    try:
        return cost_pico(row, EXAMPLE, Circumstances())
    except UnpricedFeature:
        return None


def kept_row(organization_id: UUID, row_id: str) -> PriceRow | None:
    """The row by which a call of this organisation was priced, ended or not; None when there is no such rate."""
    try:
        rate_id = rate_id_of(row_id)
    except ValueError:
        return None
    rate = CustomRate.objects.filter(organization_id=organization_id, id=rate_id).first()
    return None if rate is None else row_of(rate)


def _check(rate: CustomRate) -> None:
    for name in _PRICES:
        pico = getattr(rate, name)
        if pico is None and name.startswith("cache_"):
            continue
        is_call = name == "call_pico"
        if not 0 <= pico <= (CALL_PICO_MAX if is_call else RATE_PICO_MAX):
            raise ValueError(f"{name} is out of range: {pico}")
        if not is_call and pico % TOKENS_PER_RATE:
            raise ValueError(f"{name} is finer than a pico-dollar a token: {pico}")


def _prices(rate: CustomRate) -> tuple[int | None, ...]:
    return tuple(getattr(rate, name) for name in _PRICES)


def _written(rate: CustomRate) -> dict[str, str | None]:
    """Dollars per million tokens, and per call, as text: JSON readers lose digits of large numbers."""
    amounts = zip(_PRICES, _prices(rate), strict=True)
    return {name.removesuffix("_pico"): None if pico is None else usd_exact(pico) for name, pico in amounts}


def _audit(action: str, rate: CustomRate, by: User | None, details: dict[str, dict[str, str | None] | None]) -> None:
    AuditEntry.objects.create(
        organization_id=rate.organization_id, user=by, action=action, target=str(rate)[:120], details=details
    )
