"""Responses: what is refused because it moves the price or hides input, what passes, and what we change."""

import orjson
import pytest

from proxy.errors import Dialect, Malformed, Refusal, UnboundedCall, UnpricedFeature
from proxy.providers.endpoints import Route
from proxy.providers.openai import responses
from proxy.providers.targets import OPENAI, Target
from tests.proxy.providers.openai.test_chat import png

GPT = OPENAI.target("gpt-4o", Dialect.OPENAI)


def body_of(**fields):
    return {"model": "gpt-4o", "input": "hi"} | fields


def read(headers=None, endpoint=responses.RESPONSES, **fields):
    return responses.read_request(Route(endpoint), orjson.dumps(body_of(**fields)), headers or {})


def message(*parts, role="user"):
    return {"type": "message", "role": role, "content": list(parts)}


PRICE_MOVERS = {
    "service_tier": "ultrafast",
    "background": True,
    "background_options": {"completion_window": "8h"},
    "conversation": "conv_1",
    "prompt": {"id": "pmpt_1"},
    "multi_agent": {"enabled": True},
    "image": {"context_compression": "auto"},
    "n": 2,
    "best_of": 5,
    "reasoning": {"mode": "pro"},
    "context_management": [{"type": "compaction", "compact_threshold": 1_000}],
    "prompt_cache_options": {"prewarm": True},
    "prompt_cache_retention": "forever",
    "models": ["a", "b"],
    "plugins": [{"id": "web"}],
    "provider": {"sort": "price"},
    "speed": "fast",
    "inference_region": "us",
    "container": "c",
    "mcp_servers": [{}],
    "search_parameters": {"mode": "on"},
    "chat_template_kwargs": {"documents": [{"text": "x"}]},
    "n_predict": 90_000,
}


@pytest.mark.parametrize("name", PRICE_MOVERS)
@pytest.mark.parametrize("endpoint", [responses.RESPONSES, responses.INPUT_TOKENS])
def test_each_field_that_could_move_the_price_is_refused_by_name(name, endpoint):
    with pytest.raises(Refusal) as caught:
        read(endpoint=endpoint, **{name: PRICE_MOVERS[name]})
    assert caught.value.reason in ("unpriced_feature", "unbounded_call")
    assert caught.value.param in (name, "reasoning.mode")


@pytest.mark.parametrize("tier", ["scale", "ultrafast", "batch", "standard"])
def test_tiers_without_a_price_of_their_own_are_refused(tier):
    with pytest.raises(UnpricedFeature):
        read(service_tier=tier)


@pytest.mark.parametrize(
    "kind",
    ["code_interpreter", "image_generation", "computer", "computer_use_preview", "mcp", "shell", "local_shell",
     "apply_patch", "namespace", "tool_search", "programmatic_tool_calling", None, 5],
)  # fmt: skip
def test_hosted_tools_without_a_bound_are_refused_by_name(kind):
    with pytest.raises(UnpricedFeature) as caught:
        read(tools=[{"type": kind}])
    assert caught.value.param == "tools"
    assert repr(kind) in caught.value.feature


def test_tools_that_code_may_call_are_refused():
    tool = {"type": "function", "name": "f", "parameters": {}, "allowed_callers": ["programmatic"]}
    with pytest.raises(UnpricedFeature):
        read(tools=[tool])
    assert read(tools=[tool | {"allowed_callers": ["direct"]}]).hosted_tools == {}


def test_harmless_fields_pass_and_arrive_unchanged():
    fields = {
        "instructions": "Be brief.",
        "temperature": 0.5,
        "top_p": 0.9,
        "top_logprobs": 5,
        "metadata": {"a": "b"},
        "store": False,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}, "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto", "context": "all_turns", "mode": "standard"},
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True},
            {"type": "custom", "name": "g", "format": {"type": "text"}},
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "truncation": "auto",
        "background": False,
        "max_tool_calls": 3,
        "context_management": [{"type": "clear_function_results"}],
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
        "prompt_cache_retention": "24h",
        "stream_options": {"include_obfuscation": False},
        "something_new": {"deep": [1, 2.5, None, "ü"]},
        "api_key": "ignored",
        "base_url": "https://example.com",
    }
    sent = orjson.loads(responses.prepare(read(**fields), GPT).send(100))
    assert sent == body_of(**fields) | {"service_tier": "default", "max_output_tokens": 100}


