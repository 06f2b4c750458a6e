"""Chat completions: what is refused because it moves the price unseen, what passes, and what we change."""

import base64
import struct
import time

import orjson
import pytest

from proxy.errors import Dialect, Malformed, Refusal, UnboundedCall, UnpricedFeature
from proxy.providers.endpoints import Route
from proxy.providers.openai import chat
from proxy.providers.targets import OPENAI, Target

GPT = OPENAI.target("gpt-4o", Dialect.OPENAI)


def body_of(**fields):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]} | fields


def read(headers=None, **fields):
    return chat.read_request(Route(chat.CHAT), orjson.dumps(body_of(**fields)), headers or {})


def image(url, **extra):
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url} | extra}]}]


def png(width, height, padding=0):
    raw = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height) + bytes(padding)
    return "data:image/png;base64," + base64.b64encode(raw).decode()


PRICE_MOVERS = {
    "chat_template": "{{ messages[0].content * 1000 }}",
    "chat_template_kwargs": {"chat_template": "{{ messages[0].content * 1000 }}"},
    "n_predict": 90_000,
    "n_cmpl": 8,
    "max_new_tokens": 90_000,
    "num_return_sequences": 8,
    "use_beam_search": True,
    "mm_processor_kwargs": {"min_pixels": 10**9},
    "max_pixels": 10**9,
    "service_tier": "ultrafast",
    "background": True,
    "web_search_options": {},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "prompt_cache_options": {"ttl": "12h"},
    "prompt_cache_retention": "forever",
    "tools": [{"type": "web_search"}],
    "plugins": [{"id": "web"}],
    "models": ["a", "b"],
    "route": "fallback",
    "provider": {"sort": "price"},
    "reasoning": {"mode": "pro"},
    "multi_agent": True,
    "best_of": 5,
    "speed": "fast",
    "inference_region": "us",
    "container": "c",
    "conversation": "conv_1",
    "previous_response_id": "resp_1",
    "prompt": {"id": "pmpt_1"},
    "mcp_servers": [{}],
    "search_parameters": {"mode": "on"},
    "context_management": [{"type": "compact"}],
}


@pytest.mark.parametrize("name", PRICE_MOVERS)
def test_each_field_that_could_move_the_price_is_refused_by_name(name):
    with pytest.raises(Refusal) as caught:
        read(**{name: PRICE_MOVERS[name]})
    assert caught.value.reason in ("unpriced_feature", "unbounded_call")
    assert caught.value.param in (name, "modalities")


def test_harmless_fields_pass_and_arrive_unchanged():
    fields = {
        "temperature": 0.5,
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 5,
        "metadata": {"a": "b"},
        "store": True,
        "stop": ["x"],
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
        "parallel_tool_calls": False,
        "something_new": {"deep": [1, 2.5, None, "ü"]},
        "api_key": "ignored",
        "base_url": "https://example.com",
        "prediction": {"type": "content", "content": "x" * 50},
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
    }
    sent = orjson.loads(chat.prepare(read(**fields), GPT).send(100))
    assert sent == body_of(**fields) | {"service_tier": "default", "max_completion_tokens": 100}


def test_only_the_documented_changes_are_made():
    request = read(stream=True, max_tokens=50, service_tier="auto", stream_options={"include_obfuscation": False})
    outgoing = chat.prepare(request, GPT)
    sent = orjson.loads(outgoing.send(50))
    options = {"include_obfuscation": False, "include_usage": True}
    assert sent == body_of(stream=True, max_tokens=50, service_tier="default", stream_options=options)
    assert not request.wants_usage
    assert request.body["service_tier"] == "auto"


def test_an_explicit_tier_and_a_wish_for_usage_are_kept():
    request = read(stream=True, service_tier="fast", stream_options={"include_usage": True})
    sent = orjson.loads(chat.prepare(request, GPT).send(9))
    assert (sent["service_tier"], sent["stream_options"]) == ("fast", {"include_usage": True})
    assert request.tiers == ("priority", "default")
    assert request.wants_usage


def test_the_cap_is_added_replaces_a_null_and_lowers_an_explicit_one():
    added = chat.prepare(read(max_tokens=None), GPT)
    assert orjson.loads(added.send(300))["max_completion_tokens"] == 300
    assert "max_tokens" not in orjson.loads(added.send(300))
    both = chat.prepare(read(max_tokens=900, max_completion_tokens=900), GPT)
    sent = orjson.loads(both.send(300))
    assert (sent["max_tokens"], sent["max_completion_tokens"]) == (300, 300)
    lowered = chat.prepare(read(max_tokens=900), GPT)
    assert orjson.loads(lowered.send(300))["max_tokens"] == 300
    assert "max_completion_tokens" not in orjson.loads(lowered.send(300))
    compatible = chat.prepare(read(), Target("groq", "x/y"))
    sent = orjson.loads(compatible.send(5))
    assert (sent["max_tokens"], sent["model"]) == (5, "x/y")
    assert "service_tier" not in sent


