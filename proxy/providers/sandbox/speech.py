"""Practice speech: silence, a moment for each word."""

import struct

import orjson

from proxy.providers.model_request import ModelRequest
from proxy.providers.targets import Target

# A silent frame: MPEG 1, layer III, 128 kbit/s, 44.1 kHz; its 417 bytes play for 26 ms.
FRAME = b"\xff\xfb\x90\x00" + bytes(413)
FRAMES_PER_CHUNK = 8
CHUNKS_MAX = 64
RATE = 24_000
TYPES = {"wav": "audio/wav", "pcm": "audio/pcm"}


def content_type(request: ModelRequest) -> str:
    """WAV and PCM as asked; everything else is MP3 here."""
    return TYPES.get(str(request.body.get("response_format")), "audio/mpeg")


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The sound in the pieces of a stream."""
    body = orjson.loads(sent)
    count = min(len(body["input"].split()) + 1, CHUNKS_MAX)
    if body.get("response_format") not in TYPES:
        return [FRAME * FRAMES_PER_CHUNK] * count
    samples = bytes(RATE // 5 * 2)
    return ([_wav_head(len(samples) * count)] if body["response_format"] == "wav" else []) + [samples] * count


def _wav_head(sample_bytes: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", sample_bytes)
    return b"RIFF" + struct.pack("<I", len(chunks) + sample_bytes) + chunks
