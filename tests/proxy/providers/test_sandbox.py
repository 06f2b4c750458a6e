"""Practice answers look like the provider's, agree with their usage and never exceed the bound."""

import orjson
import pytest

from proxy.providers import sandbox
from proxy.providers.anthropic import messages
from proxy.providers.openai import chat, responses
from proxy.providers.shape import Basis, Route, Target
from proxy.providers.targets import BUILT_IN

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
