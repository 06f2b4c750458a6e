"""Messages: what is refused because it moves the price unseen, what passes, and what we change."""

from dataclasses import replace

import orjson
import pytest

from proxy.errors import Malformed, Refusal, UnboundedCall, UnpricedFeature
from proxy.providers.anthropic import messages
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.targets import Target

OPUS = Target("anthropic", "claude-opus-5-5")


def body_of(**fields):
    return {"model": "claude-opus-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]} | fields


def read(headers=None, **fields):
    return messages.read_request(Route(messages.MESSAGES), orjson.dumps(body_of(**fields)), headers or {})


def block(**fields):
    return [{"role": "user", "content": [fields]}]


PRICE_MOVERS = {
    "service_tier": "priority",
    "speed": "ludicrous",
    "inference_geo": "eu",
    "container": "container_1",
    "mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}],
    "thread": {"type": "create"},
    "fallbacks": "default",
    "compaction": {"type": "summarize"},
    "billing_policy": {"type": "billing_policy", "bill_to": "user_profile"},
    "fallback_credit_token": "t",
    "user_profile_id": "p",
    "workspace_id": "w",
    "context_management": {"edits": [{"type": "compact_20260112"}]},
    "tools": [{"type": "web_search_20260318", "name": "web_search"}],
    "background": True,
    "multi_agent": 4,
    "advisor": {},
    "skills": ["x"],
    "anthropic_beta": ["compact-2026-01-12"],
    "betas": ["compact-2026-01-12"],
    "safeguards": [{"type": "dangerous_tool_use"}],
}


@pytest.mark.parametrize("name", PRICE_MOVERS)
def test_each_field_that_could_move_the_price_is_refused_by_name(name):
    with pytest.raises(UnpricedFeature) as caught:
        read(**{name: PRICE_MOVERS[name]})
    assert caught.value.param == name


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_fetch_20260309", "name": "web_fetch"},
        {"type": "web_search_20250305", "name": "web_search", "allowed_callers": ["code_execution_20260120"]},
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "advisor_20260301", "name": "advisor"},
        {"type": "tool_search_tool_bm25_20251119", "name": "s"},
        {"type": "mcp_toolset"},
        {"type": "memory_20250818", "name": "memory"},
        {"type": 7},
        {"name": "f", "input_schema": {}, "allowed_callers": ["code_execution_20250825"]},
    ],
)
def test_server_tools_are_refused(tool):
    with pytest.raises(UnpricedFeature):
        read(tools=[tool])


SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 2}


def test_hosted_tools_are_read_with_the_uses_that_the_body_allows():
    assert read(tools=[SEARCH, {"name": "f", "input_schema": {}}, FETCH]).hosted_tools == {
        "web_search": 0,
        "web_fetch": 2,
    }


def test_hosted_tools_get_their_bound_in_the_body_and_in_the_ceiling():
    request = replace(read(tools=[SEARCH, FETCH]), hosted_tools={"web_search": 3, "web_fetch": 2})
    outgoing = messages.prepare(request, OPUS)
    assert orjson.loads(outgoing.body)["tools"] == [SEARCH | {"max_uses": 3}, FETCH]
    assert outgoing.bound(100).tools == {"web_search": 3, "web_fetch": 2}
    with pytest.raises(AssertionError):
        messages.prepare(read(tools=[SEARCH]), OPUS)


@pytest.mark.parametrize("uses", [0, -1, 1.5, "3", True])
def test_a_bound_on_uses_that_is_no_number_of_uses_is_malformed(uses):
    with pytest.raises(Malformed):
        read(tools=[SEARCH | {"max_uses": uses}])


def test_the_same_hosted_tool_twice_is_malformed():
    with pytest.raises(Malformed):
        read(tools=[SEARCH, SEARCH | {"max_uses": 2}])


@pytest.mark.parametrize("kind", ["server_tool_use", "web_search_tool_result", "web_fetch_tool_result"])
def test_earlier_results_of_hosted_tools_pass_only_where_whole_windows_are_held(kind):
    history = block(type=kind, content=[{"type": "web_search_result", "encrypted_content": "x"}])
    read(messages=history, tools=[SEARCH])
    with pytest.raises(UnboundedCall):
        read(messages=history)


def test_a_cut_stream_with_hosted_tools_tells_nothing_that_could_be_charged():
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
    for tools, basis in (([SEARCH], Basis.NONE), ([], Basis.INPUT_ONLY)):
        meter = messages.stream_meter(read(tools=tools, stream=True))
        meter.feed(b"data: " + orjson.dumps(start) + b"\n\n")
        metered = meter.finish()
        assert metered.basis is basis
        assert (metered.usage is None) is (basis is Basis.NONE)


