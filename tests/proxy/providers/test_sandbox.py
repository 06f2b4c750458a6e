"""Practice answers look like the provider's, agree with their usage and never exceed the bound."""

import httpx
import orjson
import pytest

from proxy.errors import Dialect
from proxy.providers import sandbox, sounds
from proxy.providers.anthropic import messages
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.openai import (
    chat,
    completions,
    embeddings,
    images,
    moderations,
    responses,
    speech,
    transcriptions,
)
from proxy.providers.targets import BUILT_IN, OPENAI, Target
from tests.proxy.providers.recordings import wav

CASES = [(chat, chat.CHAT, "gpt-4o"), (messages, messages.MESSAGES, "claude-opus-5-5")]


def practice(module, endpoint, model, **fields):
    body = {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]} | fields
    request = module.read_request(Route(endpoint), orjson.dumps(body), {})
    outgoing = module.prepare(request, BUILT_IN[endpoint.dialect].target(model, endpoint.dialect))
    return request, outgoing, sandbox.answer(request, outgoing.target, outgoing.send(request.output_cap))


@pytest.mark.parametrize(("module", "endpoint", "model"), CASES)
@pytest.mark.parametrize("cap", [1, 5, 500])
def test_a_whole_answer_and_a_stream_report_the_same_usage_within_the_bound(module, endpoint, model, cap):
    request, outgoing, answer = practice(module, endpoint, model, max_tokens=cap)
    whole = module.read_answer(request, b"".join(answer.chunks))
    request, outgoing, answer = practice(module, endpoint, model, max_tokens=cap, stream=True)
    meter = module.stream_meter(request)
    seen = b"".join(map(meter.feed, answer.chunks)) + meter.flush()
    streamed = meter.finish()
    assert streamed.basis is whole.basis is Basis.USAGE
    assert streamed.finished
    assert streamed.usage.output == whole.usage.output <= cap
    assert streamed.usage.total_input <= outgoing.bound(cap).input_tokens
    assert dict(answer.headers)["content-type"].startswith("text/event-stream")
    assert (b'"usage"' in seen) is (module is messages)


@pytest.mark.parametrize(("module", "endpoint", "model"), CASES)
def test_equal_requests_get_equal_answers(module, endpoint, model):
    assert practice(module, endpoint, model)[2] == practice(module, endpoint, model)[2]
    assert practice(module, endpoint, model)[2] != practice(module, endpoint, model, temperature=0.5)[2]


def test_n_choices_are_all_answered_and_billed():
    request, outgoing, answer = practice(chat, chat.CHAT, "gpt-4o", n=3, max_tokens=4)
    assert len(orjson.loads(answer.chunks[0])["choices"]) == 3
    assert chat.read_answer(request, answer.chunks[0]).usage.output == 12 == outgoing.bound(4).output_tokens


def test_a_large_image_is_not_counted_by_its_bytes():
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 1_000_000}
    content = [{"role": "user", "content": [{"type": "image", "source": source}]}]
    request, outgoing, answer = practice(messages, messages.MESSAGES, "claude-opus-5-5", messages=content)
    usage = messages.read_answer(request, answer.chunks[0]).usage
    assert usage.total_input <= outgoing.bound(500).input_tokens


def test_a_token_count_is_answered():
    body = b'{"model":"claude-opus-5-5","messages":[{"role":"user","content":"hi"}]}'
    request = messages.read_request(Route(messages.COUNT_TOKENS), body, {})
    outgoing = messages.prepare(request, Target("anthropic", "claude-opus-5-5"))
    answer = sandbox.answer(request, outgoing.target, outgoing.send())
    assert orjson.loads(answer.chunks[0])["input_tokens"] > 0


def practice_response(**fields):
    body = orjson.dumps({"model": "gpt-5", "input": "hi", "max_output_tokens": 500} | fields)
    request = responses.read_request(Route(responses.RESPONSES), body, {})
    outgoing = responses.prepare(request, BUILT_IN["openai"].target("gpt-5", responses.DIALECT))
    return request, outgoing, sandbox.answer(request, outgoing.target, outgoing.send(request.output_cap))


@pytest.mark.parametrize(("cap", "ended"), [(16, "max_output_tokens"), (500, "completed")])
def test_a_practice_response_says_the_same_whole_and_streamed(cap, ended):
    request, outgoing, answer = practice_response(max_output_tokens=cap)
    whole = responses.read_answer(request, b"".join(answer.chunks))
    request, outgoing, answer = practice_response(max_output_tokens=cap, stream=True)
    meter = responses.stream_meter(request)
    assert b"".join(map(meter.feed, answer.chunks)) == b"".join(answer.chunks)
    streamed = meter.finish()
    assert streamed.basis is whole.basis is Basis.USAGE
    assert streamed.finished
    assert streamed.finish_reason == whole.finish_reason == ended
    assert streamed.usage.output == whole.usage.output <= cap
    assert streamed.usage.total_input <= outgoing.bound(cap).input_tokens
    assert practice_response()[2] == practice_response()[2] != practice_response(temperature=0.5)[2]


