"""Transcripts: a recording is bounded by what will be heard, and billed by the second."""

import httpx
import orjson
import pytest

from agents.pricebook import current_book
from agents.pricing import Circumstances, Usage, cost_pico
from proxy.errors import BodyTooLarge, Dialect, Malformed, Refusal, UnboundedCall, UnpricedFeature
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.multipart import read_form
from proxy.providers.openai import transcriptions
from proxy.providers.targets import OPENAI, Target
from tests.proxy.providers.recordings import mp3, wav
from tests.proxy.test_bounds import NOW

WHISPER = OPENAI.target("whisper-1", Dialect.OPENAI)


def read(recording=None, *, endpoint=transcriptions.TRANSCRIPTIONS, files=None, headers=None, **fields):
    files = files if files is not None else {"file": ("a.wav", wav(60) if recording is None else recording)}
    request = httpx.Request("POST", "https://h", data={"model": "whisper-1"} | fields, files=files)
    headers = headers or {"content-type": request.headers["content-type"]}
    return transcriptions.read_request(Route(endpoint), request.read(), headers)


def pico(usage):
    return cost_pico(current_book().row("openai", "whisper-1", NOW), usage, Circumstances())


def test_sixty_seconds_cost_sixty_times_the_rate():
    """Scenario B11: a price by the second counts although the price of output is nothing."""
    request = read()
    bound = transcriptions.prepare(request, WHISPER).bound(0)
    assert (bound.duration_ms, bound.input_tokens, bound.output_tokens) == (61_000, 0, 0)
    told = orjson.dumps({"text": "", "usage": {"type": "duration", "seconds": 60}})
    assert pico(transcriptions.read_answer(request, told).usage) == 60 * 100_000_000  # $0.36 an hour


@pytest.mark.parametrize("recording", [wav(60), mp3(2_000)])
def test_a_header_never_says_how_long_it_is(recording):
    assert read(recording).beside.duration_ms in (61_000, 53_245)


@pytest.mark.parametrize(
    ("answer", "basis", "ms"),
    [
        (b'{"text":"a","usage":{"type":"duration","seconds":60}}', Basis.USAGE, 60_000),
        (b'{"text":"a","usage":{"type":"duration","seconds":59.5}}', Basis.USAGE, 59_500),
        (b'{"text":"a"}', Basis.INPUT_ONLY, 60_000),
        (b"1\n00:00:00,000 --> 00:00:01,000\na\n", Basis.INPUT_ONLY, 60_000),
        (b"", Basis.INPUT_ONLY, 60_000),
    ],
)
def test_an_answer_that_tells_no_bill_is_charged_what_was_measured(answer, basis, ms):
    metered = transcriptions.read_answer(read(wav(59.2)), answer)
    assert (metered.basis, metered.usage.duration_ms) == (basis, ms)
    assert metered.charged_usage(0) == Usage(duration_ms=ms)


@pytest.mark.parametrize("seconds", [-1, "60", None, True, 10**9])
def test_an_impossible_bill_is_charged_at_the_ceiling(seconds):
    metered = transcriptions.read_answer(read(), orjson.dumps({"usage": {"type": "duration", "seconds": seconds}}))
    assert (metered.usage, metered.basis) == (None, Basis.NONE)


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o", "whisper-large-v3"])
def test_models_that_are_billed_by_tokens_are_refused_with_those_that_are_not(model):
    with pytest.raises(UnboundedCall) as caught:
        transcriptions.prepare(read(model=model), Target("openai", model))
    assert "whisper-1" in caught.value.hint


def test_the_form_arrives_as_it_was_but_for_the_model():
    fields = {
        "model": "openai/whisper-1", "language": "en", "prompt": "Names: Alice", "response_format": "verbose_json",
        "temperature": "0.2", "timestamp_granularities[]": ["word", "segment"], "something_new": "x",
    }  # fmt: skip
    outgoing = transcriptions.prepare(read(**fields), WHISPER)
    sent = read_form(outgoing.send(), {"content-type": outgoing.content_type})
    values = [(one.name, one.text) for one in sent.parts if one.filename is None]
    assert values == [
        ("model", "whisper-1"), ("language", "en"), ("prompt", "Names: Alice"), ("response_format", "verbose_json"),
        ("temperature", "0.2"), ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment"),
        ("something_new", "x"),
    ]  # fmt: skip
    file = sent.files("file")[0]
    assert (file.filename, file.content, file.content_type) == ("a.wav", wav(60), "audio/x-wav")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"service_tier": "fast"}, UnpricedFeature),
        ({"MODEL": "gpt-4o"}, UnpricedFeature),
        ({"model[]": "gpt-4o"}, UnpricedFeature),
        ({"known_speaker_references[]": "data:audio/wav;base64,AA"}, UnpricedFeature),
        ({"stream": "yes"}, Malformed),
        ({"model": ""}, Malformed),
        ({"model": ["whisper-1", "gpt-4o-transcribe"]}, Malformed),
        ({"files": {}}, Malformed),
        ({"files": {"file": (None, b"RIFF")}}, Malformed),
        ({"files": {"file": ("a.wav", wav(1)), "file2": ("b.wav", wav(1))}}, Malformed),
        ({"files": [("file", ("a.wav", wav(1))), ("file", ("b.wav", wav(1)))]}, Malformed),
        ({"headers": {"content-type": "application/json"}}, Malformed),
        ({"recording": b"OggS" + bytes(100)}, UnboundedCall),
        ({"recording": wav(0) + bytes(25 * 2**20)}, BodyTooLarge),
    ],
)
def test_what_cannot_be_measured_or_priced_is_refused(fields, reason):
    with pytest.raises(Refusal) as caught:
        read(**fields)
    assert isinstance(caught.value, reason)


DELTA = b'data: {"type":"transcript.text.delta","delta":"say \\"usage\\": {}"}\n\n'
TOLD = b'data: {"type":"transcript.text.done","text":"a","usage":{"type":"duration","seconds":2}}\n\n'


def test_a_stream_is_metered_wherever_the_network_cuts():
    whole = DELTA + TOLD
    for at in range(len(whole)):
        meter = transcriptions.stream_meter(read(wav(1.5), model="gpt-transcribe", stream="true"))
        seen = meter.feed(whole[:at]) + meter.feed(whole[at:]) + meter.flush()
        metered = meter.finish()
        assert seen == whole
        assert (metered.usage.duration_ms, metered.basis, metered.finished) == (2_000, Basis.USAGE, True)


def test_a_stream_that_breaks_off_is_charged_what_was_heard():
    meter = transcriptions.stream_meter(read(stream="true"))
    meter.feed(DELTA + b'data: {"type":"error","error":{"message":"gone"}}\n\n')
    meter.flush()
    metered = meter.finish()
    assert (metered.usage.duration_ms, metered.basis, metered.finished) == (60_000, Basis.INPUT_ONLY, False)
    assert metered.error == "gone"


def test_translations_are_read_alike():
    assert read(endpoint=transcriptions.TRANSLATIONS).endpoint is transcriptions.TRANSLATIONS
    assert not transcriptions.TRANSLATIONS.kept
