"""What people type on the agents' pages, checked: amounts become pico-dollars, names lose their edges."""

import re
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Organization
from accounts.text import as_seen, refuse_control_characters
from agents.budget_terms import COUNT_MAX
from agents.corrections import REASON_MAX
from agents.models import Agent, KeyMode
from agents.money import InvalidAmount, parse_usd
from agents.reports.hard_limits import widest_limit

NAME_MAX = 100
DEFAULT_DAILY_USD = "5"
_COUNT = re.compile(r"[0-9]+", re.ASCII)


class UsdField(forms.CharField):
    """An amount of dollars, read as pico-dollars; empty is None."""

    is_money = True  # drawn with a dollar sign before it
    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 40, **kwargs})

    def clean(self, value: Any) -> int | None:
        text: str = super().clean(value)
        if text in self.empty_values:
            return None
        try:
            return parse_usd(text)
        except InvalidAmount as invalid:
            raise ValidationError(invalid.reason, code="amount") from invalid


class NameField(forms.CharField):
    """A name for people to read, by the rule for an organisation's: one line, without characters that are not seen."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": NAME_MAX, "validators": [refuse_control_characters], **kwargs})


class CountField(forms.CharField):
    """A whole number without signs, points or commas; empty is None. least, most: the bounds, both included."""

    widget = forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})

    def __init__(self, *, least: int = 0, most: int = COUNT_MAX, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 40, **kwargs})
        self.least, self.most = least, most

    def clean(self, value: Any) -> int | None:
        text: str = super().clean(value)
        if text in self.empty_values:
            return None
        if not _COUNT.fullmatch(text):
            raise ValidationError("Write a whole number, such as 40.", code="count")
        if not self.least <= int(text) <= self.most:
            raise ValidationError(f"Write a number from {self.least:,} to {self.most:,}.", code="range")
        return int(text)


class StrictForm(forms.Form):
    """A form that takes no field it does not know: one that was meant and is not read would promise what is not kept.

    also: names that come beside the fields and are read elsewhere.
    """

    also: ClassVar[frozenset[str]] = frozenset({"csrfmiddlewaretoken"})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        unknown = sorted(set(self.data) - set(self.fields) - self.also)
        if unknown:
            named = ", ".join(name[:NAME_MAX] for name in unknown)
            raise ValidationError(f"There is no field {named} here; nothing was changed.", code="unknown")
        return cleaned


class EditForm(StrictForm):
    """A change of what is there: a field that was not sent keeps its value, which is not the same as an empty one."""

    def full_clean(self) -> None:
        for name, field in self.fields.items():
            # Django takes the initial value of a disabled field.
            field.disabled = self.is_bound and name not in self.data
        super().full_clean()


class LimitForm(EditForm):
    """An agent's dollars per day. Empty means unlimited, which only a wider budget makes safe."""

    daily_limit = UsdField(
        required=False, label="Daily budget in US dollars",
        help_text="0 lets nothing paid through. A call that does not fit is refused before it leaves.",
    )  # fmt: skip

    def __init__(self, *args: Any, organization: Organization, agent: Agent | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wider = widest_limit(organization, agent)

    def clean_daily_limit(self) -> int | None:
        limit_pico: int | None = self.cleaned_data["daily_limit"]
        if limit_pico is None and self.wider is None:
            raise ValidationError(
                "Write an amount. Unlimited is possible only where the organisation has a budget of its own, or the "
                "agent one over another time than a day.",
                code="unlimited",
            )
        return limit_pico


class AgentForm(LimitForm):
    """A new agent: nothing but its name and what it may spend a day."""

    also = LimitForm.also | {"ticket"}

    name = NameField(label="Name", help_text="What your team calls it, such as support-triage.")
    field_order = ("name", "daily_limit")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs.update({"autofocus": True, "autocomplete": "off", "spellcheck": "false"})
        self.fields["daily_limit"].initial = DEFAULT_DAILY_USD


class RenameForm(forms.Form):
    """Another name; the agent's id in headers and filters stays."""

    name = NameField(label="Name")


class KeyForm(forms.Form):
    """A further key of an agent."""

    name = NameField(label="Name", required=False, help_text="Where it is used, such as “production”.")
    mode = forms.ChoiceField(
        choices=KeyMode.choices, label="Kind", help_text="A test key is answered by the sandbox and costs nothing.",
    )  # fmt: skip


class RevokeForm(forms.Form):
    """Typing the agent's name is the brake before a key stops for good."""

    confirm = forms.CharField(label="Agent’s name", max_length=NAME_MAX)

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if as_seen(typed) != as_seen(self.expected):
            raise ValidationError(f"Type {self.expected} to revoke the key.", code="confirm")
        return typed


class CorrectionForm(StrictForm):
    """What a call really cost, and how one knows."""

    cost = UsdField(label="It really cost, in US dollars", help_text="In all, not the difference.")
    reason = forms.CharField(
        label="Why", max_length=REASON_MAX, help_text="Stays in the book and in the audit log, with your name.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
