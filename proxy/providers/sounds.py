"""How long a recording plays, from what a decoder will decode and never from what a header says of it.

Two formats can be measured without decoding: PCM in WAV, where bytes are time, and MP3, whose frames each say how long
they are. In the others a few bytes can be hours of silence, or only a header knows the length.
"""

import struct
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from proxy.errors import UnboundedCall
from proxy.providers.disguises import is_chain, is_disguised

MS_PER_SECOND = 1_000
# Four hours of the usual frames; scanning them takes a quarter of a second, in which nothing else is served.
FRAMES_MAX = 600_000
CHUNKS_MAX = 1_000
TAGS_MAX = 16
FORMATS = "WAV with PCM, or MP3"

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_BITS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64), _ALAW: (8,), _MULAW: (8,)}
# What writers put where they cannot know the length yet.
_LENGTH_UNKNOWN = frozenset({0, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFF000, 0xFFFFFFFF})

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBITS_1 = {
    3: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBITS_2 = {
    3: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class _Unmeasured(Exception):
    """Why a recording cannot be measured, as a clause."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """An MPEG audio frame: its bytes, how many samples it plays at which rate."""

    size: int
    samples: int
    rate: int


def duration_ms(data: bytes, *, param: str) -> int:
    """Milliseconds that a recording plays, rounded up; raises UnboundedCall. param: the field it came in."""
    try:
        seconds = _wav_seconds(data) if data[:4] == b"RIFF" else _mp3_seconds(data)
    except _Unmeasured as why:
        raise UnboundedCall(
            what=f"how long this recording plays cannot be measured ({why})",
            param=param,
            hint=f"Send {FORMATS}. Other formats (FLAC, M4A, MP4, OGG, WebM) tell their length only in a header.",
        ) from None
    return ceil(seconds * MS_PER_SECOND)


def _wav_seconds(data: bytes) -> Fraction:
    """All that follows the beginning of the samples is taken for samples: no size in the file is believed."""
    if data[8:12] != b"WAVE":
        raise _Unmeasured("it is not a WAV file")
    at, bytes_per_second = 12, 0
    for _ in range(CHUNKS_MAX):
        if at + 8 > len(data):
            break
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        if kind == b"data":
            if not bytes_per_second:
                break
            if size > len(data) - at and size not in _LENGTH_UNKNOWN:
                raise _Unmeasured("it says that it is longer than it is")
            if is_disguised(data[at:]) or is_chain(data[at:].lstrip(b"\0"), _mp3_bytes):
                raise _Unmeasured("its samples look like another codec's")
            return Fraction(len(data) - at, bytes_per_second)
        if kind == b"fmt ":
            if bytes_per_second:
                raise _Unmeasured("it has two formats")
            bytes_per_second = _bytes_per_second(data[at : at + size])
        at += size + size % 2
    raise _Unmeasured("it holds no samples")


def _bytes_per_second(form: bytes) -> int:
    if len(form) < 16:
        raise _Unmeasured("its format is cut short")
    codec, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", form)
    if codec == _EXTENSIBLE and len(form) >= 26:
        codec = int.from_bytes(form[24:26], "little")
    if bits not in _BITS.get(codec, ()) or not channels or not rate or align != channels * bits // 8:
        raise _Unmeasured("its samples are compressed, or of an unusual form")
    return int(rate * align)


def _mp3_seconds(data: bytes) -> Fraction:
    """Walk from frame to frame; anything between them could hold more than we see."""
    at, end = _after_tags(data), len(data)
    if data[-128:-125] == b"TAG":
        end -= 128
    frames: dict[bytes, _Frame] = {}
    heads: Counter[bytes] = Counter()
    first, count = at, 0
    while at < end and count < FRAMES_MAX:
        head = data[at : at + 3]
        frame = frames.get(head)
        if frame is None:
            if head[:1] == b"\0" and not data[at:end].strip(b"\0"):
                break  # padding
            frame = frames[head] = _frame(head)
        heads[head] += 1
        at += frame.size
        count += 1
    if not count or count == FRAMES_MAX:
        raise _Unmeasured("it has too many frames" if count else "it holds no frames")
    if _frames_told(data[first : first + 256]) > count:
        raise _Unmeasured("it says that it is longer than it is")
    return sum(
        (Fraction(times * frames[head].samples, frames[head].rate) for head, times in heads.items()), Fraction(0)
    )


def _after_tags(data: bytes) -> int:
    """Where the ID3v2 tags at the beginning end."""
    at = 0
    for _ in range(TAGS_MAX):
        if data[at : at + 3] != b"ID3" or at + 10 > len(data):
            return at
        high, upper, lower, low = data[at + 6 : at + 10]
        if max(high, upper, lower, low) > 127:
            raise _Unmeasured("its tag cannot be read")
        footer = 10 if data[at + 5] & 0x10 else 0
        at += 10 + (high << 21 | upper << 14 | lower << 7 | low) + footer
    raise _Unmeasured("it has too many tags")


def _frame(head: bytes) -> _Frame:
    """What the first three bytes of a frame say; raises _Unmeasured where there is none."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        raise _Unmeasured("it is neither WAV nor MP3, or something stands between its frames")
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    kbits_at, rate_at, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 0 or rate_at == 3 or not 0 < kbits_at < 15:
        raise _Unmeasured("a frame has no fixed length")
    rate = _RATES[version][rate_at]
    bits = (_KBITS_1 if version == 3 else _KBITS_2)[layer][kbits_at - 1] * 1_000
    if layer == 3:
        return _Frame((12 * bits // rate + padding) * 4, 384, rate)
    samples = 576 if layer == 1 and version != 3 else 1_152
    return _Frame(samples // 8 * bits // rate + padding, samples, rate)


def _mp3_bytes(head: bytes) -> int:
    try:
        return _frame(head[:3]).size
    except _Unmeasured:
        return 0


def _frames_told(first: bytes) -> int:
    """How many frames the first one claims, 0 where it says nothing."""
    for mark in (b"Xing", b"Info"):
        at = first.find(mark)
        if at >= 0 and int.from_bytes(first[at + 4 : at + 8], "big") & 1:
            return int.from_bytes(first[at + 8 : at + 12], "big")
    at = first.find(b"VBRI")
    return int.from_bytes(first[at + 14 : at + 18], "big") if at >= 0 else 0
