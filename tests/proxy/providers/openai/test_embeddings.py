"""Embeddings: bounded by bytes, by items and by what the API takes, whichever is least."""

import orjson
import pytest

from proxy.errors import Dialect, Malformed, Refusal
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.openai import embeddings
from proxy.providers.targets import GOOGLE, OPENAI, Target
from proxy.providers.traits import Traits

SMALL = OPENAI.target("text-embedding-3-small", Dialect.OPENAI)


def body_of(**fields):
    return {"model": "text-embedding-3-small", "input": "hi"} | fields


def read(headers=None, **fields):
    return embeddings.read_request(Route(embeddings.EMBEDDINGS), orjson.dumps(body_of(**fields)), headers or {})


def bound(target=SMALL, **fields):
    return embeddings.prepare(read(**fields), target).bound(0)


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("x" * 100, None),
        ("x" * 8_127, 8_192),
        ("x" * 50_000, 8_192),
        (["x" * 50_000, "a"], 16_384),
        (["x" * 9_000] * 40, 300_000),
        (["x" * 4_000] * 2_048, 300_000),
    ],
)
def test_openais_limits_bound_what_bytes_do_not(value, tokens):
    by_bytes = len(orjson.dumps(body_of(input=value))) + 64
    assert bound(input=value).input_tokens == min(by_bytes, tokens or by_bytes)
    assert bound(input=value).output_tokens == 0


def test_the_limits_of_other_providers_are_their_own():
    google = GOOGLE.target("gemini-embedding-001", Dialect.OPENAI)
    assert google.base_path == "/v1beta/openai"
    for target in (google, Target("acme", "embed-1")):
        assert bound(target, input="x" * 50_000).input_tokens > 50_000


@pytest.mark.parametrize("value", [[9] * 300, [[9] * 100, [123_456] * 200]])
def test_token_ids_are_counted_and_not_measured(value):
    assert 300 + 64 <= bound(input=value).input_tokens <= 300 + 64 + len(orjson.dumps(body_of(input=[])))


def test_harmless_fields_arrive_unchanged_and_nothing_is_added():
    fields = {"dimensions": 256, "encoding_format": "base64", "user": "u-1", "input_type": "query"}
    request = read(model="openai/text-embedding-3-small", **fields)
    outgoing = embeddings.prepare(request, SMALL)
    assert orjson.loads(outgoing.send(0)) == body_of(**fields)
    assert (request.user, request.output_cap, outgoing.cap_field) == ("u-1", 0, "")


@pytest.mark.parametrize("name", ["service_tier", "tools", "plugins", "provider", "model_version", "batch"])
def test_each_field_that_could_move_the_price_is_refused_by_name(name):
    with pytest.raises(Refusal) as caught:
        read(**{name: "x"})
    assert (caught.value.reason, caught.value.param) == ("unpriced_feature", name)


@pytest.mark.parametrize(
    "fields",
    [
        {"input": None},
        {"input": []},
        {"input": [[]]},
        {"input": 5},
        {"input": [{"type": "image_url"}]},
        {"input": ["a", 1]},
        {"input": ["a"] * 2_049},
        {"dimensions": "256"},
        {"dimensions": 0},
        {"model": None},
    ],
)
def test_what_cannot_be_counted_is_malformed(fields):
    with pytest.raises(Malformed):
        read(**fields)


def test_two_thousand_and_forty_eight_texts_are_taken():
    assert read(input=["a"] * 2_048).body["input"]


def test_the_bill_is_what_the_answer_says():
    answer = {"object": "list", "data": [], "model": "text-embedding-3-small", "usage": {"prompt_tokens": 8}}
    metered = embeddings.read_answer(read(), orjson.dumps(answer))
    assert (metered.usage.input, metered.usage.total_output, metered.basis) == (8, 0, Basis.USAGE)
    assert metered.served_model == "text-embedding-3-small"


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"usage":{"prompt_tokens":-1}}', b'{"usage":[]}'])
def test_an_answer_without_a_usable_bill_is_charged_at_the_ceiling(answer):
    metered = embeddings.read_answer(read(), answer)
    assert (metered.usage, metered.basis) == (None, Basis.NONE)
    assert metered.problem


def test_the_same_text_again_is_no_loop():
    assert read().facts.last_message_fingerprint == ""
    assert read().facts.body_fingerprint


def test_what_a_compatible_provider_asks_for_is_done():
    target = Target("acme", "m", Traits(template_tokens=512, refused_fields=frozenset({"plan"})), added={"extra": 1})
    outgoing = embeddings.prepare(read(), target)
    assert orjson.loads(outgoing.send(0)) == body_of(model="m", extra=1)
    assert outgoing.bound(0).input_tokens == len(outgoing.send(0)) + 64 + 512
    with pytest.raises(Refusal):
        embeddings.prepare(read(plan={"a": 1}), target)
