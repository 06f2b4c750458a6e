"""What people type about organisation keys, and about the agents that calls may create."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms

from agents.created_agents import NEW_AGENTS_MAX, CreationTerms, terms_of
from agents.forms import CountField, EditForm, NameField, StrictForm, UsdField
from agents.templatetags.formats import usd_plain

if TYPE_CHECKING:
    from accounts.models import Organization

_LIFETIMES = (("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"))


class OrganizationKeyForm(StrictForm):
    """A new key: its name, and whether it ends by itself."""

    also = StrictForm.also | {"ticket"}

    name = NameField(label="Name", help_text="Where it is used, such as “crew in production”.")
    expires = forms.ChoiceField(label="Expires", choices=_LIFETIMES, required=False)

    @property
    def lifetime(self) -> timedelta | None:
        """For how long it is valid; None for ever."""
        days = self.cleaned_data["expires"]
        return timedelta(days=int(days)) if days else None


class NewAgentsForm(EditForm):
    """When a call with an id that nobody knows makes an agent of it."""

    allowed = forms.ChoiceField(
        label="A call names an agent that does not exist",
        choices=[("no", "Refuse the call"), ("yes", "Create the agent")],
        help_text="Only while the organisation has a hard daily dollar budget, which then holds them all together.",
    )  # fmt: skip
    new_agents_max = CountField(
        label="New agents a day at most", least=1, most=NEW_AGENTS_MAX,
        help_text="The day begins at midnight in the organisation’s time zone.",
    )  # fmt: skip
    daily_limit = UsdField(
        label="Daily budget of each, in US dollars",
        help_text="X-AWX-Daily-Budget may ask for less, never for more. 0 lets nothing paid through.",
    )  # fmt: skip

    def __init__(self, data: Any = None, *, organization: "Organization") -> None:
        terms = terms_of(organization)
        initial = {
            "allowed": "yes" if terms.allowed else "no",
            "new_agents_max": str(terms.new_agents_max),
            "daily_limit": usd_plain(terms.daily_pico),
        }
        super().__init__(data, auto_id="new_%s", initial=initial)

    @property
    def terms(self) -> CreationTerms:
        """What was typed."""
        typed = self.cleaned_data
        return CreationTerms(typed["allowed"] == "yes", typed["new_agents_max"], typed["daily_limit"])
