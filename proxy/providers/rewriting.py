"""The few changes we make to a body on its way out."""

from collections.abc import Iterable

import orjson


def with_cap(body: bytes, field: str, output_cap: int) -> bytes:
    """The serialised body with an output bound in tokens added to it."""
    separator = b"" if body == b"{}" else b","
    return b'%b%b"%b":%d}' % (body[:-1], separator, field.encode(), output_cap)


def with_lower_cap(body: bytes, fields: Iterable[str], output_cap: int) -> bytes:
    """The serialised body with its output bound lowered, under every name that it has there; never longer."""
    content = orjson.loads(body)
    named = [field for field in fields if content.get(field) is not None]
    return orjson.dumps(content | dict.fromkeys(named, output_cap))


def cap_bytes(field: str, output_cap: int) -> int:
    """How many bytes `with_cap` adds."""
    return len(field) + len(',"":') + len(str(output_cap))
