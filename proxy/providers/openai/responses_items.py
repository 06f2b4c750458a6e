"""The input of a Responses request: what its items hold beyond their bytes, and which of them hide something."""

from typing import Any

from proxy.bounds import Hidden, Image, argument_tokens, schema_tokens
from proxy.errors import Malformed, UnboundedCall, UnpricedFeature
from proxy.providers.fingerprints import SYSTEM_ROLES
from proxy.providers.openai.vision import image_of_url
from proxy.providers.parsing import are_objects, check_spelling, required_word, word

TEXT_PARTS = frozenset({"input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"})
# Items whose whole text stands under one name.
_TEXT_ITEMS = {"function_call": "arguments", "custom_tool_call": "input"}
_ITEM_NAMES = frozenset({"type", "role", "content", "output", "arguments", "input", "encrypted_content", "id"})
_PLAIN_MESSAGE_NAMES = frozenset({"role", "content"})
_PART_NAMES = frozenset({"type", "text", "refusal", "image_url", "detail", "file_id"})
# More than any answer's parts; each is looked up.
NAMED_MAX = 1_000
_OUTPUT_ITEMS = frozenset({"function_call_output", "custom_tool_call_output"})
# What hosted tools did in earlier turns: their tokens cannot be seen, but with such tools whole windows are held.
_HOSTED_ITEMS = frozenset({"web_search_call", "file_search_call"})


def hidden_input(body: dict[str, Any], items: list[Any], growth: int, *, hosted: bool) -> Hidden:
    """What input and tools hold beyond their bytes; refuses what cannot be bounded.

    items: of the input. growth: of the whole body by normalising, in bytes. hosted: the request enables hosted tools.
    """
    reader = _Reader(hosted=hosted)
    for at, item in enumerate(items):
        if not isinstance(item, str) and not _is_plain_message(item):
            reader.read_item(item, f"input[{at}]")
    text = growth + reader.argument_tokens
    for name in ("tools", "text"):
        if schema := body.get(name):
            text += schema_tokens(schema)
    return Hidden(media_bytes=reader.media_bytes, text_tokens=text, images=tuple(reader.images))


def items_of(body: dict[str, Any]) -> list[Any]:
    """The items of the input; a text alone is one."""
    given = body.get("input") or []
    if not given and not body.get("previous_response_id"):
        raise Malformed(problem="'input' is missing", param="input")
    if isinstance(given, str):
        return [given]
    if not are_objects(given):
        raise Malformed(problem="'input' must be a string or a list of items", param="input")
    return given


def named_items(items: list[Any]) -> tuple[tuple[str, str], ...]:
    """The items that stand there by their ids alone, each with its place; raises UnboundedCall for very many."""
    named = [(item["id"], f"input[{at}]") for at, item in enumerate(items) if _is_named(item)]
    if len(named) > NAMED_MAX:
        raise UnboundedCall(what=f"at most {NAMED_MAX} items may be named by their ids", param="input")
    return tuple(named)


def _is_plain_message(item: dict[str, Any]) -> bool:
    """Whether it is a message of text alone, as most are: its bytes show all of it."""
    return item.keys() == _PLAIN_MESSAGE_NAMES and isinstance(item["content"], str)


def _is_named(item: Any) -> bool:
    """Whether the provider looks it up by its id, so that its length is not to be seen. item: a text, or an object."""
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    if kind == "reasoning":
        return not item.get("encrypted_content")
    return kind == "item_reference" or (kind is None and "role" not in item)


def system_contents(body: dict[str, Any], items: list[Any]) -> list[Any]:
    """The instructions, and the contents of system and developer messages."""
    messages = [item for item in items if isinstance(item, dict) and item.get("role") in SYSTEM_ROLES]
    return [word(body, "instructions"), *[message.get("content") for message in messages]]


class _Reader:
    """Walks items and gathers what their bytes do not show."""

    def __init__(self, *, hosted: bool) -> None:
        self._hosted = hosted
        self.images: list[Image] = []
        self.media_bytes = 0
        self.argument_tokens = 0

    def read_item(self, item: dict[str, Any], path: str) -> None:
        check_spelling(item, _ITEM_NAMES, f"{path}.")
        kind = item.get("type")
        if kind == "message" or (kind is None and "role" in item):
            self._read_content(item.get("content"), f"{path}.content")
        elif _is_named(item):
            required_word(item, "id")
        elif not isinstance(kind, str):
            raise Malformed(problem=f"the type of '{path}' must be a string", param=path)
        elif kind in _OUTPUT_ITEMS:
            self._read_content(item.get("output"), f"{path}.output")
        elif kind in _TEXT_ITEMS:
            self._check_text(item, _TEXT_ITEMS[kind], path)
        elif kind == "reasoning":
            word(item, "encrypted_content")
        elif not (self._hosted and kind in _HOSTED_ITEMS):
            raise UnboundedCall(what=f"an input item of type {kind!r}", param=path)

    def _check_text(self, item: dict[str, Any], name: str, path: str) -> None:
        if not isinstance(item.get(name), str):
            raise Malformed(problem=f"'{path}.{name}' must be a string", param=f"{path}.{name}")
        if name == "arguments":
            self.argument_tokens += argument_tokens(item[name])

    def _read_content(self, content: Any, path: str) -> None:
        if isinstance(content, str):
            return
        if not are_objects(content):
            raise Malformed(problem=f"'{path}' must be a string or a list of parts", param=path)
        for at, part in enumerate(content):
            self._read_part(part, f"{path}[{at}]")

    def _read_part(self, part: dict[str, Any], path: str) -> None:
        check_spelling(part, _PART_NAMES, f"{path}.")
        kind = part.get("type")
        if isinstance(kind, str) and kind in TEXT_PARTS:
            return
        if kind == "input_audio":
            raise UnpricedFeature(feature="audio input", param=path)
        if kind != "input_image":
            hint = "Send its text instead." if kind == "input_file" else "Send text or images."
            raise UnboundedCall(what=f"a content part of type {kind!r}", param=path, hint=hint)
        if part.get("file_id") is not None:
            raise UnboundedCall(
                what="an image that is named by a file's id", param=path, hint="Send it as a data URL in image_url."
            )
        url, detail = required_word(part, "image_url"), word(part, "detail") or "auto"
        image, data_bytes = image_of_url(url, detail=detail, param=path)
        self.images.append(image)
        self.media_bytes += data_bytes
