"""How the guards that are no plain numbers are typed: models one a line, tools with their caps, a lifetime."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

NO_MODEL = "none"
_LINES_MAX = 200
_MODEL_BYTES_MAX = 128
_TOOL = re.compile(r"([a-z0-9][a-z0-9_.-]{0,63})\s*=\s*([0-9]{1,4})", re.ASCII)
_LIFETIME = re.compile(r"([0-9]{1,9})\s*(s|min|h|d)", re.ASCII)
_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_LIFETIME_DAYS_MAX = 30


class LinesField(forms.CharField):
    """Several values, one a line; empty lines do not count."""

    widget = forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 30_000, **kwargs})

    def lines(self, value: Any) -> list[str]:
        """The lines of what was typed, each once."""
        text: str = super().clean(value)
        found = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
        if len(found) > _LINES_MAX:
            raise ValidationError(f"At most {_LINES_MAX} lines.", code="lines")
        return found


class ModelsField(LinesField):
    """The models an agent may use: None for every one, an empty list for none at all."""

    def clean(self, value: Any) -> list[str] | None:
        lines = self.lines(value)
        if lines == [NO_MODEL]:
            return []
        for line in lines:
            if line == NO_MODEL:
                raise ValidationError(f"“{NO_MODEL}” stands alone: it allows no model at all.", code="none")
            if len(line.encode()) > _MODEL_BYTES_MAX or not line.isprintable() or " " in line:
                raise ValidationError(f"“{line[:40]}” is no model’s id.", code="model")
        return lines or None


class ToolsField(LinesField):
    """Hosted tools with the most uses in one call, as name=cap."""

    def clean(self, value: Any) -> dict[str, int]:
        caps: dict[str, int] = {}
        for line in self.lines(value):
            match = _TOOL.fullmatch(line)
            if match is None:
                raise ValidationError(f"“{line[:40]}”: write name=cap, such as web_search=3.", code="tool")
            name, cap = match[1], int(match[2])
            if name in caps:
                raise ValidationError(f"{name} stands there twice.", code="twice")
            if not 1 <= cap <= 100:
                raise ValidationError(f"{name}: give it a number of uses from 1 to 100.", code="cap")
            caps[name] = cap
        return caps


class LifetimeField(forms.CharField):
    """How long, such as "24 h" or "30 min", read as seconds; empty is None."""

    def clean(self, value: Any) -> int | None:
        text: str = super().clean(value)
        if text in self.empty_values:
            return None
        match = _LIFETIME.fullmatch(text.strip())
        if match is None:
            raise ValidationError("Write a number and a unit: 90 s, 30 min, 24 h or 7 d.", code="lifetime")
        seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
        if not 1 <= seconds <= _LIFETIME_DAYS_MAX * _UNIT_SECONDS["d"]:
            raise ValidationError(f"Write a time from 1 s to {_LIFETIME_DAYS_MAX} d.", code="range")
        return seconds


def lifetime(seconds: int) -> str:
    """Seconds in the largest unit that leaves no rest; hours up to two days, since a day is usually 24 of them."""
    names = [name for name, size in _UNIT_SECONDS.items() if seconds % size == 0]
    largest = names[1] if names[0] == "d" and seconds <= 2 * _UNIT_SECONDS["d"] else names[0]
    return f"{seconds // _UNIT_SECONDS[largest]} {largest}"