@pytest.mark.parametrize(("thinking", "least"), [(None, 1), ({"type": "enabled", "budget_tokens": 2048}, 2049)])
def test_an_output_bound_stays_above_the_thinking_budget(thinking, least):
    assert read(thinking=thinking, max_tokens=9_000).output_cap_least == least


@pytest.mark.parametrize(("budget", "beside"), [(8_999, 0), (9_000, 9_000), (60_000, 60_000)])
def test_a_thinking_budget_that_is_not_below_the_output_bound_is_held_beside_it(budget, beside):
    """Interleaved thinking: "the token limit becomes your entire context window", says its page."""
    asked = read(thinking={"type": "enabled", "budget_tokens": budget}, max_tokens=9_000)
    assert messages.prepare(asked, OPUS).bound(9_000).output_tokens == 9_000 + beside


@pytest.mark.parametrize(
    ("tools", "tokens"),
    [
        ([{"name": "f", "input_schema": {}}], 2_000),
        ([{"type": "bash_20250124", "name": "bash"}], 2_325),
        ([{"type": "text_editor_20250728", "name": "e"}, {"type": "computer_20250124", "name": "c"}], 7_300),
        ([{"type": "browser_toolset_20260801"}], 9_600),
    ],
)
def test_the_prompt_that_tools_bring_is_in_the_bound(tools, tokens):
    outgoing = messages.prepare(read(tools=tools), OPUS)
    assert outgoing.bound(100).input_tokens > len(outgoing.body) + 64 + tokens


TEXT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "One. Two! Drei\u3002Four"}}
BLOCKS = {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "One. Two."}] * 3}}
FOUND = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "One."}] * 3}


@pytest.mark.parametrize(
    ("blocks", "tokens"),
    [
        ([TEXT], 1_000 + 4 * 16),
        ([BLOCKS], 1_000 + 4 * 16),
        ([FOUND], 1_000 + 4 * 16),
        ([TEXT, FOUND], 1_000 + 8 * 16),
        ([TEXT | {"source": {"type": "text", "data": 5}}], 1_000 + 16),
    ],
)
def test_what_citations_add_to_the_input_is_in_the_bound(blocks, tokens):
    def constant(citations):
        cited = [block | {"citations": citations} for block in blocks]
        shown = [{"type": "tool_result", "tool_use_id": "t", "content": cited}]
        for content in (cited, shown):
            yield read(messages=[{"role": "user", "content": content}]).hidden.constant_tokens

    assert set(constant({"enabled": True})) == {tokens}
    assert set(constant({"enabled": False})) == set(constant(None)) == {0}


FORMAT = {"type": "json_schema", "schema": {"type": "object"}}


@pytest.mark.parametrize("fields", [{"output_config": {"format": FORMAT}}, {"output_format": FORMAT}])
def test_the_prompt_that_explains_an_output_format_is_in_the_bound(fields):
    outgoing = messages.prepare(read(**fields), OPUS)
    assert outgoing.bound(100).input_tokens > len(outgoing.body) + 64 + 1_000
    plain = messages.prepare(read(output_config={"effort": "high", "format": None}), OPUS)
    assert plain.bound(100).input_tokens < len(plain.body) + 64 + 1_000


def test_harmless_fields_pass_and_the_documented_changes_are_made():
    fields = {
        "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}],
        "temperature": 0.1,
        "thinking": {"type": "enabled", "budget_tokens": 50},
        "metadata": {"user_id": "u-1"},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "mcp_servers": [],
        "container": None,
        "something_new": 1,
    }
    request = read(**fields)
    sent = orjson.loads(messages.prepare(request, OPUS).send(100))
    assert sent == body_of(**fields) | {"service_tier": "standard_only", "inference_geo": "global"}
    assert request.user == "u-1"
    assert request.facts.system_prompt_bytes == 7


@pytest.mark.parametrize(
    ("model", "takes_geo"),
    [
        ("claude-opus-5-5", True),
        ("claude-sonnet-4-6", True),
        ("claude-opus-5", True),
        ("claude-haiku-4-5", False),
        ("claude-sonnet-4-20250514", False),
        ("claude-opus-4-5-20251101", False),
        ("claude-3-haiku-20240307", False),
        ("claude-3-5-sonnet-latest", False),
        ("claude-2.1", False),
        ("claude-instant-1.2", False),
        ("claude-mythos-preview", True),
        ("claude-next", True),
    ],
)
def test_a_place_is_sent_only_to_models_that_take_one(model, takes_geo):
    sent = orjson.loads(messages.prepare(read(model=model), Target("anthropic", model)).body)
    assert ("inference_geo" in sent) is takes_geo
    assert sent["service_tier"] == "standard_only"


