"""What the surfaces beside chat check alike: fields nobody knows, tokens given as numbers."""

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.errors import Malformed, UnpricedFeature
from proxy.providers.multipart import is_form
from proxy.providers.openai.chat_checks import SUSPICIOUS
from proxy.providers.parsing import check_spelling, flag, whole_number

TOKEN_ID_MAX = 2**31
_FLAGS = {"true": True, "false": False}


def check_unknown(body: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse a field that we do not know and whose name says that it could move the price, or is one of ours."""
    for name in sorted(body.keys() - known):
        if SUSPICIOUS.search(name) and body[name] is not None:
            raise UnpricedFeature(feature=f"the field '{name}'", param=name)
    check_spelling(body, known)


def check_json(headers: Mapping[str, str]) -> None:
    """Refuse a form where JSON is taken. headers: of headers.read_headers."""
    if is_form(headers):
        raise Malformed(problem="this endpoint takes JSON, and its Content-Type says a form", param="content-type")


def number_in(fields: Mapping[str, Any], name: str, *, least: int, most: int) -> int | None:
    """The integer under a name, as JSON has it or as a form writes it; None when absent or null."""
    value = fields.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    return whole_number({name: value}, name, least=least, most=most)


def flag_in(fields: Mapping[str, Any], name: str) -> bool:
    """The boolean under a name, as JSON has it or as a form writes it; False when absent or null."""
    value = fields.get(name)
    return flag({name: _FLAGS.get(value, value) if isinstance(value, str) else value}, name)


def one_of(body: Mapping[str, Any], name: str, values: tuple[str, ...], *, feature: str) -> str | None:
    """The word under a name, None when absent or null; raises UnpricedFeature for another word."""
    value = body.get(name)
    if value is not None and value not in values:
        hint = f"Leave it out, or use {', '.join(values)}."
        raise UnpricedFeature(feature=f"the {feature} {str(value)[:40]!r}", param=name, hint=hint)
    return None if value is None else str(value)


def texts_or_tokens(value: Any, name: str) -> tuple[int, int]:
    """How many texts a value holds: a string, strings, or the token ids of one text or of several.

    Returns that number and, for token ids, how many bytes of JSON are more than their count; raises Malformed.
    """
    if isinstance(value, str):
        return 1, 0
    if isinstance(value, list) and value:
        if all(isinstance(item, str) for item in value):
            return len(value), 0
        if _is_tokens(value):
            return 1, len(orjson.dumps(value)) - len(value)
        if all(isinstance(item, list) and item and _is_tokens(item) for item in value):
            return len(value), len(orjson.dumps(value)) - sum(map(len, value))
    problem = f"'{name}' must be a string, a list of strings, or lists of token ids; none may be empty"
    raise Malformed(problem=problem, param=name)


def _is_tokens(items: list[Any]) -> bool:
    return all(type(item) is int and 0 <= item < TOKEN_ID_MAX for item in items)
