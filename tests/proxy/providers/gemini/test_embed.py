"""Embeddings read text and write nothing; counts are free and pass as they are."""

import orjson
import pytest

from agents.pricing import Usage
from proxy.errors import Malformed, UnboundedCall, UnpricedFeature
from proxy.providers.endpoints import Route
from proxy.providers.gemini import count, embed
from proxy.providers.metered import Basis
from proxy.providers.targets import GOOGLE
from tests.proxy.providers.gemini.test_generate import picture

MODEL = "gemini-embedding-001"
CONTENT = {"parts": [{"text": "hi"}]}
TARGET = GOOGLE.target(MODEL, embed.EMBED[0].dialect)


def read(endpoint=embed.EMBED[0], item=MODEL, **body):
    return embed.read_request(Route(endpoint, item), orjson.dumps(body), {})


def test_one_embedding_is_bounded_by_its_bytes_and_writes_nothing():
    body = {"content": CONTENT, "taskType": "RETRIEVAL_QUERY", "output_dimensionality": 256, "model": f"models/{MODEL}"}
    request = read(**body)
    outgoing = embed.prepare(request, TARGET)
    assert orjson.loads(outgoing.send()) == body
    bound = outgoing.bound(request.output_cap)
    assert (bound.input_tokens, bound.output_tokens) == (len(outgoing.body) + 64 + embed.TASK_TOKENS, 0)
    assert outgoing.path == f"/v1beta/models/{MODEL}:embedContent"


def test_many_embeddings_are_the_form_that_googles_client_sends():
    requests = [{"content": CONTENT, "model": f"models/google/{MODEL}"}] * 3
    request = read(embed.BATCH[0], f"google/{MODEL}", requests=requests)
    outgoing = embed.prepare(request, TARGET)
    assert orjson.loads(outgoing.send()) == {"requests": [{"content": CONTENT, "model": f"models/{MODEL}"}] * 3}
    assert outgoing.bound(0).input_tokens == len(outgoing.body) + 64 + 3 * embed.TASK_TOKENS


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        ({"content": {"parts": [picture()]}}, UnpricedFeature),
        ({"content": {"parts": [{"fileData": {}}]}}, UnboundedCall),
        ({"content": CONTENT, "embedContentConfig": {"documentOcr": True}}, UnpricedFeature),
        ({"content": CONTENT, "warp": 1}, UnpricedFeature),
        ({"content": CONTENT, "model": "models/other"}, Malformed),
        ({"content": CONTENT, "taskType": "x", "task_type": "y"}, Malformed),
        ({}, Malformed),
    ],
)
def test_what_is_not_text_is_refused_in_one_and_in_many(request_, refusal):
    with pytest.raises(refusal):
        read(**request_)
    with pytest.raises(refusal) as caught:
        read(embed.BATCH[0], requests=[{"content": CONTENT}, request_])
    assert caught.value.param == "model" or caught.value.param.startswith("requests[1]")


def test_a_batch_of_nothing_is_malformed():
    with pytest.raises(Malformed):
        read(embed.BATCH[0], requests=[])


def test_an_embeddings_bill_is_its_prompt_or_unknown():
    told = embed.read_answer(read(content=CONTENT), b'{"embedding":{},"usageMetadata":{"promptTokenCount":7}}')
    assert (told.usage, told.basis, told.finished) == (Usage(input=7), Basis.USAGE, True)
    for body in (b'{"embedding":{}}', b"oops", b"[]", b'{"usageMetadata":{"promptTokenCount":-1}}'):
        assert embed.read_answer(read(content=CONTENT), body).basis is Basis.NONE


def test_a_count_passes_as_it_is_but_for_the_model_inside():
    body = {"generateContentRequest": {"model": "models/google/gemini-2.5-flash", "contents": [CONTENT]}}
    request = count.read_request(Route(count.COUNT[0], "google/gemini-2.5-flash"), orjson.dumps(body), {})
    outgoing = count.prepare(request, GOOGLE.target("gemini-2.5-flash", count.COUNT[0].dialect))
    wanted = {"generateContentRequest": {"model": "models/gemini-2.5-flash", "contents": [CONTENT]}}
    assert orjson.loads(outgoing.send()) == wanted
    assert outgoing.path == "/v1beta/models/gemini-2.5-flash:countTokens"
    assert count.read_answer(request, b'{"totalTokens":5}').finished