def test_place_speed_and_long_cache_are_reserved_as_asked():
    request = read(inference_geo="us", speed="fast", service_tier="auto")
    assert (request.geo, request.speed, request.tiers) == ("us", "fast", ("default",))
    assert orjson.loads(messages.prepare(request, OPUS).body)["inference_geo"] == "us"
    cached = block(type="text", text="x", cache_control={"type": "ephemeral", "ttl": "1h"})
    assert messages.prepare(read(messages=cached), OPUS).bound(1).cache_ttl_long
    escaped = orjson.dumps(body_of(messages=cached)).replace(b'"1h"', b'"\\u0031h"')
    assert messages.read_request(Route(messages.MESSAGES), escaped, {}).cache_ttl_long
    assert not read(messages=block(type="text", text='say "1h"')).cache_ttl_long


@pytest.mark.parametrize(
    ("model", "tokens"), [("claude-opus-5-5", 4_784), ("claude-sonnet-4-6", 1_568), ("new", 4_784)]
)
def test_each_image_counts_as_the_models_largest(model, tokens):
    data = "A" * 4_000
    source = {"type": "base64", "media_type": "image/png", "data": data}
    nested = [
        {"type": "image", "source": source},
        {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
    ]
    request = read(model=model, messages=block(type="tool_result", tool_use_id="t", content=nested))
    outgoing = messages.prepare(request, Target("anthropic", model))
    assert outgoing.bound(100).input_tokens == len(outgoing.body) - len(data) + 64 + 2 * tokens


@pytest.mark.parametrize(
    "content",
    [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}},
        {"type": "document", "source": {"type": "url", "url": "https://x"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "image", "source": {"type": "url", "url": "https://x"}, "transformations": {"resize": "none"}},
        {"type": "container_upload", "file_id": "f"},
        {"type": "compaction", "content": "x"},
        {"type": "web_search_tool_result", "content": []},
        {"type": "tool_addition"},
        {"type": "tool_removal", "tool": {"type": "mcp_toolset_reference", "name": "x"}},
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {"type": "web_search_20250305"}}},
        {"text": "no type"},
    ],
)
def test_blocks_that_hide_input_are_refused(content):
    with pytest.raises(UnboundedCall):
        read(messages=[{"role": "user", "content": [content]}])


def test_documents_of_text_are_bounded_by_their_bytes():
    inner = [{"type": "text", "text": "x"}]
    for source in ({"type": "text", "media_type": "text/plain", "data": "x"}, {"type": "content", "content": inner}):
        outgoing = messages.prepare(read(messages=block(type="document", source=source)), OPUS)
        assert outgoing.bound(1).input_tokens == len(outgoing.body) + 64


def test_a_million_arabic_ligatures_are_reserved_at_eleven_times_their_bytes():
    text = "\ufdfa" * 1_000_000
    bound = messages.prepare(read(messages=[{"role": "user", "content": text}]), OPUS).bound(1)
    assert bound.input_tokens >= 11 * len(text.encode())


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": None},
        {"max_tokens": True},
        {"max_tokens": "5"},
        {"max_tokens": -1},
        {"messages": []},
        {"messages": [{"role": "user", "content": ["x"]}]},
        {"stream": 1},
        {"system": 5},
        {"metadata": "x"},
        {"context_management": {"edits": "all"}},
    ],
)
def test_wrong_types_are_malformed(fields):
    with pytest.raises(Malformed):
        read(**fields)


def test_a_cap_of_nothing_warms_the_cache():
    assert messages.prepare(read(max_tokens=0), OPUS).bound(0).output_tokens == 0


def test_betas_are_known_by_name_and_a_long_context_only_where_its_price_is_flat():
    claude_code = "claude-code-20250219,interleaved-thinking-2025-05-14, context-management-2025-06-27"
    read({"anthropic-beta": claude_code})
    read({"anthropic-beta": "context-1m-2025-08-07"})
    for headers, model in (
        ({"anthropic-beta": "compact-2026-01-12"}, "claude-opus-5-5"),
        ({"anthropic-beta": "context-1m-2025-08-07"}, "claude-sonnet-4-5"),
        ({"anthropic-beta": "context-1m-2025-08-07"}, "claude-next"),
    ):
        with pytest.raises(UnpricedFeature) as caught:
            read(headers, model=model)
        assert caught.value.param == "anthropic-beta"


