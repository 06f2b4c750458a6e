"""What a name may hold."""

import unicodedata

from django.core.exceptions import ValidationError

# Control, surrogate and unassigned characters; format characters can turn the direction of a line.
_UNSEEN = ("Cc", "Cf", "Cs", "Cn")
_JOINERS = "\u200c\u200d"  # needed by scripts and emoji


def refuse_control_characters(text: str) -> None:
    """Raise ValidationError when a name has characters that cannot be seen."""
    if any(unicodedata.category(sign) in _UNSEEN and sign not in _JOINERS for sign in text):
        raise ValidationError("Please leave out characters that cannot be seen.", code="unseen")
