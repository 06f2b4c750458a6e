"""The few changes we make to a body on its way out."""

from collections.abc import Iterable

import orjson


def with_cap(body: bytes, field: str, output_cap: int, *, nested: bool = False) -> bytes:
    """The serialised body with an output bound in tokens added to it.

    nested: it goes into the last member of the body, which is an object.
    """
    end = b"}}" if nested else b"}"
    begin = body[: -len(end)]
    separator = b"" if begin.endswith(b"{") else b","
    return b'%b%b"%b":%d%b' % (begin, separator, field.encode(), output_cap, end)


def with_lower_cap(body: bytes, fields: Iterable[str], output_cap: int, *, parent: str = "") -> bytes:
    """The serialised body with its output bound lowered, under every name that it has there; never longer.

    parent: the member that holds the bound; empty for the body itself.
    """
    content = orjson.loads(body)
    holder = content[parent] if parent else content
    holder |= dict.fromkeys((field for field in fields if holder.get(field) is not None), output_cap)
    return orjson.dumps(content)


def cap_bytes(field: str, output_cap: int) -> int:
    """How many bytes `with_cap` adds."""
    return len(field) + len(',"":') + len(str(output_cap))
