"""What people choose about an agent's provider keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from agents.pins import USUAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accounts.models import ProviderCredential
    from agents.pins import Choice

_USUAL_VALUE = "usual"


class PinsForm(forms.Form):
    """One choice for each provider that has more than the usual key."""

    def __init__(self, *args: Any, choices: Sequence[Choice], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._choices = choices
        for choice in choices:
            self.fields[choice.provider] = _field(choice)

    @property
    def chosen(self) -> dict[str, ProviderCredential | None]:
        """After is_valid: the key for each provider, None for the usual one."""
        known = {str(key.id): key for choice in self._choices for key in choice.keys}
        return {choice.provider: known.get(self.cleaned_data[choice.provider]) for choice in self._choices}


def _field(choice: Choice) -> forms.ChoiceField:
    options = [(_USUAL_VALUE, USUAL), *((str(key.id), f"{key.label} (…{key.key_hint})") for key in choice.keys)]
    # A key that is gone has no usual successor: somebody must choose.
    initial = "" if choice.lost else _USUAL_VALUE if choice.pinned is None else str(choice.pinned.id)
    return forms.ChoiceField(
        label=choice.title, choices=[("", "Choose a key"), *options] if choice.lost else options, initial=initial
    )
