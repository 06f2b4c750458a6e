"""The size of an image is the largest that any reader could find in it: where two readers differ, the dearer counts."""

import base64
import struct
import time

import pytest

from proxy.providers import pictures


def base64_of(image):
    return base64.b64encode(image).decode()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + bytes(4)


def header(width, height):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))


def png(*chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def gif(screen, frame, *, before=b""):
    placed = b"\x2c" + struct.pack("<HHHH", *frame) + b"\0\x02\x02\x4c\x01\0;"
    return b"GIF89a" + struct.pack("<HH", *screen) + b"\x80\0\0" + bytes(6) + before + placed


def frame_header(width, height, marker=0xC0):
    return bytes([0xFF, marker]) + struct.pack(">HBHHB", 8, 8, height, width, 0)


def jpeg(*segments):
    return b"\xff\xd8" + b"".join(segments) + b"\xff\xda" + bytes(40)


PIXELS = chunk(b"IDAT", bytes(10))
COMMENT = b"\x21\xfe\x03abc\0"


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (png(header(640, 480), PIXELS), (640, 480)),
        (png(header(640, 480), chunk(b"tEXt", b"IHDR" * 30_000), PIXELS), (640, 480)),
        (png(header(640, 480)), (640, 480)),
        # A reader that goes on until the pixels takes the second header.
        (png(header(1, 1), header(16_000, 16_000), PIXELS), None),
        (png(header(1, 1), chunk(b"tEXt", bytes(90_000)), header(16_000, 16_000), PIXELS), None),
        (png(header(1, 1), *[chunk(b"tEXt", b"")] * 10_001), None),
        (gif((640, 480), (0, 0, 640, 480)), (640, 480)),
        (gif((640, 480), (0, 0, 640, 480), before=COMMENT), (640, 480)),
        # Some readers make room for a picture that is larger than its screen.
        (gif((1, 1), (0, 0, 16_000, 9_000)), (16_000, 9_000)),
        (gif((1, 1), (500, 0, 100, 100), before=COMMENT * 3_000), (600, 100)),
        (b"GIF89a" + struct.pack("<HH", 1, 1) + bytes(3), None),
        (jpeg(frame_header(640, 480)), (640, 480)),
        (jpeg(b"\xff" * 20, frame_header(640, 480)), (640, 480)),
        (jpeg(frame_header(1, 1), frame_header(16_000, 9_000, 0xC2)), (16_000, 9_000)),
    ],
)
def test_of_two_sizes_the_larger_counts_or_none(image, size):
    assert pictures.size_of(base64_of(image)) == size
    assert pictures.size_of_file(image) == size


def test_base64_that_two_decoders_read_differently_has_no_size():
    data = base64_of(png(header(640, 480), PIXELS))
    assert pictures.size_of("\r\n".join((data[:40], data[40:]))) == (640, 480)
    assert pictures.size_of(data.rstrip("=")) == (640, 480)
    for other in ("-", "_", ",", "=", "\0", "ä"):
        assert pictures.size_of(data[:20] + other + data[20:]) is None


@pytest.mark.parametrize(
    "image",
    [
        png(header(1, 1), *[chunk(b"tEXt", b"")] * 400_000),
        gif((1, 1), (0, 0, 1, 1), before=b"\x21\xfe" + b"\x01a" * 3_000_000 + b"\0"),
        jpeg(b"\xff" * 6_000_000, frame_header(1, 1)),
        jpeg(b"\xff\xe0\0\x02" * 1_500_000, frame_header(1, 1)),
    ],
    ids=["png", "gif", "jpeg fill", "jpeg segments"],
)
def test_an_image_of_very_many_parts_is_given_up_at_once(image):
    began = time.thread_time()
    assert pictures.size_of_file(image) is None
    assert time.thread_time() - began < 0.2
