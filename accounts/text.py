"""What a name may hold."""

import unicodedata

from django.core.exceptions import ValidationError

# Control, surrogate and unassigned characters, breaks of lines; format characters can turn the direction of a line.
_UNSEEN = ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # needed by scripts and emoji


def refuse_control_characters(text: str) -> None:
    """Raise ValidationError when a name has characters that cannot be seen."""
    if any(unicodedata.category(sign) in _UNSEEN and sign not in _JOINERS for sign in text) or not as_seen(text):
        raise ValidationError("Please leave out characters that cannot be seen.", code="unseen")


def as_seen(text: str) -> str:
    """A name as one reads it off a page, to compare it with what was typed: browsers show several spaces as one."""
    return " ".join("".join(sign for sign in text if sign not in _JOINERS).split())
