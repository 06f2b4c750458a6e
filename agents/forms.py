"""What people type on the agents' pages, checked: amounts become pico-dollars, names lose their edges."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Organization
from agents.models import KeyMode
from agents.money import InvalidAmount, parse_usd
from agents.reports.standing import widest_limit

NAME_MAX = 100
DEFAULT_DAILY_USD = "5"


class UsdField(forms.CharField):
    """An amount of dollars, read as pico-dollars; empty is None."""

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
    """A name for people to read: one line, without characters that cannot be seen."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": NAME_MAX, **kwargs})

    def clean(self, value: Any) -> str:
        name: str = super().clean(value)
        if not name.isprintable():
            raise ValidationError("Use letters, digits and signs that can be seen.", code="unprintable")
        return name


class LimitForm(forms.Form):
    """An agent's dollars per day. Empty means unlimited, which only a wider budget makes safe."""

    daily_limit = UsdField(
        required=False, label="Daily budget in US dollars",
        help_text="0 lets nothing paid through. A call that does not fit is refused before it leaves.",
    )  # fmt: skip

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wider = widest_limit(organization)

    def clean_daily_limit(self) -> int | None:
        limit_pico: int | None = self.cleaned_data["daily_limit"]
        if limit_pico is None and self.wider is None:
            raise ValidationError(
                "Write an amount. Unlimited is possible only where the organisation has a budget of its own.",
                code="unlimited",
            )
        return limit_pico


class AgentForm(LimitForm):
    """A new agent: nothing but its name and what it may spend a day."""

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
        if typed != self.expected:
            raise ValidationError(f"Type {self.expected} to revoke the key.", code="confirm")
        return typed
