"""Legacy completions: every candidate of every prompt is in the bound, and what cannot be counted is refused."""

import orjson
import pytest

from proxy.errors import Dialect, Malformed, Refusal, UnboundedCall
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.openai import completions
from proxy.providers.targets import OPENAI, Target
from proxy.providers.traits import Traits

INSTRUCT = OPENAI.target("gpt-3.5-turbo-instruct", Dialect.OPENAI)


def body_of(**fields):
    return {"model": "gpt-3.5-turbo-instruct", "prompt": "Say this"} | fields


def read(headers=None, **fields):
    return completions.read_request(Route(completions.COMPLETIONS), orjson.dumps(body_of(**fields)), headers or {})


@pytest.mark.parametrize(
    ("fields", "answers"),
    [
        ({}, 1),
        ({"prompt": None}, 1),
        ({"n": 3}, 3),
        ({"best_of": 5}, 5),
        ({"n": 2, "best_of": 5}, 5),
        ({"n": 5, "best_of": 2}, 5),
        ({"prompt": ["a", "b"]}, 2),
        ({"prompt": ["a", "b"], "n": 8, "best_of": 8}, 16),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"prompt": ["a"] * 2_048}, 2_048),
    ],
)
def test_the_output_bound_counts_every_candidate_of_every_prompt(fields, answers):
    request = read(max_tokens=100, **fields)
    assert completions.prepare(request, INSTRUCT).bound(100).output_tokens == 100 * answers


@pytest.mark.parametrize("fields", [{"n": 9}, {"best_of": 9}, {"prompt": ["a"] * 2_049}, {"prompt": [[1]] * 2_049}])
def test_more_than_can_be_meant_is_refused(fields):
    with pytest.raises(UnboundedCall):
        read(**fields)


@pytest.mark.parametrize("prompt", [[7] * 500, [[7] * 250, [100_000] * 250]])
def test_token_ids_are_counted_and_not_measured(prompt):
    outgoing = completions.prepare(read(prompt=prompt, max_tokens=1), INSTRUCT)
    rest = len(orjson.dumps(body_of(prompt=[], max_tokens=1)))
    assert 500 + 64 <= outgoing.bound(1).input_tokens <= 500 + rest + 64


def test_the_bound_is_exact_to_the_byte_for_plain_text():
    for request in (read(), read(max_tokens=300)):
        outgoing = completions.prepare(request, INSTRUCT)
        assert outgoing.bound(300).input_tokens == len(outgoing.send(300)) + 64


def test_characters_that_normalise_to_many_are_bounded_by_what_they_become():
    assert completions.prepare(read(prompt=["\ufdfa" * 100]), INSTRUCT).bound(1).input_tokens >= 33 * 100


def test_only_the_documented_changes_are_made():
    fields = {
        "echo": True, "suffix": "end", "logprobs": 5, "logit_bias": {"50256": -100}, "seed": 1, "stop": ["x"],
        "temperature": 0.2, "user": "u-1", "something_new": {"deep": 1},
    }  # fmt: skip
    request = read(stream=True, max_tokens=None, stream_options={"include_obfuscation": False}, **fields)
    sent = orjson.loads(completions.prepare(request, INSTRUCT).send(16))
    options = {"include_obfuscation": False, "include_usage": True}
    assert sent == body_of(stream=True, max_tokens=16, stream_options=options, **fields)
    assert (request.user, request.wants_usage) == ("u-1", False)
    other = orjson.loads(completions.prepare(read(model="openai/x"), Target("openai", "x")).send(5))
    assert other == body_of(model="x", max_tokens=5)


def test_a_bound_of_the_client_is_kept_and_may_be_nothing():
    assert orjson.loads(completions.prepare(read(max_tokens=900), INSTRUCT).send(900))["max_tokens"] == 900
    assert orjson.loads(completions.prepare(read(max_tokens=900), INSTRUCT).send(300))["max_tokens"] == 300
    assert read(max_tokens=0).output_cap == 0
    assert read().default_cap == 16


PRICE_MOVERS = {
    "service_tier": "ultrafast",
    "n_predict": 90_000,
    "n_cmpl": 8,
    "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com"}}]}],
    "max_new_tokens": 90_000,
    "tools": [{"type": "web_search"}],
    "plugins": [{}],
    "models": ["a"],
    "provider": {"sort": "price"},
    "background": True,
    "container": "c",
}


@pytest.mark.parametrize("name", PRICE_MOVERS)
def test_each_field_that_could_move_the_price_is_refused_by_name(name):
    with pytest.raises(Refusal) as caught:
        read(**{name: PRICE_MOVERS[name]})
    assert (caught.value.reason, caught.value.param) == ("unpriced_feature", name)


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": 5},
        {"prompt": []},
        {"prompt": [[]]},
        {"prompt": ["a", 1]},
        {"prompt": [1, [2]]},
        {"prompt": [True]},
        {"prompt": [-1]},
        {"prompt": [1.5]},
        {"prompt": [2**31]},
        {"prompt": {"text": "a"}},
        {"n": "2"},
        {"best_of": 0},
        {"best_of": True},
        {"max_tokens": -1},
        {"stream_options": {"include_usage": True}},
        {"model": ""},
    ],
)
def test_wrong_types_are_malformed(fields):
    with pytest.raises(Malformed):
        read(**fields)


CHUNK = (
    b'data: {"id":"cmpl-1","object":"text_completion","model":"m","choices":[{"text":"a","index":0}],"usage":null}\n\n'
)
TOLD = (
    b'data: {"id":"cmpl-1","object":"text_completion","model":"m","choices":[],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}\n\n'
)
DONE = b"data: [DONE]\n\n"


def test_the_usage_of_a_stream_is_read_and_hidden_wherever_the_network_cuts():
    whole = CHUNK + TOLD + DONE
    wanted = CHUNK.replace(b',"usage":null', b"") + DONE
    for at in range(len(whole)):
        meter = completions.stream_meter(read(stream=True))
        seen = meter.feed(whole[:at]) + meter.feed(whole[at:]) + meter.flush()
        metered = meter.finish()
        assert seen == wanted
        assert (metered.usage.input, metered.usage.output, metered.finished) == (5, 7, True)


def test_a_whole_answer_bills_the_candidates_that_nobody_sees():
    """metering_cases oai-cmpl-02: all three candidates of best_of are in completion_tokens."""
    answer = {"id": "cmpl-1", "model": "m", "choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 300}}
    metered = completions.read_answer(read(best_of=3), orjson.dumps(answer))
    assert (metered.usage.input, metered.usage.output, metered.basis) == (20, 300, Basis.USAGE)


def test_the_prompt_is_what_a_loop_would_repeat():
    one, other = read().facts, read(temperature=1).facts
    assert one.last_message_fingerprint == other.last_message_fingerprint != ""
    assert one.body_fingerprint != other.body_fingerprint


def test_what_a_compatible_provider_asks_for_is_done():
    traits = Traits(takes_stream_options=False, template_tokens=512, refused_fields=frozenset({"plan"}))
    target = Target("acme", "m", traits, added={"extra": 1})
    sent = orjson.loads(completions.prepare(read(stream=True, stream_options={}), target).send(5))
    assert sent == body_of(model="m", stream=True, max_tokens=5, extra=1)
    outgoing = completions.prepare(read(max_tokens=5), target)
    assert outgoing.bound(5).input_tokens == len(outgoing.send(5)) + 64 + 512
    with pytest.raises(Refusal):
        completions.prepare(read(plan={"a": 1}), target)
