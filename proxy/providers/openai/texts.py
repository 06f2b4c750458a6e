"""What of a chat completion a tokenizer reads: every string and key, and the places where the provider frames them."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.bounds import NODE_TOKENS, schema_tokens
from proxy.providers import pictures

# These are written out again for the model, so they count as JSON.
SCHEMAS = frozenset({"tools", "functions", "response_format"})
# Around each message, and for each part inside one.
PART_TOKENS = 8


@dataclass(slots=True)
class Texts:
    """The strings to count, and the tokens that come on top of them."""

    strings: list[str] = field(default_factory=list)
    framing_tokens: int = 0


def texts_of(body: dict[str, Any]) -> Texts:
    """All that the body holds but the base64 of its images, whose tokens are bounded apart. body: checked before."""
    found = Texts()
    for name, value in body.items():
        found.strings.append(name)
        if name in SCHEMAS and value:
            found.strings.append(orjson.dumps(value).decode())
            found.framing_tokens += schema_tokens(value)
        elif name == "messages":
            _read([_without_images(message) for message in value], found)
        else:
            _read(value, found)
    return found


def _read(value: Any, found: Texts) -> None:
    found.framing_tokens += NODE_TOKENS
    if isinstance(value, dict):
        found.framing_tokens += PART_TOKENS
        found.strings += value
        for item in value.values():
            _read(item, found)
    elif isinstance(value, list):
        for item in value:
            _read(item, found)
    elif value is not None and not isinstance(value, bool):
        found.strings.append(str(value))


def _without_images(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    return message | {"content": [_without_data(part) for part in content]} if isinstance(content, list) else message


def _without_data(part: dict[str, Any]) -> dict[str, Any]:
    """Whatever else stands in an image's part is text to us."""
    if part.get("type") != "image_url" or pictures.data_of_url(part["image_url"]["url"]) is None:
        return part
    return part | {"image_url": part["image_url"] | {"url": ""}}