def test_the_count_of_a_practice_response_is_answered():
    request = responses.read_request(Route(responses.INPUT_TOKENS), b'{"model":"gpt-5","input":"hi"}', {})
    answer = sandbox.answer(request, Target("openai", "gpt-5"), b'{"a":1}')
    assert orjson.loads(answer.chunks[0]) == {"object": "response.input_tokens", "input_tokens": 2}


def asked(module, endpoint, *, files=None, **fields):
    """A practice call of OpenAI's other endpoints: its bound and the answer."""
    request = httpx.Request("POST", "https://h", **({"data": fields, "files": files} if files else {"json": fields}))
    headers = {"content-type": request.headers["content-type"]}
    read = module.read_request(Route(endpoint), request.read(), headers)
    outgoing = module.prepare(read, OPENAI.target(read.model, Dialect.OPENAI))
    cap = read.default_cap if read.output_cap is None else read.output_cap
    return read, outgoing.bound(cap), sandbox.answer(read, outgoing.target, outgoing.send(cap))


def metered(module, request, answer):
    """What the whole answer says, or the stream."""
    if not request.stream:
        return module.read_answer(request, b"".join(answer.chunks))
    meter = module.stream_meter(request)
    for chunk in answer.chunks:
        meter.feed(chunk)
    meter.flush()
    return meter.finish()


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\2\0\0\0\2\0" + bytes(50)
OTHERS = [
    (completions, completions.COMPLETIONS, {"model": "davinci-002", "prompt": "hi"}, "application/json"),
    (
        completions,
        completions.COMPLETIONS,
        {"model": "davinci-002", "prompt": ["a", "b"], "n": 2, "best_of": 8, "stream": True},
        "text/event-stream; charset=utf-8",
    ),
    (embeddings, embeddings.EMBEDDINGS, {"model": "text-embedding-3-large", "input": ["a"]}, "application/json"),
    (embeddings, embeddings.EMBEDDINGS, {"model": "text-embedding-3-small", "input": "a" * 90_000}, "application/json"),
    (embeddings, embeddings.EMBEDDINGS, {"model": "text-embedding-3-small", "input": [[1], [2]]}, "application/json"),
    (images, images.GENERATIONS, {"model": "gpt-image-1.5", "prompt": "a", "n": 3}, "application/json"),
    (
        images,
        images.GENERATIONS,
        {"model": "gpt-image-1.5", "prompt": "a", "stream": True, "partial_images": 2},
        "text/event-stream; charset=utf-8",
    ),
    (
        images,
        images.EDITS,
        {"model": "gpt-image-1.5", "prompt": "a", "files": {"image": ("a.png", PNG)}},
        "application/json",
    ),
    (speech, speech.SPEECH, {"model": "tts-1", "input": "hi", "voice": "alloy"}, "audio/mpeg"),
    (
        transcriptions,
        transcriptions.TRANSCRIPTIONS,
        {"model": "gpt-transcribe", "stream": "true", "files": {"file": ("a.wav", wav(1.5))}},
        "text/event-stream; charset=utf-8",
    ),
    (
        transcriptions,
        transcriptions.TRANSLATIONS,
        {"model": "whisper-1", "response_format": "srt", "files": {"file": ("a.wav", wav(1.5))}},
        "text/plain; charset=utf-8",
    ),
]


@pytest.mark.parametrize(("module", "endpoint", "fields", "content_type"), OTHERS)
def test_openais_other_endpoints_are_answered_within_their_bound(module, endpoint, fields, content_type):
    request, bound, answer = asked(module, endpoint, **fields)
    found = metered(module, request, answer)
    usage = found.charged_usage(bound.output_tokens)
    assert dict(answer.headers)["content-type"] == content_type
    assert found.finished
    assert usage.total_input <= bound.input_tokens
    assert usage.total_output <= bound.output_tokens
    assert (usage.characters, usage.duration_ms) <= (bound.characters, bound.duration_ms)
    assert usage.total_tokens or usage.characters or usage.duration_ms


def test_practice_embeddings_have_length_one_and_the_size_that_was_asked_for():
    for dimensions, count in ((None, 1_536), (100, 100)):
        fields = {"dimensions": dimensions} if dimensions else {}
        _, _, answer = asked(
            embeddings, embeddings.EMBEDDINGS, model="text-embedding-3-small", input=["a", "a", "b"], **fields
        )
        first, again, other = [one["embedding"] for one in orjson.loads(answer.chunks[0])["data"]]
        assert len(first) == count
        assert first == again != other
        assert sum(number * number for number in first) == pytest.approx(1)


@pytest.mark.parametrize(("form", "start"), [("wav", b"RIFF"), ("pcm", b"\0\0"), ("mp3", b"\xff\xfb")])
def test_practice_speech_is_sound_that_can_be_measured(form, start):
    _, _, answer = asked(speech, speech.SPEECH, model="tts-1", input="one two", voice="alloy", response_format=form)
    sound = b"".join(answer.chunks)
    assert sound.startswith(start)
    if form != "pcm":
        assert sounds.duration_ms(sound, param="file") == pytest.approx(600, abs=50)


def test_practice_moderations_answer_each_text():
    _, _, answer = asked(moderations, moderations.MODERATIONS, input=["a", "b"])
    assert [result["flagged"] for result in orjson.loads(answer.chunks[0])["results"]] == [False, False]
