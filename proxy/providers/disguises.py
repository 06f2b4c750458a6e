"""Samples of a WAV that are another codec's: some readers look for those, and a few bytes of them can be minutes."""

from collections.abc import Callable

# Readers look at less.
LOOKED_BYTES = 2**20
FRAMES_MIN = 3
# How bursts of S/PDIF and frames of DTS, TrueHD and MLP begin, in either order of bytes.
_WORDS = tuple(
    bytes.fromhex(word)
    for word in ("72f81f4e", "f8724e1f", "7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8", "f8726fba", "f8726fbb")
)
_AC3 = (b"\x0b\x77", b"\x77\x0b")


def is_disguised(samples: bytes) -> bool:
    """Whether samples of sixteen bits look like AAC, AC-3, DTS, TrueHD or S/PDIF bursts."""
    start = samples[:LOOKED_BYTES].lstrip(b"\0")
    if start.startswith(_AC3) or any(start.count(word) > 1 for word in _WORDS):
        return True
    return any(is_chain(start, size) for size in (_adts_bytes, _loas_bytes))


def is_chain(data: bytes, size_of: Callable[[bytes], int]) -> bool:
    """Whether data begins with several frames, one right behind the other. size_of: of a frame's head, 0 for none."""
    at = 0
    for _ in range(FRAMES_MIN):
        size = size_of(data[at : at + 6])
        if not size:
            return False
        at += size
    return True


def _adts_bytes(head: bytes) -> int:
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size >= 7 else 0


def _loas_bytes(head: bytes) -> int:
    if len(head) < 3 or head[0] != 0x56 or head[1] & 0xE0 != 0xE0:
        return 0
    return ((head[1] & 0x1F) << 8 | head[2]) + 3
