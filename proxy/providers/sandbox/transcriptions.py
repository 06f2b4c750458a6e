"""Practice transcripts: nobody listens, but the recording's length is billed."""

import orjson

from proxy.providers.model_request import ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.sandbox.words import TEXT
from proxy.providers.sounds import MS_PER_SECOND
from proxy.providers.targets import Target

PLAIN = frozenset({"text", "srt", "vtt"})


def content_type(request: ModelRequest) -> str:
    """Text and subtitles are plain text."""
    if request.body.get("response_format") in PLAIN:
        return "text/plain; charset=utf-8"
    return "text/event-stream; charset=utf-8" if _streams(request) else "application/json"


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The body of the answer, in the pieces of a stream or as one."""
    form = request.body.get("response_format")
    if form in PLAIN:
        head = {"srt": "1\n00:00:00,000 --> 00:00:05,000\n", "vtt": "WEBVTT\n\n00:00.000 --> 00:05.000\n"}.get(form, "")
        return [f"{head}{TEXT}\n".encode()]
    seconds = -(-(request.beside.duration_ms - MS_PER_SECOND) // MS_PER_SECOND)
    answer: JsonObject = {"text": TEXT, "usage": {"type": "duration", "seconds": seconds}}
    if _streams(request):
        events: list[JsonObject] = [{"type": "transcript.text.delta", "delta": TEXT}]
        events.append({"type": "transcript.text.done", **answer})
        return [b"data: " + orjson.dumps(event) + b"\n\n" for event in events]
    if form == "verbose_json":
        task = "translate" if request.endpoint.name == "translations" else "transcribe"
        answer = {"task": task, "language": "english", "duration": float(seconds), "segments": [], **answer}
    return [orjson.dumps(answer)]


def _streams(request: ModelRequest) -> bool:
    """whisper-1 does not."""
    return request.stream and not request.model.endswith("whisper-1")
