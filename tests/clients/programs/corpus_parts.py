"""What the corpus's programs share: small things to send, and how calls are driven whose answers nobody reads."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

# One red pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WEATHER = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
    "required": ["place", "unit"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "degrees": {"type": "number"}},
    "required": ["place", "degrees"],
    "additionalProperties": False,
}


class Weather(BaseModel):
    """What a structured answer holds."""

    place: str
    degrees: float


def drive(calls: Mapping[str, Callable[[Any], Any]], client_of: Callable[[str], Any]) -> None:
    """Make each call once and print its name. What a client makes of the recorder's answers is of no interest."""
    for name, call in calls.items():
        print(name)
        with contextlib.suppress(Exception):
            found = call(client_of(name))
            if "stream" in name:
                list(found)
