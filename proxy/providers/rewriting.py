"""The few changes we make to a body on its way out."""

import orjson


def with_cap(body: bytes, field: str, output_cap: int, *, present: bool) -> bytes:
    """The serialised body with an output bound in tokens; present: it holds one already, which is replaced."""
    if present:
        return orjson.dumps(orjson.loads(body) | {field: output_cap})
    separator = b"" if body == b"{}" else b","
    return b'%b%b"%b":%d}' % (body[:-1], separator, field.encode(), output_cap)


def cap_bytes(field: str, output_cap: int) -> int:
    """How many bytes `with_cap` adds."""
    return len(field) + len(',"":') + len(str(output_cap))
