"""Recordings made here: silence in WAV and MP3."""

import struct

MP3_HEAD = b"\xff\xfb\x90\x00"  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz: 417 bytes, 1,152 samples
MP3_FRAME_BYTES = 417


def wav(seconds=1.0, *, rate=8_000, channels=1, bits=16, codec=1, size=None, tail=b"", before=b""):
    align = channels * bits // 8
    samples = bytes(round(seconds * rate) * align)
    form = struct.pack("<HHIIHH", codec, channels, rate, rate * align, align, bits)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + before
    chunks += b"data" + struct.pack("<I", len(samples) if size is None else size) + samples + tail
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def mp3(frames, *, head=MP3_HEAD, size=MP3_FRAME_BYTES, first=b""):
    one = head + bytes(size - len(head))
    return (head + first + bytes(size - len(head) - len(first)) if first else one) + one * (frames - 1)
