"""Practice answers in Gemini's form agree with their usage and never exceed the bound."""

import orjson
import pytest

from proxy.errors import Dialect
from proxy.providers import registry, sandbox
from proxy.providers.endpoints import Route
from proxy.providers.gemini import count, embed, generate
from proxy.providers.metered import Basis
from proxy.providers.targets import GOOGLE

CONTENT = {"role": "user", "parts": [{"text": "hi"}]}


def practice(endpoint, body, *, query="", model="gemini-2.5-flash"):
    surface = registry.surface_of(endpoint)
    request = surface.read_request(Route(endpoint, model, query), orjson.dumps(body), {})
    outgoing = surface.prepare(request, GOOGLE.target(model, Dialect.GEMINI))
    return request, outgoing, sandbox.answer(request, outgoing.target, outgoing.send(request.output_cap))


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("cap", [1, 5, 500])
def test_whole_and_streamed_answers_report_the_same_usage_within_the_bound(cap, candidates):
    body = {"contents": [CONTENT], "generation_config": {"max_output_tokens": cap, "candidate_count": candidates}}
    request, outgoing, answer = practice(generate.GENERATE[0], body)
    whole = generate.read_answer(request, b"".join(answer.chunks)).usage
    assert whole.output <= outgoing.bound(cap).output_tokens
    assert whole.total_input <= outgoing.bound(cap).input_tokens
    for query, kind in (("alt=sse", "text/event-stream"), ("", "application/json")):
        request, _, answer = practice(generate.STREAM[0], body, query=query)
        meter = generate.stream_meter(request)
        sent = b"".join(map(meter.feed, answer.chunks)) + meter.flush()
        metered = meter.finish()
        assert (metered.usage, metered.basis, metered.finished) == (whole, Basis.USAGE, True)
        assert dict(answer.headers)["content-type"].startswith(kind)
        assert query or len(orjson.loads(sent)) == len(answer.chunks) - 1


def test_a_count_and_embeddings_are_answered():
    _, _, counted = practice(count.COUNT[0], {"contents": [CONTENT]})
    assert orjson.loads(counted.chunks[0])["totalTokens"] > 0
    one = {"content": CONTENT, "outputDimensionality": 5}
    request, outgoing, answer = practice(embed.EMBED[0], one, model="gemini-embedding-001")
    assert len(orjson.loads(answer.chunks[0])["embedding"]["values"]) == 5
    assert embed.read_answer(request, answer.chunks[0]).usage.input <= outgoing.bound(0).input_tokens
    _, _, answer = practice(embed.BATCH[0], {"requests": [one, {"content": CONTENT}]}, model="gemini-embedding-001")
    assert [len(each["values"]) for each in orjson.loads(answer.chunks[0])["embeddings"]] == [5, 768]