def test_items_of_every_bounded_kind_arrive_unchanged():
    items = [
        {"role": "developer", "content": "be brief"},
        message({"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": png(64, 64)}),
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "5"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "5"}]},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "y"},
        message({"type": "output_text", "text": "ok", "annotations": []}, role="assistant") | {"id": "msg_1"},
        message({"type": "refusal", "refusal": "no"}, role="assistant"),
    ]
    sent = orjson.loads(responses.prepare(read(input=items), GPT).send(20))
    assert sent["input"] == items


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws_1"},
        {"type": "file_search_call", "id": "fs_1"},
        {"type": "computer_call_output", "call_id": "c", "output": {"file_id": "f"}},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "web_search"}]},
        {"type": "mcp_call", "id": "m"},
        {"type": "something_new"},
        message({"type": "input_file", "file_id": "file_1"}),
        message({"type": "input_file", "file_url": "https://example.com/a.pdf"}),
        message({"type": "input_file", "file_data": "data:application/pdf;base64,AA"}),
        message({"type": "input_image", "file_id": "file_1"}),
        message({"type": "input_image", "image_url": "https://a.example/x.png", "file_id": "file_1"}),
        message({"type": "input_image", "image_url": "file:///etc/passwd"}),
        message({"type": "input_video", "video_url": "https://x"}),
        message({}),
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": "f"}]},
    ],
)
def test_items_and_parts_that_hide_input_are_refused(item):
    with pytest.raises(UnboundedCall) as caught:
        read(input=[{"role": "user", "content": "hi"}, item])
    assert caught.value.param.startswith("input[1]")


@pytest.mark.parametrize("role", [["system"], {"system": 1}, None, 5])
def test_a_role_that_is_no_text_is_left_to_the_provider(role):
    assert read(input=[{"role": role, "content": "hi"}]).facts.system_prompt_bytes == 0


def test_items_that_stand_there_by_their_ids_alone_are_told_with_their_places():
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    items = [
        message(), thought, {"type": "item_reference", "id": "msg_1"}, {"id": "msg_2"}, {"type": None, "id": "fc_1"},
        thought | {"encrypted_content": "gAAA"}, thought | {"id": "rs_2", "encrypted_content": ""},
    ]  # fmt: skip
    ids = ["rs_1", "msg_1", "msg_2", "fc_1", "rs_2"]
    assert read(input=items).named_items == tuple(zip(ids, (f"input[{at}]" for at in (1, 2, 3, 4, 6)), strict=True))
    with pytest.raises(UnboundedCall):
        read(input=[{"id": f"msg_{at}"} for at in range(1_001)])


def test_audio_has_no_price_here():
    with pytest.raises(UnpricedFeature):
        read(input=[message({"type": "input_audio", "input_audio": {"data": "", "format": "mp3"}})])


@pytest.mark.parametrize(
    "fields",
    [
        {"input": None},
        {"input": ""},
        {"input": []},
        {"input": 5},
        {"input": ["hi"]},
        {"input": [{"role": "user", "content": 5}]},
        {"input": [{"role": "user"}]},
        {"input": [{"role": "user", "content": ["hi"]}]},
        {"input": [{"type": 5}]},
        {"input": [{"type": "item_reference"}]},
        {"input": [{"type": "reasoning", "summary": []}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": 5}]},
        {"input": [{"text": "hi"}]},
        {"input": [{"type": "function_call", "id": "fc_1"}]},
        {"input": [{"type": "function_call_output", "output": {}}]},
        {"input": [message({"type": "input_image"})]},
        {"instructions": ["x"]},
        {"max_output_tokens": 15},
        {"max_output_tokens": "50"},
        {"max_output_tokens": True},
        {"stream": 1},
        {"store": "yes"},
        {"background": "yes"},
        {"previous_response_id": 5},
        {"model": ""},
        {"tools": {"type": "function"}},
        {"reasoning": "high"},
        {"context_management": {"type": "x"}},
        {"tools": [{"type": "web_search"}], "max_tool_calls": 0},
    ],
)
def test_wrong_types_are_malformed(fields):
    with pytest.raises(Malformed):
        read(**fields)


def test_only_the_documented_changes_are_made():
    request = read(model="openai/gpt-4o", stream=True, max_output_tokens=50, service_tier="auto")
    sent = orjson.loads(responses.prepare(request, GPT).send(50))
    assert sent == body_of(stream=True, max_output_tokens=50, service_tier="default")
    compatible = responses.prepare(read(max_output_tokens=None), Target("acme", "x/y"))
    assert orjson.loads(compatible.send(20)) == {"model": "x/y", "input": "hi", "max_output_tokens": 20}


def test_a_count_of_the_input_is_sent_without_a_tier_or_a_bound():
    request = read(endpoint=responses.INPUT_TOKENS, stream=True)
    sent = orjson.loads(responses.prepare(request, GPT).send())
    assert sent == body_of(stream=True)
    assert (request.stream, request.keeps) == (False, False)


def test_the_cap_is_added_kept_and_lowered_under_its_own_name():
    assert orjson.loads(responses.prepare(read(), GPT).send(300))["max_output_tokens"] == 300
    kept = responses.prepare(read(max_output_tokens=900), GPT)
    assert orjson.loads(kept.send(900))["max_output_tokens"] == 900
    assert orjson.loads(kept.send(300))["max_output_tokens"] == 300
    assert read(max_output_tokens=900).output_cap_least == 16


@pytest.mark.parametrize("cap", [16, 500, 16_384])
def test_the_bound_is_exact_to_the_byte_for_plain_text(cap):
    for request in (read(), read(max_output_tokens=cap)):
        outgoing = responses.prepare(request, GPT)
        assert outgoing.bound(cap).input_tokens == len(outgoing.send(cap)) + 64


def test_schemas_of_tools_and_formats_add_two_tokens_for_each_node():
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "description": "é"}}
    text = {"format": {"type": "json_schema", "schema": {}}}
    outgoing = responses.prepare(read(tools=[tool], text=text), GPT)
    assert outgoing.bound(20).input_tokens >= len(outgoing.send(20)) + 64 + 2 * 7 + 2 * 2 + 2 * 4