@pytest.mark.parametrize("cap", [5, 500, 16_384])
def test_the_bound_is_exact_to_the_byte_for_plain_text(cap):
    for request in (read(), read(max_completion_tokens=cap)):
        outgoing = chat.prepare(request, GPT)
        assert outgoing.bound(cap).input_tokens == len(outgoing.send(cap)) + 64


def test_choices_and_predictions_multiply_the_output_bound():
    bound = chat.prepare(read(n=3, prediction={"type": "content", "content": "é" * 10}), GPT).bound(100)
    assert bound.output_tokens == 3 * (100 + 20)


def test_characters_that_normalise_to_many_are_bounded_by_what_they_become():
    """U+FDFA is three bytes and thirty-three normalised ones, also when it is written as an ASCII escape."""
    text = "\ufdfa" * 100
    wanted = 33 * 100
    assert chat.prepare(read(messages=[{"role": "user", "content": text}]), GPT).bound(1).input_tokens >= wanted
    escaped = orjson.dumps(body_of()).replace(b'"hi"', b'"' + b"\\ufdfa" * 100 + b'"')
    request = chat.read_request(Route(chat.CHAT), escaped, {})
    assert chat.prepare(request, GPT).bound(1).input_tokens >= wanted


def test_schemas_of_tools_add_two_tokens_for_each_node():
    function = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "description": "é"}}}
    outgoing = chat.prepare(read(tools=[function]), GPT)
    # Nodes: list, tool, type, function, name, parameters, type, description; the é is two bytes.
    assert outgoing.bound(9).input_tokens >= len(outgoing.send(9)) + 64 + 2 * 8 + 2 * 2


def test_a_part_that_asks_for_a_long_cache_lifetime_counts_at_its_rate():
    part = {"type": "text", "text": "12h", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"enum": ["12h"]}}}]
    asked = read(messages=[{"role": "user", "content": [part]}])
    assert asked.cache_ttl_long
    assert chat.prepare(asked, GPT).bound(9).cache_ttl_long
    usage = {"prompt_tokens": 90, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 80}}
    metered = chat.read_answer(asked, orjson.dumps({"choices": [], "usage": usage}))
    assert metered.usage.cache_write_long == 80
    escaped = orjson.dumps(body_of(messages=[{"role": "user", "content": [part]}])).replace(b'"12h"', b'"12\\u0068"')
    assert chat.read_request(Route(chat.CHAT), escaped, {}).cache_ttl_long
    assert not read(messages=[{"role": "user", "content": "12h"}], tools=tools).cache_ttl_long


@pytest.mark.parametrize(("ttl", "is_long"), [("1h", True), (3600, True), ("5m", False), (None, False)])
def test_a_cache_lifetime_that_goes_on_to_claude_counts_at_its_rate(ttl, is_long):
    """OpenRouter bills the write of an hour at twice the input, above that of five minutes."""
    control = {"type": "ephemeral", "ttl": ttl}
    part = {"type": "text", "text": "hi", "cache_control": control}
    tool = {"type": "function", "function": {"name": "f"}, "cache_control": control}
    assert read(messages=[{"role": "user", "content": [part]}]).cache_ttl_long is is_long
    assert read(tools=[tool]).cache_ttl_long is is_long
    assert not read(messages=[{"role": "user", "content": '"cache_control": {"ttl": "1h"}'}]).cache_ttl_long


@pytest.mark.parametrize(
    ("model", "url", "detail", "tokens"),
    [
        ("gpt-4o", png(4_000, 3_000), "auto", 85 + 170 * 8),
        ("gpt-4o", png(4_000, 3_000), "low", 85),
        ("gpt-4o-mini", png(100, 100), "high", 2_833 + 5_667 * 8),
        ("gpt-4o", png(800, 100), "auto", 85 + 170 * 24),
        ("gpt-4o", "https://example.com/a.png", "auto", 85 + 170 * 24),
        ("gpt-5-mini", "https://example.com/a.png", "auto", 24_600),
        ("gpt-5.6-sol", png(16_000, 16_000), "auto", 615_000),
        ("gpt-6.1-sol", png(320, 320), "auto", 246),
    ],
)
def test_images_are_bounded_by_their_size_and_not_by_their_bytes(model, url, detail, tokens):
    request = read(model=model, messages=image(url, detail=detail))
    outgoing = chat.prepare(request, OPENAI.target(model, Dialect.OPENAI))
    data = len(url.partition(",")[2]) if url.startswith("data:") else 0
    assert outgoing.bound(9).input_tokens == len(outgoing.send(9)) - data + 64 + tokens


