"""OpenAI's transcriptions and translations of recordings, by the models that are billed for how long these play."""

from collections.abc import Mapping
from dataclasses import replace

from agents.pricing import Bound, Usage
from proxy.errors import BodyTooLarge, Dialect, Malformed, UnboundedCall, UnpricedFeature
from proxy.headers import check_betas
from proxy.providers.answers import object_in
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.metered import Basis, Metered, StreamMeter
from proxy.providers.model_request import CallFacts, ModelRequest
from proxy.providers.multipart import read_form
from proxy.providers.openai.events import EventMeter
from proxy.providers.openai.fields import check_unknown, flag_in
from proxy.providers.openai.objects import metered_of
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import required_word, word
from proxy.providers.sounds import MS_PER_SECOND, duration_ms
from proxy.providers.targets import Target

TRANSCRIPTIONS = Endpoint(
    "transcriptions", Dialect.OPENAI, "POST", "/v1/audio/transcriptions", "/audio/transcriptions", kept=False
)
TRANSLATIONS = Endpoint(
    "translations", Dialect.OPENAI, "POST", "/v1/audio/translations", "/audio/translations", kept=False
)
ENDPOINTS = (TRANSCRIPTIONS, TRANSLATIONS)

FILE_BYTES_MAX = 25 * 2**20
# Billed by the second. The others are billed by tokens, of which no recording says how many it becomes.
BY_DURATION = frozenset({"whisper-1", "gpt-transcribe"})
KNOWN = frozenset(
    {
        "chunking_strategy", "chunking_strategy[prefix_padding_ms]", "chunking_strategy[silence_duration_ms]",
        "chunking_strategy[threshold]", "chunking_strategy[type]", "file", "include", "include[]", "keywords",
        "keywords[]", "language", "languages", "languages[]", "model", "prompt", "response_format", "stream",
        "temperature", "timestamp_granularities", "timestamp_granularities[]",
    }
)  # fmt: skip
_KIND = "transcription"
_LAST = frozenset({"transcript.text.done"})


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read a recording and measure it; raises the refusals of proxy.errors."""
    check_betas(headers, Dialect.OPENAI)
    form = read_form(body, headers)
    fields, files = form.fields(), form.files("file")
    model = required_word(fields, "model")
    check_unknown(fields, KNOWN)
    if references := [name for name in fields if name.startswith("known_speaker")]:
        raise UnpricedFeature(feature="recordings of known speakers", param=references[0])
    if not files:
        raise Malformed(problem="'file' must be a file with a name", param="file")
    recording = files[0].content
    if len(recording) > FILE_BYTES_MAX:
        raise BodyTooLarge(max_bytes=FILE_BYTES_MAX)
    return ModelRequest(
        endpoint=route.endpoint,
        model=model,
        body=dict(fields),
        stream=flag_in(fields, "stream"),
        output_cap=0,
        beside=Bound(0, 0, duration_ms=duration_ms(recording, param="file") + MS_PER_SECOND),
        form=form,
        user=word(fields, "user"),
        facts=CallFacts(body_fingerprint=form.digest[:16]),
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Write the form again, with the target's model id; raises UnboundedCall for a model that is billed otherwise."""
    if target.model not in BY_DURATION:
        raise UnboundedCall(
            what=f"{target.model} is billed for the tokens that it hears, which only it can count",
            param="model",
            hint=f"Use {' or '.join(sorted(BY_DURATION, reverse=True))}, billed by the second.",
        )
    assert request.form is not None, "read from a form"
    body, content_type = request.form.written({"model": target.model})
    return Outgoing(request=request, target=target, body=body, input_tokens=0, cap_field="", content_type=content_type)


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a whole answer; text and subtitles tell no bill."""
    found = object_in(body) or {}
    if found.get("usage") is None:
        return _measured(request, finished=bool(body))
    return metered_of(_KIND, found, finished=True)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """A meter of events."""
    return _TranscriptMeter(request)


class _TranscriptMeter(EventMeter):
    """What was heard is billed, however much of it was told."""

    def __init__(self, request: ModelRequest) -> None:
        super().__init__(_KIND, _LAST)
        self._request = request

    def finish(self) -> Metered:
        """What the stream said, or what the recording says where it did not."""
        metered = super().finish()
        if metered.usage is not None or metered.raw_usage is not None:
            return metered
        return replace(_measured(self._request, finished=metered.finished), error=metered.error)


def _measured(request: ModelRequest, *, finished: bool) -> Metered:
    """The seconds that were measured before the call, each begun one whole, as the provider counts them."""
    seconds = -(-(request.beside.duration_ms - MS_PER_SECOND) // MS_PER_SECOND)
    usage = Usage(duration_ms=seconds * MS_PER_SECOND)
    return Metered(usage=usage, basis=Basis.INPUT_ONLY, finished=finished)
