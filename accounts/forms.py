"""What people may type about their organisation and their providers' keys."""

import zoneinfo
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Organization, User
from accounts.text import refuse_control_characters

if TYPE_CHECKING:  # Only the type checker knows forms by their model.
    _OrganizationModelForm = forms.ModelForm[Organization]
    _UserModelForm = forms.ModelForm[User]
else:
    _OrganizationModelForm = _UserModelForm = forms.ModelForm

_KEY_LENGTH_MAX = 400
_REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


def time_zone_choices() -> list[tuple[str, Any]]:
    """Return the zones that people live in, grouped by region, with UTC first."""
    names = sorted(zoneinfo.available_timezones())
    groups: list[tuple[str, Any]] = [("UTC", "UTC")]
    for region in _REGIONS:
        zones = [(name, _spoken(name)) for name in names if name.startswith(f"{region}/")]
        groups.append((region, zones))
    return groups


def _spoken(zone: str) -> str:
    return zone.partition("/")[2].replace("_", " ").replace("/", ", ")


class OrganizationForm(_OrganizationModelForm):
    """Name and time zone, at the beginning and later."""

    name = forms.CharField(
        label="Organisation name",
        max_length=100,
        validators=[refuse_control_characters],
        widget=forms.TextInput(attrs={"autocomplete": "organization", "placeholder": "Acme Robotics"}),
    )
    time_zone = forms.ChoiceField(
        label="Time zone", choices=time_zone_choices, help_text="A daily budget starts again at midnight here."
    )

    class Meta:
        model = Organization
        fields = ("name", "time_zone")


class NewOrganizationForm(OrganizationForm):
    """The first form of a newcomer: the browser's own zone is suggested while UTC stands there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["autofocus"] = True
        if not self.is_bound:
            self.fields["time_zone"].widget.attrs["data-suggest-zone"] = "UTC"


class ProviderKeyForm(forms.Form):
    """A provider's key: written once, never shown again."""

    api_key = forms.CharField(
        label="API key",
        max_length=_KEY_LENGTH_MAX,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_api_key(self) -> str:
        """Refuse what could not stand in a header, and our own keys, which people paste by mistake."""
        key: str = self.cleaned_data["api_key"]
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValidationError("A key has only plain letters, digits and signs. Copy it again from the provider.")
        if key.startswith("awx_"):
            raise ValidationError("This is an AWX key. Here goes the key that the provider gave you.")
        return key


class FurtherKeyForm(ProviderKeyForm):
    """A key of a provider beside its usual one, for agents that are pinned to it."""

    label = forms.CharField(
        label="Name of this key", max_length=60, validators=[refuse_control_characters],
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "research"}),
        help_text="For people: it is what you choose on an agent's page.",
    )  # fmt: skip

    def __init__(self, *args: Any, taken: frozenset[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.taken = taken

    def clean_label(self) -> str:
        label: str = self.cleaned_data["label"]
        if label in self.taken:
            raise ValidationError(
                "There is a key of that name; replace that one, or choose another name.", code="taken"
            )
        return label


class ProfileForm(_UserModelForm):
    """How colleagues see a person."""

    name = forms.CharField(
        label="Your name",
        max_length=100,
        required=False,
        validators=[refuse_control_characters],
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )

    class Meta:
        model = User
        fields = ("name",)