def test_an_earlier_answers_images_count_like_any_others():
    """OpenRouter writes them beside the content."""
    shown = [{"type": "image_url", "image_url": {"url": png(320, 320)}}]
    plain = read(messages=[{"role": "assistant", "content": "Here."}])
    with_image = read(messages=[{"role": "assistant", "content": "Here.", "images": shown}])
    assert with_image.hidden.media_bytes > plain.hidden.media_bytes == 0
    assert [image.param for image in with_image.hidden.images] == ["messages[0].images[0]"]


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("gpt-5.6-sol", "https://example.com/a.png"),
        ("gpt-6.1-sol", "https://example.com/a.png"),
        ("gpt-4o", png(9_000, 1_000)),
        ("gpt-4o", png(0, 10)),
        ("gpt-4o", "data:image/png;base64,AAAA"),
        ("gpt-4o", "data:application/pdf;base64,AAAA"),
        ("gpt-4o", "file:///etc/passwd"),
    ],
)
def test_images_without_a_bound_are_refused(model, url):
    with pytest.raises(UnboundedCall):
        chat.prepare(read(model=model, messages=image(url)), OPENAI.target(model, Dialect.OPENAI))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}},
        {"type": "video_url", "video_url": {"url": "https://x"}},
        {"type": None},
        {},
    ],
)
def test_parts_that_hide_input_are_refused(part):
    with pytest.raises(UnboundedCall):
        read(messages=[{"role": "user", "content": [part]}])


def test_audio_has_no_price_here():
    with pytest.raises(UnpricedFeature):
        read(
            messages=[
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "mp3"}}]}
            ]
        )
    with pytest.raises(UnboundedCall):
        read(messages=[{"role": "assistant", "audio": {"id": "audio_1"}}])


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": True},
        {"max_tokens": "500"},
        {"max_tokens": 5.0},
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_tokens": 5, "max_completion_tokens": 6},
        {"n": "2"},
        {"n": 0},
        {"stream": "true"},
        {"stream": 1},
        {"stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": []},
        {"messages": []},
        {"messages": "hi"},
        {"messages": ["hi"]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": ["hi"]}]},
        {"model": ""},
        {"model": 5},
        {"tools": {"type": "function"}},
        {"service_tier": 1},
    ],
)
def test_wrong_types_are_malformed(fields):
    with pytest.raises(Malformed):
        read(**fields)


def test_more_than_eight_choices_are_refused():
    assert read(n=8).choices == 8
    with pytest.raises(UnboundedCall):
        read(n=9)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"model": NaN}',
        b'{"model": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"seed":18446744073709551616}',
        b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"seed":-9223372036854775809}',
        b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"x":' + b"[" * 64 + b"]" * 64 + b"}",
        b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_what_cannot_be_read_exactly_is_malformed(body):
    with pytest.raises(Malformed):
        chat.read_request(Route(chat.CHAT), body, {})


@pytest.mark.parametrize("values", [b"[]," * 499_000, b"[1,2,3]," * 125_000, b'{"a":1},' * 250_000], ids=len)
def test_a_body_of_very_many_values_is_refused_and_holds_nobody_up(values):
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"x":[%b1]}'
    with pytest.raises(Malformed, match="500000 values"):
        chat.read_request(Route(chat.CHAT), body % (values * 2), {})
    began = time.process_time()
    with pytest.raises(Malformed, match="500000 values"):
        chat.read_request(Route(chat.CHAT), body.replace(b'"x"', b'"tools"') % (values * 5), {})
    assert time.process_time() - began < 2
    assert chat.read_request(Route(chat.CHAT), body % values[: len(values) // 2 // 24 * 24], {})


def test_the_last_of_duplicate_keys_is_what_is_checked_and_sent():
    body = b'{"max_tokens":5,"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"max_tokens":900}'
    request = chat.read_request(Route(chat.CHAT), body, {})
    assert request.output_cap == 900
    assert chat.prepare(request, GPT).send(900).count(b"max_tokens") == 1


def test_a_first_segment_is_replaced_by_the_providers_own_id():
    assert orjson.loads(chat.prepare(read(model="openai/gpt-4o"), GPT).send(5))["model"] == "gpt-4o"


def test_an_unknown_beta_is_refused_by_name():
    with pytest.raises(UnpricedFeature, match="realtime=v1"):
        read({"openai-beta": "realtime=v1"})


def test_the_facts_of_a_call_are_kept_without_its_text():
    messages = [
        {"role": "system", "content": "be ä"},
        {"role": "developer", "content": [{"type": "text", "text": "x"}]},
    ]
    request = read(messages=[*messages, {"role": "user", "content": "again"}], user="u-1")
    other = read(messages=[{"role": "user", "content": "again"}])
    assert (request.facts.system_prompt_bytes, request.user) == (6, "u-1")
    assert request.facts.last_message_fingerprint == other.facts.last_message_fingerprint
    assert request.facts.body_fingerprint != other.facts.body_fingerprint
