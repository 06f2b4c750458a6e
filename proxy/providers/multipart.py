"""Strict reading of multipart/form-data, and writing it again: two parsers must not disagree about a price.

What is forwarded is our own writing of what was read, so preambles, odd headers and parts behind the end never leave.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from urllib.parse import unquote_to_bytes

from proxy.errors import Malformed

PARTS_MAX = 64
HEAD_BYTES_MAX = 2_048
# Of a field that is no file: the longest are prompts.
FIELD_BYTES_MAX = 256 * 1024

_CONTENT_TYPE = re.compile(
    r'multipart/form-data\s*;\s*boundary=(?:"([^"\\]{1,70})"|([^\s";,\\]{1,70}))\s*', re.IGNORECASE | re.ASCII
)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]*[0-9A-Za-z'()+_,./:=?-]")
_DISPOSITION = re.compile(
    rb'form-data;\s*name="([\w.\[\]-]{1,100})"'
    rb'(?:;\s*filename="([^"\\\x00-\x1f\x7f]{0,255})")?(?:;\s*filename\*=utf-8\'\'([!-~]{1,765}))?\s*',
    re.IGNORECASE,
)
_TYPE = re.compile(rb"[\x21-\x7e][\x20-\x7e]{0,127}")
_CHARSET = re.compile(rb"charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_UTF_8, _LIKE_ASCII = frozenset({b"utf-8", b"utf8"}), frozenset({b"us-ascii", b"ascii", b"iso-8859-1"})
_HARMLESS = frozenset({b"content-length", b"content-transfer-encoding"})
_PLAIN_ENCODINGS = frozenset({b"binary", b"8bit", b"7bit"})


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form. filename: None where it is no file. content_type: as the client named it, or empty."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str = ""

    @property
    def text(self) -> str:
        """The value of a field that is no file; raises Malformed."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            raise Malformed(problem=f"'{self.name}' is not UTF-8", param=self.name) from None


@dataclass(frozen=True, slots=True)
class Form:
    """The parts of a form in their order. digest: hexadecimal digits, equal for equal parts."""

    parts: list[Part]
    digest: str

    def fields(self) -> dict[str, str]:
        """The fields that are no files; of those whose name ends in [] the last value.

        Raises Malformed for any other name that is there twice, also as a file.
        """
        seen: set[str] = set()
        for part in self.parts:
            if part.name in seen and not part.name.endswith("[]"):
                raise Malformed(problem=f"'{part.name}' is there twice", param=part.name)
            seen.add(part.name)
        return {part.name: part.text for part in self.parts if part.filename is None}

    def files(self, *names: str) -> list[Part]:
        """The files of these names; raises Malformed for a file of another name."""
        files = [part for part in self.parts if part.filename is not None]
        for part in files:
            if part.name not in names:
                raise Malformed(problem=f"no file is expected under '{part.name}'", param=part.name)
        return files

    def written(self, changes: Mapping[str, str]) -> tuple[bytes, str]:
        """The body and the content type, with other values for some fields.

        The boundary follows from the content, which therefore cannot hold it.
        """
        boundary = f"awx-{self.digest}"
        pieces: list[bytes] = []
        for part in self.parts:
            if part.filename is None and part.name in changes:
                part = replace(part, content=changes[part.name].encode())
            pieces += [f"--{boundary}\r\n{_head(part)}\r\n\r\n".encode(), part.content, b"\r\n"]
        pieces.append(f"--{boundary}--\r\n".encode())
        return b"".join(pieces), f"multipart/form-data; boundary={boundary}"

    def clear(self) -> None:
        """Let go of the parts, once they are sent."""
        self.parts.clear()


def form_of(parts: Iterable[Part]) -> Form:
    """A form of these parts."""
    kept = list(parts)
    digest = blake2b(digest_size=16)
    for part in kept:
        digest.update(f"{part.name}\0{part.filename}\0{part.content_type}\0{len(part.content)}\0".encode())
        digest.update(part.content)
    return Form(kept, digest.hexdigest())