@pytest.mark.parametrize(
    ("model", "url", "detail", "tokens"),
    [
        ("gpt-4o", png(4_000, 3_000), "auto", 85 + 170 * 8),
        ("gpt-4o", "https://example.com/a.png", "high", 85 + 170 * 24),
        ("gpt-5.6-sol", png(16_000, 16_000), "original", 615_000),
    ],
)
def test_images_are_bounded_by_their_size_and_not_by_their_bytes(model, url, detail, tokens):
    part = {"type": "input_image", "image_url": url, "detail": detail}
    for item in (message(part), {"type": "function_call_output", "call_id": "c", "output": [part]}):
        outgoing = responses.prepare(read(model=model, input=[item]), OPENAI.target(model, Dialect.OPENAI))
        data = len(url.partition(",")[2]) if url.startswith("data:") else 0
        assert outgoing.bound(20).input_tokens == len(outgoing.send(20)) - data + 64 + tokens


def test_an_image_without_a_bound_is_refused():
    part = {"type": "input_image", "image_url": "https://example.com/a.png"}
    with pytest.raises(UnboundedCall):
        responses.prepare(
            read(model="gpt-6.1-sol", input=[message(part)]), OPENAI.target("gpt-6.1-sol", Dialect.OPENAI)
        )


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_cache_options": {"ttl": "12h"}},
        {"input": [message({"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"ttl": "12h"}})]},
    ],
)
def test_a_long_cache_lifetime_is_held_wherever_it_is_asked_for(fields):
    assert responses.prepare(read(**fields), GPT).bound(20).cache_ttl_long
    assert not responses.prepare(read(), GPT).bound(20).cache_ttl_long


def test_hosted_tools_are_bounded_together():
    tools = [{"type": "web_search"}, {"type": "web_search_preview"}, {"type": "file_search", "vector_store_ids": ["v"]}]
    assert read(tools=tools[:1], max_tool_calls=4).hosted_tools == {"web_search": 4}
    assert read(tools=tools, max_tool_calls=4).hosted_tools == {"file_search": 4, "web_search_preview": 4}
    request = read(tools=tools)
    assert request.hosted_tools == {"file_search": 0, "web_search_preview": 0}
    allowed = responses.ModelRequest(**{name: getattr(request, name) for name in request.__slots__} | {
        "hosted_tools": {"file_search": 2, "web_search_preview": 5}
    })  # fmt: skip
    outgoing = responses.prepare(allowed, GPT)
    assert orjson.loads(outgoing.send(20))["max_tool_calls"] == 2
    assert dict(outgoing.bound(20).tools) == {"file_search": 2, "web_search_preview": 2}


def test_results_of_hosted_tools_are_taken_with_such_a_tool_alone():
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert read(input=[item], tools=[{"type": "web_search"}]).hosted_tools == {"web_search": 0}


def test_what_is_kept_and_what_is_continued_is_told_apart():
    assert (read().keeps, read(store=None).keeps, read(store=True).keeps, read(store=False).keeps) == (
        True, True, True, False,
    )  # fmt: skip
    request = read(input=None, previous_response_id="resp_1")
    assert (request.previous_id, read().previous_id) == ("resp_1", "")


def test_the_facts_of_a_call_are_kept_without_its_text():
    items = [
        {"role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        {"role": "user", "content": "again"},
    ]
    request = read(instructions="be ä", input=items, safety_identifier="u-1")
    other = read(input=[items[1]])
    assert (request.facts.system_prompt_bytes, request.user) == (6, "u-1")
    assert request.facts.last_message_fingerprint == other.facts.last_message_fingerprint
    assert request.facts.body_fingerprint != other.facts.body_fingerprint
    assert read(input="a").facts.last_message_fingerprint != read(input="b").facts.last_message_fingerprint


def test_an_unknown_beta_is_refused_by_name():
    with pytest.raises(UnpricedFeature, match="responses_multi_agent=v1"):
        read({"openai-beta": "responses_multi_agent=v1"})
