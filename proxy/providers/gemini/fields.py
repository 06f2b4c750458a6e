"""Google reads every field under its camelCase and its snake_case name; a request may use either, but not both."""

import re
from collections.abc import Set
from typing import Any, TypeGuard

from proxy.errors import Malformed, UnpricedFeature
from proxy.providers.parsing import JsonObject

_UNDERSCORE = re.compile(r"(?<=.)_([a-z0-9])")


def camel(name: str) -> str:
    """The camelCase form of a field's name."""
    return _UNDERSCORE.sub(lambda match: match[1].upper(), name) if "_" in name else name


def canonical(value: Any, path: str) -> JsonObject:
    """An object by its camelCase names, without what is null; refuses two names of one field.

    The object itself where it has no other names and no nulls: nobody changes what is returned.
    """
    if _is_canonical(value):
        return value
    if not isinstance(value, dict):
        raise Malformed(problem=f"'{path or 'the body'}' must be an object", param=path or None)
    named: JsonObject = {}
    for name, item in value.items():
        if camel(name) in named:
            raise Malformed(problem=f"'{name}' is there under both of its names", param=joined(path, camel(name)))
        named[camel(name)] = item
    return {name: item for name, item in named.items() if item is not None}


def _is_canonical(value: Any) -> TypeGuard[JsonObject]:
    if not isinstance(value, dict):
        return False
    for name, item in value.items():  # noqa: SIM110 - a generator takes thrice as long, and most objects come here
        if item is None or "_" in name:
            return False
    return True


def spelling(value: JsonObject, name: str) -> str:
    """The name under which a field stands in an object: as it is there, or else camelCase."""
    return next((spelled for spelled in value if camel(spelled) == name), name)


def listed(value: Any, path: str) -> list[JsonObject]:
    """A list of objects by canonical names; like Google we take one object for a list of one."""
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise Malformed(problem=f"'{path}' must be a list of objects", param=path)
    return [item if _is_canonical(item) else canonical(item, f"{path}[{index}]") for index, item in enumerate(items)]


def check_known(fields: JsonObject, known: Set[str], path: str = "") -> None:
    """Refuse a field that is not known to leave the price alone; Google knows no others either."""
    if fields.keys() <= known:
        return
    for name in fields:
        if name not in known:
            raise UnpricedFeature(feature=f"the field '{name}'", param=joined(path, name))


def joined(path: str, name: str) -> str:
    """The path of a member."""
    return f"{path}.{name}" if path else name
