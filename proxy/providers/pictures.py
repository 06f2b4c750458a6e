"""Width and height of an image, from the first bytes of its file: the provider reads the same ones."""

import binascii
import re
import struct

DATA_URL = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE | re.ASCII)
# Most headers lie within this; a JPEG with a long preamble is decoded whole.
FIRST_CHARACTERS = 65_536
# Of a file before its pixels: most have a dozen, and walking over millions would hold up every other call.
PARTS_MAX = 10_000
_BLANKS = str.maketrans("", "", "\r\n\t ")

Size = tuple[int, int]


def data_of_url(url: str) -> str | None:
    """The base64 of a data URL, None for any other URL."""
    match = DATA_URL.match(url)
    return url[match.end() :] if match else None


def size_of(data: str) -> Size | None:
    """Width and height in pixels of a base64 image (PNG, JPEG, GIF, WebP); None when unreadable."""
    size = _size(_decoded(data[:FIRST_CHARACTERS])) if len(data) > FIRST_CHARACTERS else None
    size = size or _size(_decoded(data), is_whole=True)
    return size if size and min(size) > 0 else None


def size_of_file(image: bytes) -> Size | None:
    """Width and height in pixels of an image file; None when unreadable."""
    size = _size(image, is_whole=True)
    return size if size and min(size) > 0 else None


def _decoded(data: str) -> bytes:
    """Strictly: what one decoder leaves out, another may take for a letter of its own."""
    data = data.translate(_BLANKS).rstrip("=")
    try:
        return binascii.a2b_base64(data[: len(data) // 4 * 4], strict_mode=True)
    except (binascii.Error, ValueError):
        return b""


def _size(image: bytes, *, is_whole: bool = False) -> Size | None:
    """The largest size that any reader can find. is_whole: nothing follows these bytes."""
    try:
        if image.startswith(b"\x89PNG\r\n\x1a\n") and image[12:16] == b"IHDR":
            return _png_size(image, is_whole=is_whole)
        if image[:6] in (b"GIF87a", b"GIF89a"):
            return _gif_size(image)
        if image.startswith(b"\xff\xd8"):
            return _jpeg_size(image, is_whole=is_whole)
        if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
            return _webp_size(image)
    except (IndexError, ValueError, ArithmeticError, struct.error):
        return None
    return None


def _png_size(image: bytes, *, is_whole: bool) -> Size | None:
    """The size in the first chunk; none where a second one of its kind stands before the pixels: some believe that."""
    size, at = struct.unpack_from(">II", image, 16), 8
    for _ in range(PARTS_MAX):
        kind = image[at + 4 : at + 8]
        if len(kind) < 4:
            return size if is_whole else None
        if kind == b"IDAT" or not kind.isalpha():
            return size
        if kind == b"IHDR" and at > 8:
            return None
        at += 12 + int.from_bytes(image[at : at + 4], "big")
    return None


def _gif_size(image: bytes) -> Size | None:
    """The screen, or the first picture on it where that is larger: some readers make room for it."""
    width, height = struct.unpack_from("<HH", image, 6)
    at = 13 + _color_table_bytes(image[10])
    in_extension = False
    for _ in range(PARTS_MAX):
        if in_extension:
            in_extension = image[at] > 0
            at += 1 + image[at]
        elif image[at] == 0x21:
            in_extension = True
            at += 2
        elif image[at] == 0x2C:
            left, top, wide, high = struct.unpack_from("<HHHH", image, at + 1)
            return max(width, left + wide), max(height, top + high)
        else:
            return None
    return None


def _color_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _jpeg_size(image: bytes, *, is_whole: bool) -> Size | None:
    """Walk the segments to the pixels, past every frame header: their markers are C0–CF but for three.

    Where there are several, which one counts is up to the reader.
    """
    at, width, height = 2, 0, 0
    for _ in range(PARTS_MAX):
        if at + 9 >= len(image):
            return (width, height) if is_whole else None
        if image[at] != 0xFF:
            return None
        marker = image[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA:
            return width, height
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack_from(">HH", image, at + 5)
            width, height = max(width, wide), max(height, high)
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