def is_form(headers: Mapping[str, str]) -> bool:
    """Whether the client says that its body is a form. headers: of headers.read_headers."""
    return headers.get("content-type", "").lower().startswith("multipart/")


def read_form(body: bytes, headers: Mapping[str, str]) -> Form:
    """Read a form; raises Malformed for whatever two readers might understand differently."""
    delimiter = b"--" + _boundary(headers.get("content-type", ""))
    if not body.startswith(delimiter + b"\r\n"):
        raise _malformed("it does not begin with the boundary of its Content-Type")
    parts: list[Part] = []
    at = len(delimiter)
    while body[at : at + 2] == b"\r\n":
        end = body.find(b"\r\n" + delimiter, at)
        if end < 0:
            raise _malformed("its last part has no end")
        if len(parts) == PARTS_MAX:
            raise _malformed(f"it has more than {PARTS_MAX} parts")
        parts.append(_part(body, at + 2, end))
        at = end + 2 + len(delimiter)
    if body[at : at + 5] not in (b"--", b"--\r\n"):
        raise _malformed("something follows its end")
    return form_of(parts)


def _boundary(content_type: str) -> bytes:
    match = _CONTENT_TYPE.fullmatch(content_type)
    boundary = match and (match[1] or match[2])
    if not boundary or not _BOUNDARY.fullmatch(boundary):
        raise _malformed("this endpoint takes multipart/form-data with a boundary")
    return boundary.encode("ascii")


def _part(body: bytes, start: int, end: int) -> Part:
    head_end = body.find(b"\r\n\r\n", start, min(end, start + HEAD_BYTES_MAX))
    if head_end < 0:
        raise _malformed("a part has no head, or one that is too long")
    headers: dict[bytes, bytes] = {}
    for line in body[start:head_end].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or name in headers:
            raise _malformed("the head of a part cannot be read")
        headers[name] = value.strip(b" \t")
    return _named(headers, body[head_end + 4 : end])


def _named(headers: dict[bytes, bytes], content: bytes) -> Part:
    match = _DISPOSITION.fullmatch(headers.pop(b"content-disposition", b""))
    content_type = headers.pop(b"content-type", b"")
    encoding = headers.get(b"content-transfer-encoding", b"binary").lower()
    if headers.keys() - _HARMLESS or encoding not in _PLAIN_ENCODINGS:
        raise _malformed("a part has headers that are not understood")
    if match is None or (content_type and not _TYPE.fullmatch(content_type)):
        raise _malformed("each part needs a plain name and type, without quotes or backslashes in a file's name")
    name, filename, encoded = match.groups()
    if encoded is not None and not filename:
        filename = unquote_to_bytes(encoded)
    shown = None if filename is None else _file_name(filename)
    if shown is None and len(content) > FIELD_BYTES_MAX:
        raise Malformed(problem=f"'{name.decode()}' is longer than {FIELD_BYTES_MAX} bytes", param=name.decode())
    if shown is None and not _is_utf_8(content, content_type):
        raise _malformed(f"'{name.decode()}' is in a charset that is not UTF-8")
    return Part(name.decode("ascii"), content, shown, content_type.decode("ascii"))


def _is_utf_8(content: bytes, content_type: bytes) -> bool:
    """Whether the text of a field is the same to readers that heed its charset and to those that do not."""
    charsets = {charset.lower() for charset in _CHARSET.findall(content_type)}
    return charsets <= _UTF_8 or (content.isascii() and charsets <= _UTF_8 | _LIKE_ASCII)


def _file_name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise _malformed("a file's name is not UTF-8") from None
    if not name.isprintable() or set(name) & set('"\\'):
        raise _malformed("a file's name holds characters that are not allowed")
    return name


def _head(part: Part) -> str:
    head = f'Content-Disposition: form-data; name="{part.name}"'
    if part.filename is not None:
        head += f'; filename="{part.filename}"'
    return f"{head}\r\nContent-Type: {part.content_type}" if part.content_type else head


def _malformed(problem: str) -> Malformed:
    return Malformed(problem=f"its form cannot be read: {problem}")
