"""Width and height of an image, from the first bytes of its file: the provider reads the same ones."""

import binascii
import re
import struct

DATA_URL = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE | re.ASCII)
# Most headers lie within this; a JPEG with a long preamble is decoded whole.
FIRST_CHARACTERS = 65_536

Size = tuple[int, int]


def data_of_url(url: str) -> str | None:
    """The base64 of a data URL, None for any other URL."""
    match = DATA_URL.match(url)
    return url[match.end() :] if match else None


def size_of(data: str) -> Size | None:
    """Width and height in pixels of a base64 image (PNG, JPEG, GIF, WebP); None when unreadable."""
    size = _size(_decoded(data[:FIRST_CHARACTERS]))
    if size is None and len(data) > FIRST_CHARACTERS:
        size = _size(_decoded(data))
    return size if size and min(size) > 0 else None


def size_of_file(image: bytes) -> Size | None:
    """Width and height in pixels of an image file; None when unreadable."""
    size = _size(image)
    return size if size and min(size) > 0 else None


def _decoded(data: str) -> bytes:
    try:
        return binascii.a2b_base64(data[: len(data) // 4 * 4], strict_mode=False)
    except (binascii.Error, ValueError):
        return b""


def _size(image: bytes) -> Size | None:
    try:
        if image.startswith(b"\x89PNG\r\n\x1a\n") and image[12:16] == b"IHDR":
            return struct.unpack_from(">II", image, 16)
        if image[:6] in (b"GIF87a", b"GIF89a"):
            return struct.unpack_from("<HH", image, 6)
        if image.startswith(b"\xff\xd8"):
            return _jpeg_size(image)
        if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
            return _webp_size(image)
    except (IndexError, ValueError, ArithmeticError, struct.error):
        return None
    return None


def _jpeg_size(image: bytes) -> Size | None:
    """Walk the segments to the frame header, whose marker is C0–CF but for three that mean other things."""
    at = 2
    while at + 9 < len(image):
        if image[at] != 0xFF:
            return None
        marker = image[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", image, at + 5)
            return width, height
        length = 0 if marker == 0x01 or 0xD0 <= marker <= 0xD9 else struct.unpack_from(">H", image, at + 2)[0]
        at += 2 + length
    return None


def _webp_size(image: bytes) -> Size | None:
    kind = image[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(image[24:27], "little"), 1 + int.from_bytes(image[27:30], "little")
    if kind == b"VP8L" and image[20] == 0x2F:
        bits = int.from_bytes(image[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and image[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", image, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
