"""A recording is as long as what will be decoded, whatever its headers say."""

import struct
import time

import pytest

from proxy.errors import UnboundedCall
from proxy.providers import sounds
from tests.proxy.providers.recordings import mp3, wav


def measured(data):
    return sounds.duration_ms(data, param="file")


@pytest.mark.parametrize(
    ("recording", "ms"),
    [
        (wav(60), 60_000),
        (wav(60, rate=44_100, channels=2), 60_000),
        (wav(0.5, bits=24), 500),
        (wav(1, codec=3, bits=32), 1_000),
        (wav(1, codec=7, bits=8), 1_000),
        (wav(1, size=0), 1_000),
        (wav(1, size=0xFFFFFFFF), 1_000),
        (wav(1, size=2), 1_000),
        (wav(1, before=b"LIST" + struct.pack("<I", 3) + b"abc\0"), 1_000),
        (wav(1, rate=8_000, tail=bytes(8_000)), 1_500),
        (wav(1, rate=1), 1_000),
        (wav(0), 0),
        (mp3(1), 27),
        (mp3(2_297), 60_004),
        (b"ID3\x04\x00\x00\x00\x00\x01\x00" + b"\xff" * 128 + mp3(10), 262),
        (b"ID3\x04\x00\x00\x00\x00\x00\x02ab" * 2 + mp3(10), 262),
        (mp3(10) + b"TAG" + b"x" * 125, 262),
        (mp3(10) + bytes(5_000), 262),
        (mp3(10)[:-100], 262),
        (mp3(10, first=b"\0" * 32 + b"Info" + struct.pack(">II", 1, 9)), 262),
        (mp3(10, head=b"\xff\xf3\x14\xc4", size=24), 240),  # MPEG 2, 24 kHz, 8 kbit/s
        (mp3(10, head=b"\xff\xe3\x18\xc4", size=72), 720),  # MPEG 2.5, 8 kHz, 8 kbit/s
        (mp3(10, head=b"\xff\xfd\x94\x00", size=480), 240),  # layer II, 48 kHz, 160 kbit/s
        (mp3(10, head=b"\xff\xff\x14\x00", size=32), 80),  # layer I, 48 kHz, 32 kbit/s
    ],
)
def test_what_plays_is_measured(recording, ms):
    assert measured(recording) == ms


@pytest.mark.parametrize(
    "recording",
    [
        b"",
        b"RIFF",
        b"fLaC" + bytes(100),
        b"OggS" + bytes(100),
        b"\x1aE\xdf\xa3" + bytes(100),
        b"\0\0\0\x20ftypM4A " + bytes(100),
        b"RF64\xff\xff\xff\xffWAVE" + bytes(100),
        wav(1, codec=2, bits=4),
        wav(1, codec=0x55),
        wav(1, channels=0),
        wav(0, rate=0),
        wav(1, size=2**31),
        wav(1)[:36],
        wav(1).replace(b"fmt ", b"junk"),
        wav(1, before=b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8, 8, 1, 8)),
        mp3(5) + b"junk" + mp3(5),
        mp3(5) + wav(1),
        mp3(5, head=b"\xff\xfb\x00\x00"),  # free format
        mp3(5, head=b"\xff\xfb\xf0\x00"),
        mp3(5, head=b"\xff\xfb\x9c\x00"),
        mp3(5, head=b"\xff\xeb\x90\x00"),
        mp3(10, first=b"\0" * 32 + b"Xing" + struct.pack(">II", 1, 10_000)),
        mp3(10, first=b"\0" * 32 + b"VBRI" + bytes(10) + struct.pack(">I", 10_000)),
        b"ID3\x04\x00\x00\xff\xff\xff\xff" + mp3(5),
        b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + mp3(5),
        bytes(5_000),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_formats_that_can(recording):
    with pytest.raises(UnboundedCall) as caught:
        measured(recording)
    assert caught.value.param == "file"
    assert "WAV" in caught.value.hint


def adts(size, count):
    head = 0xFF, 0xF1, 0x6C, 0x40 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F
    return bytes(head).ljust(size, b"x") * count


@pytest.mark.parametrize(
    "samples",
    [
        adts(20, 900),
        bytes(4_000) + adts(20, 900),
        mp3(60),
        b"\x56\xe0\x10".ljust(19, b"x") * 900,
        b"\x0b\x77" + bytes(900),
        b"\x72\xf8\x1f\x4e\x01\0\0\x04".ljust(136, b"x") * 90,
        b"\x7f\xfe\x80\x01".ljust(96, b"x") * 90,
    ],
    ids=["AAC", "AAC after silence", "MP3", "LATM", "AC-3", "S/PDIF", "DTS"],
)
def test_a_wav_whose_samples_some_readers_take_for_another_codec_is_refused(samples):
    with pytest.raises(UnboundedCall, match="another codec"):
        measured(wav(0, rate=192_000, channels=2, size=0, tail=samples))


@pytest.mark.parametrize("samples", [b"\xff\xff" * 900, b"\xfe\xff\xff\xff\0\0" * 900, bytes(range(256)) * 90])
def test_ordinary_samples_are_not_taken_for_another_codec(samples):
    assert measured(wav(0, rate=8_000, size=0, tail=samples)) == -(-len(samples) * 1_000 // 16_000)


def test_a_header_that_understates_gains_nothing():
    """Its sizes say two seconds; sixty are there, and sixty are what counts."""
    assert measured(wav(60, size=32_000)) == 60_000


def test_as_many_frames_as_are_scanned_take_little_time_and_more_are_refused():
    most = sounds.FRAMES_MAX - 1
    began = time.thread_time()
    assert measured(mp3(most, head=b"\xff\xf3\x14\xc4", size=24)) == most * 24
    assert time.thread_time() - began < 2
    with pytest.raises(UnboundedCall):
        measured(mp3(most + 1, head=b"\xff\xf3\x14\xc4", size=24))


def test_frames_of_every_kind_and_tags_without_end_hold_nobody_up():
    kinds = [
        bytes((0xFF, 0xE0 | version << 3 | layer << 1 | protected, kbits << 4 | rate << 2 | private))
        for version in (0, 2, 3)
        for layer in (1, 2, 3)
        for protected in (0, 1)
        for kbits in range(1, 15)
        for rate in range(3)
        for private in (0, 1)
    ]
    frames = b"".join(head.ljust(sounds._frame(head).size, b"x") for head in kinds)
    began = time.process_time()
    assert measured(frames + mp3(60_000)) > 0
    with pytest.raises(UnboundedCall):
        measured(b"ID3\x04\x00\x00\x00\x00\x00\x00" * 100_000)
    assert time.process_time() - began < 2
