"""Speech: the characters of the request are the bill."""

import orjson
import pytest

from proxy.errors import Dialect, Malformed, Refusal, UnboundedCall, UnpricedFeature
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.openai import speech
from proxy.providers.targets import OPENAI, Target

TTS = OPENAI.target("tts-1", Dialect.OPENAI)


def body_of(**fields):
    return {"model": "tts-1", "input": "Say ä 漢 😀", "voice": "alloy"} | fields


def read(headers=None, **fields):
    return speech.read_request(Route(speech.SPEECH), orjson.dumps(body_of(**fields)), headers or {})


@pytest.mark.parametrize(
    ("text", "characters"), [("hello", 5), ("Say ä 漢 😀", 9), ("e\u0301", 2), ("x" * 4_096, 4_096)]
)
def test_characters_are_the_bound_and_the_bill(text, characters):
    request = read(input=text)
    bound = speech.prepare(request, TTS).bound(0)
    assert (bound.characters, bound.input_tokens, bound.output_tokens) == (characters, 0, 0)
    metered = speech.read_answer(request, b"ID3")
    assert (metered.usage.characters, metered.basis) == (characters, Basis.USAGE)


def test_a_sound_that_was_cut_is_billed_whole_and_not_finished():
    meter = speech.stream_meter(read())
    assert meter.feed(b"\xff\xfb") == b"\xff\xfb"
    assert (meter.finish().usage.characters, meter.finish().finished) == (9, False)
    assert meter.flush() == b""
    assert meter.finish().finished


def test_harmless_fields_arrive_unchanged():
    fields = {"response_format": "opus", "speed": 1.5, "instructions": "slowly", "stream_format": "audio"}
    request = read(model="openai/tts-1", **fields)
    assert orjson.loads(speech.prepare(request, TTS).send()) == body_of(**fields)
    assert request.streams_any
    assert not request.stream


@pytest.mark.parametrize("model", ["gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15", "gpt-4o", "tts-2"])
def test_models_that_are_billed_for_how_long_they_speak_are_refused(model):
    for fields in ({}, {"stream_format": "sse"}):
        with pytest.raises(UnboundedCall) as caught:
            speech.prepare(read(model=model, **fields), Target("openai", model))
        assert "tts-1" in caught.value.hint


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input": ""}, Malformed),
        ({"input": ["a"]}, Malformed),
        ({"model": None}, Malformed),
        ({"voice": {"id": "voice_1"}}, UnpricedFeature),
        ({"service_tier": "fast"}, UnpricedFeature),
        ({"headers": {"content-type": "multipart/form-data; boundary=x"}}, Malformed),
    ],
)
def test_what_cannot_be_read_or_priced_is_refused(fields, reason):
    with pytest.raises(Refusal) as caught:
        read(**fields)
    assert isinstance(caught.value, reason)
