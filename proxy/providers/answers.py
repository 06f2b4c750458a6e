"""Reading what a provider answered, which may be anything."""

import orjson

from proxy.providers.parsing import JsonObject

ERROR_LENGTH_MAX = 500


def object_in(body: bytes) -> JsonObject | None:
    """The JSON object that a body is, None for anything else."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def text_in(value: object) -> str | None:
    """The text that a value is, None for an empty one and anything else."""
    return value if isinstance(value, str) and value else None


def error_text(error: object) -> str:
    """What an error says, in whichever form it came."""
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:ERROR_LENGTH_MAX]
