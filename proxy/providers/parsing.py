"""Strict reading of a request body: what we cannot read exactly, a provider might read dearer."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeGuard

import orjson

from proxy.bounds import nfkc_growth
from proxy.errors import Malformed

JsonObject = dict[str, Any]

DEPTH_MAX = 64
# All that a model of a million tokens reads has far fewer, and so have the token ids of the largest embedding; walking
# over millions would hold up every other call.
VALUES_MAX = 500_000
# The names of its own fields are read one by one, to tell what may move the price; no API has a tenth of so many.
FIELDS_MAX = 1_000
# orjson turns whole numbers beyond 64 bits into floats, so a float this large is refused either way.
NUMBER_LIMIT = 2.0**63
_UNREAD = re.compile(r"[_\s-]|\[.*")


def parse_object(body: bytes) -> tuple[JsonObject, int]:
    """The body as an object (the last of duplicate keys counts), and its NFKC growth in bytes."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(problem=f"the body is not JSON ({_position(error)})") from None
    if not isinstance(value, dict):
        raise Malformed(problem="the body must be a JSON object")
    if len(value) > FIELDS_MAX:
        raise Malformed(problem=f"the body has more than {FIELDS_MAX} fields")
    texts: list[str] = []
    if _check(value, 1, VALUES_MAX, None if body.isascii() and not has_escapes(body) else texts) < 0:
        raise Malformed(problem=f"the body holds more than {VALUES_MAX} values")
    return value, nfkc_growth(texts)


def has_escapes(body: bytes) -> bool:
    """Whether a string of the body may hold characters by their numbers; without, it says what its bytes say."""
    # Most bodies hold no backslash at all, and one byte is found in a seventh of the time of two.
    return b"\\" in body and b"\\u" in body


def whole_number(body: JsonObject, name: str, *, least: int, most: int) -> int | None:
    """The integer under a name, None when absent or null; booleans, strings and 1.0 are not integers."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(problem=f"'{name}' must be an integer", param=name)
    if not least <= value <= most:
        raise Malformed(problem=f"'{name}' must be between {least} and {most}", param=name)
    return value


def flag(body: JsonObject, name: str) -> bool:
    """The boolean under a name, False when absent or null."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise Malformed(problem=f"'{name}' must be true or false", param=name)
    return value


def word(body: JsonObject, name: str) -> str | None:
    """The string under a name, None when absent or null."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(problem=f"'{name}' must be a string", param=name)
    return value


def required_word(body: JsonObject, name: str) -> str:
    """The string under a name, which must be there and not empty."""
    value = word(body, name)
    if not value:
        raise Malformed(problem=f"'{name}' is missing", param=name)
    return value


def table(body: JsonObject, name: str) -> JsonObject:
    """The object under a name, empty when absent or null."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(problem=f"'{name}' must be an object", param=name)
    return value


def objects(body: JsonObject, name: str, *, path: str = "") -> list[JsonObject]:
    """The list of objects under a name, empty when absent or null."""
    value = body.get(name)
    if value is None:
        return []
    if not are_objects(value):
        raise Malformed(problem=f"'{path}{name}' must be a list of objects", param=path + name)
    return value


def are_objects(value: Any) -> TypeGuard[list[JsonObject]]:
    """Whether a value is a list of objects."""
    if not isinstance(value, list):
        return False
    for item in value:  # noqa: SIM110 - every call comes here several times, and all() with a generator takes thrice
        if not isinstance(item, dict):
            return False
    return True


def check_spelling(names: Iterable[str], known: frozenset[str], path: str = "") -> None:
    """Refuse a name that is one of the known ones in another spelling: some providers would read it as that one.

    Readers written in Go know no upper case, Google's no underscores, and forms may have brackets.
    """
    if isinstance(names, dict) and names.keys() <= known:
        return
    for name in names:
        if name not in known and (meant := _spellings(known).get(_spelt(name))):
            raise Malformed(
                problem=f"'{path}{name[:100]}' is not a field; write '{path}{meant}'", param=path + name[:100]
            )


@lru_cache(64)
def _spellings(known: frozenset[str]) -> dict[str, str]:
    return {_spelt(name): name for name in sorted(known)}


def _spelt(name: str) -> str:
    return _UNREAD.sub("", name).casefold()


def _check(value: Any, depth: int, left: int, texts: list[str] | None) -> int:
    """Refuse what is too deep or too large; gather all strings, keys too, unless they are known to be ASCII.

    value: as orjson made it, which knows these types alone and none below them.
    left: how many values there may be; returns how many more, below 0 as soon as there are too many.
    """
    if depth > DEPTH_MAX:
        raise Malformed(problem=f"the body is nested deeper than {DEPTH_MAX} levels")
    left -= len(value)
    if left < 0:
        return left
    for item in value if type(value) is list else value.values():
        kind = type(item)
        if kind is str:
            if texts is not None:
                texts.append(item)
        elif kind is dict or kind is list:
            left = _check(item, depth + 1, left, texts)
            if left < 0:
                return left
        elif kind is float and abs(item) >= NUMBER_LIMIT:
            raise Malformed(problem="the body holds a number beyond 64 bits")
    if texts is not None and type(value) is dict:
        texts += value
    return left


def _position(error: orjson.JSONDecodeError) -> str:
    return f"line {error.lineno}, column {error.colno}"
