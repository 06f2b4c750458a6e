"""What people type about budgets, read into the unit's whole numbers and named at the field where it will not do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError

from agents.budget_presets import Preset, current
from agents.budget_terms import BadBudget, check_thresholds
from agents.budget_words import summary
from agents.forms import CountField, EditForm, StrictForm, UsdField
from agents.models import Mode, Unit
from agents.reports.hard_limits import unheld_without
from agents.templatetags.formats import usd_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accounts.models import Organization
    from agents.models import Agent, Budget

TOP_UP_USD = "5"
_NAMED_MAX = 3
_MODES = ((Mode.HARD, "Refuse what does not fit"), (Mode.SOFT, "Only alert"))
_SHARES = re.compile(r"[0-9]{1,3}(?:[\s,;%]+[0-9]{1,3})*[\s%]*", re.ASCII)
_NOTHING = {
    Unit.USD: "0 lets nothing paid through.",
    Unit.CALLS: "0 lets nothing through.",
    Unit.TOKENS: "0 lets nothing through.",
}
_LABELS = {Unit.USD: "Limit in US dollars", Unit.CALLS: "Limit in calls", Unit.TOKENS: "Limit in tokens"}


class ThresholdsField(forms.CharField):
    """Shares of a limit in per cent, such as "50, 80, 100"."""

    def __init__(self) -> None:
        help_text = "Per cent of the limit, rising: one mail for each."
        super().__init__(label="Alert at", help_text=help_text, max_length=40, initial="50, 80, 100")

    def clean(self, value: Any) -> tuple[int, ...]:
        text: str = super().clean(value)
        if not _SHARES.fullmatch(text):
            raise ValidationError("Write shares in per cent, such as 50, 80, 100.", code="thresholds")
        shares = tuple(map(int, re.findall(r"[0-9]+", text)))
        try:
            check_thresholds(shares)
        except BadBudget as bad:
            raise ValidationError(bad.problem, code="thresholds") from bad
        return shares


class ModeField(forms.ChoiceField):
    """Whether a budget refuses or only tells."""

    def __init__(self) -> None:
        super().__init__(label="When it is used up", choices=_MODES, initial=Mode.HARD)


class PresetForm(StrictForm):
    """One of the budgets that forms offer, for those of its units that have no limit yet."""

    preset = forms.CharField(widget=forms.HiddenInput)
    mode = ModeField()
    thresholds = ThresholdsField()

    def __init__(
        self, data: Any = None, *, preset: Preset, organization: Organization, agent: Agent | None = None
    ) -> None:
        super().__init__(data, auto_id=f"{preset.key}_%s", initial={"preset": preset.key})
        self.about = preset
        there = current(preset, organization, agent)
        self.limited = [there[unit] for unit in preset.units if unit in there and there[unit].limit is not None]
        taken = {budget.unit for budget in self.limited}
        self.units = [unit for unit in preset.units if unit not in taken]
        for unit in self.units:
            self.fields[unit] = _limit_field(unit, required=len(self.units) == 1)

    @property
    def amounts(self) -> list[forms.BoundField]:
        """The fields of limits."""
        return [self[unit] for unit in self.units]

    @property
    def there(self) -> str:
        """What stands already, in words."""
        return summary(*self.limited)

    @property
    def limits(self) -> dict[str, int]:
        """The limits that were typed, by unit."""
        typed = {unit: self.cleaned_data.get(unit) for unit in self.units}
        return {unit: limit for unit, limit in typed.items() if limit is not None}

    def clean(self) -> dict[str, Any]:
        if not self.units or any(budget.unit in self.data for budget in self.limited):
            raise ValidationError("There is such a budget already: change it in the list.", code="there")
        cleaned = super().clean()
        if not self.errors and not self.limits:
            self.add_error(self.units[0], "Write at least one of the limits.")
        return cleaned


class BudgetForm(EditForm):
    """Change a budget: what it allows, whether it refuses, when it alerts; what was not sent stays."""

    mode = ModeField()
    thresholds = ThresholdsField()

    def __init__(self, data: Any = None, *, budget: Budget) -> None:
        initial = {
            "limit": _plain(budget.unit, budget.limit),
            "mode": budget.mode,
            "thresholds": ", ".join(map(str, budget.thresholds)),
        }
        super().__init__(data, initial=initial)
        self.budget = budget
        self.fields["limit"] = _limit_field(budget.unit, required=False)
        alone = [agent.name for agent in unheld_without(budget)]
        self.fields["limit"].help_text = (
            f"{_NOTHING[Unit(budget.unit)]} It cannot be empty: nothing else holds {_listed(alone)}." if alone
            else f"{_NOTHING[Unit(budget.unit)]} Left empty, it only counts and refuses nothing."
        )  # fmt: skip

    def clean_limit(self) -> int | None:
        limit: int | None = self.cleaned_data["limit"]
        if limit is None and self.budget.limit is not None:
            check_held_without(self.budget)
        return limit


class TopUpForm(StrictForm):
    """More for the running window alone (product.md B6); `seen` is what it had been topped up by on the page."""

    amount = UsdField(label="Amount in US dollars", initial=TOP_UP_USD)
    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: Any = None, *, budget: Budget, seen: int) -> None:
        super().__init__(data, auto_id="top_up_%s", initial={"seen": seen})
        if budget.unit != Unit.USD:
            self.fields["amount"] = CountField(label=f"Amount in {budget.unit}")

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount == 0:
            raise ValidationError("Write an amount above zero.", code="zero")
        return amount


def check_held_without(budget: Budget) -> None:
    """Raise ValidationError where agents would be left without any hard dollar budget (product.md B2)."""
    alone = [agent.name for agent in unheld_without(budget)]
    if alone:
        raise ValidationError(
            f"Nothing else holds {_listed(alone)}: set another limit first, of the agent or of the organisation.",
            code="unheld",
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_MAX
    return f"{', '.join(names[:_NAMED_MAX])} and {more} more" if more > 0 else ", ".join(names)


def _limit_field(unit: str, *, required: bool) -> forms.CharField:
    field: type[forms.CharField] = UsdField if unit == Unit.USD else CountField
    return field(label=_LABELS[Unit(unit)], required=required)


def _plain(unit: str, limit: int | None) -> str:
    """A limit as a form field wants it."""
    if limit is None:
        return ""
    return usd_plain(limit) if unit == Unit.USD else str(limit)