@pytest.mark.parametrize(
    ("model", "betas"),
    [
        ("claude-haiku-4-5", ""),
        ("claude-sonnet-4-6", ",effort-2025-11-24"),
        ("claude-opus-4-8", ",mid-conversation-tool-changes-2026-07-01,effort-2025-11-24"),
        ("claude-opus-5-5", ",per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,effort-2025-11-24"),
    ],
)
def test_what_claude_code_asks_of_each_model_passes(model, betas):
    """J4: the betas and the form of the first request of version 2.1, which differ by model."""
    own = (
        "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
        "thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20"
    )
    messages_sent = [
        {"role": "user", "content": [{"type": "text", "text": "Say hello"}]},
        {
            "role": "system",
            "output_config": {"effort": "medium"},
            "content": [{"type": "text", "text": "# Environment", "cache_control": {"type": "ephemeral"}}],
        },
    ]
    request = read(
        {"anthropic-beta": own + betas},
        model=model,
        messages=messages_sent,
        tools=[LOOK],
        thinking={"type": "adaptive", "display": "omitted"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        output_config={"effort": "high"},
    )
    assert orjson.loads(messages.prepare(request, Target("anthropic", model)).body)["messages"] == messages_sent


def test_a_token_count_is_forwarded_as_it_is_and_is_free():
    body = orjson.dumps({"model": "claude-opus-5-5", "messages": [], "tools": [{"type": "web_search_20250305"}]})
    request = messages.read_request(Route(messages.COUNT_TOKENS), body, {})
    outgoing = messages.prepare(request, OPUS)
    assert orjson.loads(outgoing.send()) == orjson.loads(body)
    assert messages.read_answer(request, b'{"input_tokens":5}').finished
    with pytest.raises(Refusal):
        messages.read_request(Route(messages.COUNT_TOKENS), b'{"messages":[]}', {})


@pytest.mark.parametrize("sent", [1, 1.5, True, "hi", {"a": 1}, None])
def test_a_token_count_of_no_list_is_the_providers_to_refuse(sent):
    body = orjson.dumps({"model": "claude-opus-5-5", "messages": sent})
    request = messages.read_request(Route(messages.COUNT_TOKENS), body, {})
    assert messages.prepare(request, OPUS).send() == body


LOOK = {"name": "look", "description": "Looks ﷺ", "input_schema": {"type": "object"}, "defer_loading": True}


def referring(*names: str):
    references = [{"type": "tool_reference", "tool_name": name} for name in names]
    return block(type="tool_result", tool_use_id="t", content=references)


def test_each_reference_to_a_tool_holds_its_whole_definition_once_more():
    beta = {"anthropic-beta": "advanced-tool-use-2025-11-20"}
    plain, once, thrice = (
        messages.prepare(read(beta, tools=[LOOK], messages=referring(*names)), OPUS)
        for names in ((), ("look",), ("look",) * 3)
    )
    definition = len(orjson.dumps(LOOK)) + 30 + 6 * 2 + 2 * 3  # bytes, growth of U+FDFA, JSON nodes, escapes
    for outgoing, references in ((once, 1), (thrice, 3)):
        hidden = outgoing.bound(1).input_tokens - len(outgoing.body)
        assert hidden == plain.bound(1).input_tokens - len(plain.body) + references * definition


def test_a_reference_to_a_tool_that_the_request_does_not_define_is_refused():
    with pytest.raises(UnboundedCall, match="look"):
        read(messages=referring("look"))


def changing(kind: str, name: str, times: int = 1):
    change = {"type": kind, "tool": {"type": "tool_reference", "name": name}}
    return [{"role": "user", "content": "hi"}, {"role": "system", "content": [change] * times}]


def test_a_tool_that_is_added_in_mid_conversation_holds_its_whole_definition_each_time():
    removed, once, thrice = (
        messages.prepare(read(tools=[LOOK], messages=changing(kind, "look", times)), OPUS)
        for kind, times in (("tool_removal", 1), ("tool_addition", 1), ("tool_addition", 3))
    )
    definition = len(orjson.dumps(LOOK)) + 30 + 6 * 2 + 2 * 3
    base = removed.bound(1).input_tokens - len(removed.body)
    for outgoing, additions in ((once, 1), (thrice, 3)):
        assert outgoing.bound(1).input_tokens - len(outgoing.body) == base + additions * definition


def test_adding_a_tool_that_the_request_does_not_define_is_refused():
    with pytest.raises(UnboundedCall, match="look"):
        read(messages=changing("tool_addition", "look"))
