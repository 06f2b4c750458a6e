"""What people type about a rate of their own, held against the price list before it counts (product.md B12)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.credentials import PROVIDERS
from agents.forms import UsdField
from agents.models import CustomRate
from agents.money import PICO_PER_USD
from agents.pricing import Rates
from agents.pricing.dated import TOKENS_PER_RATE
from agents.rates import CALL_PICO_MAX, RATE_PICO_MAX, listed_row
from agents.templatetags.formats import usd_rate

if TYPE_CHECKING:
    from datetime import datetime

    from accounts.models import Organization
    from agents.pricing import PriceRow

# Prices further from the list than this are more often a slip of the unit than a contract.
TIMES_LIST_MAX = 20
# Where there is no list price: what every model in the list stays within, per million tokens.
USUAL_PICO_MIN = PICO_PER_USD // 1_000
USUAL_PICO_MAX = 1_000 * PICO_PER_USD
PRICE_FIELDS = ("input", "output", "cache_read", "cache_write", "call")


@dataclass(frozen=True, slots=True)
class Doubt:
    """A price that is probably a slip: which, and why, in a sentence."""

    field: str
    words: str


class RateField(UsdField):
    """Dollars per million tokens or, with `per_call`, per call; read as pico-dollars."""

    def __init__(self, *, per_call: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.per_call = per_call

    def clean(self, value: Any) -> int | None:
        if "," in str(value or ""):
            raise ValidationError(
                "Use a point for decimals, such as 10.5, and nothing between thousands.", code="comma"
            )
        pico = super().clean(value)
        if pico is None:
            return None
        most = CALL_PICO_MAX if self.per_call else RATE_PICO_MAX
        if pico > most:
            unit = "per call" if self.per_call else "per 1M tokens"
            raise ValidationError(f"At most {usd_rate(most)} {unit}. Is the unit right?", code="too_large")
        if not self.per_call and pico % TOKENS_PER_RATE:
            raise ValidationError(
                "At most six decimal places: the price is for a million tokens, not for one.", code="too_fine"
            )
        return pico


class RateForm(forms.Form):
    """One model's prices, always in dollars per million tokens.

    After is_valid, `rate` is what would be set, and `doubts` say what a person should confirm first.
    """

    provider = forms.ChoiceField(label="Provider")
    model = forms.CharField(
        label="Model", max_length=128, help_text="Exactly as your agents ask for it; a dated name needs its own rate.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "my-tuned-model"}),
    )  # fmt: skip
    input = RateField(label="Input")
    output = RateField(label="Output", help_text="Reasoning counts as output.")
    cache_read = RateField(label="Cached input", required=False, help_text="Left empty: as input.")
    cache_write = RateField(
        label="Cache write", required=False,
        help_text="Left empty: as input. For every lifetime, so write the dearest that you use.",
    )  # fmt: skip
    call = RateField(
        label="Fee for each call", required=False, per_call=True, help_text="In dollars, beside the tokens."
    )

    def __init__(self, *args: Any, organization: Organization, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization, self.now = organization, now
        self.rate: CustomRate | None = None
        self.doubts: list[Doubt] = []
        self.fields["provider"].choices = provider_choices(organization)  # type: ignore[attr-defined]

    def clean_model(self) -> str:
        model: str = self.cleaned_data["model"]
        if not model.isprintable() or any(letter.isspace() for letter in model):
            raise ValidationError("A model’s id has no spaces.", code="spaces")
        first, _, rest = model.partition("/")
        if rest and first == self.cleaned_data.get("provider"):
            raise ValidationError(f"Leave the provider out: {rest}.", code="prefix")
        return model

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            self.rate = _rate(self.organization, cleaned)
            self.doubts = doubts_about(self.rate, listed_row(self.rate, self.now))
        return cleaned

    @property
    def signature(self) -> str:
        """The prices in question, so that a confirmation is of these and no others."""
        return "-".join(str(self.cleaned_data.get(name)) for name in ("provider", "model", *PRICE_FIELDS))

    @property
    def prices(self) -> list[forms.BoundField]:
        """The fields in dollars per million tokens."""
        return [self[name] for name in PRICE_FIELDS if name != "call"]

    def may_be_set(self, confirmed: str) -> bool:
        """Whether nothing is in doubt, or exactly these prices were confirmed."""
        return self.is_valid() and (not self.doubts or confirmed == self.signature)


def provider_choices(organization: Organization) -> list[tuple[str, str]]:
    """The providers that may have rates: those built in, and what else the organisation has connected."""
    connected = organization.credentials.values_list("provider", flat=True)
    return [*PROVIDERS.items(), *((slug, slug) for slug in sorted(set(connected) - PROVIDERS.keys()))]


def doubts_about(rate: CustomRate, listed: PriceRow | None) -> list[Doubt]:
    """The prices that are probably slips, in the order of the form. listed: what the price list says of the model."""
    if not (rate.input_pico or rate.output_pico or rate.call_pico):
        return [Doubt("input", "Every price is 0: the model counts as free, and no dollar budget ever stops it.")]
    typed = {
        "input": rate.input_pico,
        "output": rate.output_pico,
        "cache_read": rate.cache_read_pico,
        "cache_write": rate.cache_write_pico,
    }
    rates = Rates() if listed is None else listed.rates("default", 0)
    said = {name: _doubt(_label(name), pico, getattr(rates, name)) for name, pico in typed.items() if pico is not None}
    return [Doubt(name, words) for name, words in said.items() if words]


def _label(name: str) -> str:
    return str(RateForm.base_fields[name].label)


def _doubt(label: str, pico: int, listed_per_token: int | None) -> str:
    typed = f"{label}: {usd_rate(pico)} per 1M tokens"
    if listed_per_token:
        listed_pico = listed_per_token * TOKENS_PER_RATE
        if pico > TIMES_LIST_MAX * listed_pico:
            return f"{typed} is {_times(Fraction(pico, listed_pico))} times the list price of {usd_rate(listed_pico)}."
        if pico == 0:
            return f"{label} would be free; the price list says {usd_rate(listed_pico)} per 1M tokens."
        if pico * TIMES_LIST_MAX < listed_pico:
            return f"{typed} is 1/{_times(Fraction(listed_pico, pico))} of the list price of {usd_rate(listed_pico)}."
        return ""
    if pico and not USUAL_PICO_MIN <= pico <= USUAL_PICO_MAX:
        size = "less" if pico < USUAL_PICO_MIN else "more"
        return f"{typed} is {size} than any model in the price list costs."
    return ""


def _times(ratio: Fraction) -> str:
    return f"{round(ratio):,}"


def _rate(organization: Organization, typed: dict[str, Any]) -> CustomRate:
    return CustomRate(
        organization=organization,
        provider=typed["provider"],
        model=typed["model"],
        input_pico=typed["input"],
        output_pico=typed["output"],
        cache_read_pico=typed["cache_read"],
        cache_write_pico=typed["cache_write"],
        call_pico=typed["call"] or 0,
    )
