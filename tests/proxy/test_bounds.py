"""The ceiling holds: whatever a request hides, no bill of the provider is above it."""

import base64
import struct
import time
import unicodedata
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.money import usd_exact
from agents.pricebook import current_book
from agents.pricing import Circumstances, UnpricedFeature, Usage, ceiling_pico, cost_pico
from proxy import bounds
from proxy.errors import Dialect, OutputTooLong, Refusal
from proxy.providers.anthropic import messages
from proxy.providers.endpoints import Route
from proxy.providers.gemini import generate
from proxy.providers.openai import chat, completions, embeddings, images, responses
from proxy.providers.targets import BUILT_IN, GOOGLE, OPENAI
from tests.fakes import images_api

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_ascii_grows_by_nothing_and_ligatures_by_what_they_become():
    assert bounds.nfkc_growth(["plain"]) == 0
    assert bounds.nfkc_growth(["\ufdfa"]) == 30
    assert bounds.nfkc_growth(["é"]) == 0
    assert bounds.nfkc_growth(["ｆｕｌｌ", "\ufdfa"]) == 30  # becomes shorter; that is never taken off


tricky = st.sampled_from(
    [
        "e\u0301",
        "\u00e9\u0323",
        "\ufdfa",
        "\uac00",
        "\u1100\u1161\u11a8",
        "\uff76\uff9e",
        "\u0958",
        "…",
        "ｆ",
        "a",
        "漢",
    ]
)


@given(st.lists(st.characters(codec="utf-8") | tricky, max_size=40).map("".join), st.integers(7, 9))
def test_a_long_text_is_never_bounded_below_what_it_becomes(text, times):
    text = (text + "é") * times
    exact = len(unicodedata.normalize("NFKC", text).encode()) - len(text.encode())
    assert bounds._growth_by_character(text) >= exact
    assert bounds.nfkc_growth([text]) >= exact


def test_the_letters_that_are_passed_over_gain_nothing_and_stand_alone():
    passed_over = [chr(code) for code in range(0x110000) if not bounds._OTHERS.match(chr(code))]
    assert len(passed_over) > 30_000
    for character in passed_over:
        assert bounds._growth_alone.__wrapped__(character) == 0
        assert bounds._stands_alone.__wrapped__(character)


def test_long_texts_of_living_languages_gain_nothing():
    for text in ("한국어 문장…", "漢字，與標點。", "déjà vu —", "…"):
        assert bounds.nfkc_growth([text * 200]) == 0


def test_a_run_of_combining_marks_takes_linear_time():
    began = time.thread_time()
    assert bounds.nfkc_growth(["\u0315\u0300" * 500_000]) >= 0
    assert time.thread_time() - began < 5


def test_arguments_in_a_string_count_as_what_they_become_when_they_are_written_again():
    """For Claude and Gemini the arguments of a call are read and written out again."""
    for value in ({}, {"a": [1, {"b": None}], "é": ["ü", []]}, [1] * 50, [[[]]], "plain", 5):
        written = orjson.dumps(value).decode()
        assert bounds.argument_tokens(written) >= bounds.schema_tokens(value)
    assert bounds.argument_tokens([{"function": {"arguments": "[1,1,1]"}}, {"arguments": "é"}, None, 5]) == 8 + 2 + 4
    escaped = '{"a": "' + "\\ufdfa" * 100 + '"}'
    assert len(escaped) + bounds.argument_tokens(escaped) >= 33 * 100
    # What orjson takes for no JSON, Python's own reader takes for a text.
    assert len(escaped) + bounds.argument_tokens(escaped.replace("a", "\\ud800")) >= 33 * 100
    assert bounds.argument_tokens("[" * 900 + '"\\u00e9"' + "]" * 900) >= 2 * 901


@pytest.mark.parametrize("arguments", ["[1,1,1,1]", '"é"', '{"a": "' + "\\ufdfa" * 9 + '"}'])
def test_calls_of_earlier_turns_count_wherever_they_stand(arguments):
    extra = bounds.argument_tokens(arguments)
    function = {"name": "f", "arguments": arguments}
    for call in ({"tool_calls": [{"id": "c", "type": "function", "function": function}]}, {"function_call": function}):
        asked = {"model": "gpt-4o", "messages": [{"role": "assistant", "content": None, **call}]}
        assert chat.read_request(Route(chat.CHAT), orjson.dumps(asked), {}).hidden.text_tokens >= extra
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments}
    asked = {"model": "gpt-4o", "input": [item]}
    read = responses.read_request(Route(responses.RESPONSES), orjson.dumps(asked), {})
    assert read.hidden.text_tokens == extra


def test_schemas_count_two_for_each_node_and_escape():
    assert bounds.schema_tokens({"a": [1, "b"], "é": "ü"}) == 2 * 5 + 2 * 4


def test_the_added_cap_is_the_smaller_of_the_models_and_the_default():
    assert bounds.added_cap(model_max=4_096, default_cap=16_384) == 4_096
    assert bounds.added_cap(model_max=4_096, default_cap=900) == 900
    assert bounds.added_cap(model_max=None) == bounds.DEFAULT_CAP


def test_a_bound_above_the_agents_is_refused_and_never_lowered():
    bounds.check_cap(100, agent="a", agent_max=100)
    bounds.check_cap(10**6, agent="a", agent_max=None)
    with pytest.raises(OutputTooLong):
        bounds.check_cap(101, agent="a", agent_max=100)


def png(width, height):
    raw = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height)
    return base64.b64encode(raw).decode()


texts = st.text(max_size=40) | st.sampled_from(["\ufdfa" * 5, "ﷻ﷽", "𝕳𝖊", "½", "\\u0000", '"\n\t\x01'])
schemas = st.recursive(
    texts | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
sizes = st.tuples(st.integers(1, 9_000), st.integers(1, 9_000))
caps = st.integers(1, 20_000)


GEMINI_MODELS = ["gemini-2.5-flash", "gemini-2.0-flash", "gemini-3.5-flash", "gemini-3.1-pro-preview", "gemini-4-argon"]


@st.composite
def chats(draw):
    model = draw(st.sampled_from(["gpt-4o", "gpt-4o-mini", "gpt-5-mini", "gpt-6.1-sol", "gpt-5.6-sol"]))
    parts = [{"type": "text", "text": draw(texts)}]
    for width, height in draw(st.lists(sizes, max_size=2)):
        url = f"data:image/png;base64,{png(width, height)}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    body = {"model": model, "messages": [{"role": "user", "content": parts}]}
    optional = {
        "max_tokens": caps,
        "n": st.integers(1, 8),
        "service_tier": st.sampled_from(["default", "auto", "flex", "priority"]),
        "tools": st.lists(st.fixed_dictionaries({"type": st.just("function"), "function": schemas}), max_size=2),
        "prediction": st.fixed_dictionaries({"type": st.just("content"), "content": texts}),
        "stream": st.booleans(),
    }
    return body | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def conversations(draw):
    model = draw(st.sampled_from(["claude-opus-5-5", "claude-haiku-4-5", "claude-opus-4-8", "claude-sonnet-4-6"]))
    content = [
        {"type": "text", "text": draw(texts)},
        {"type": "tool_use", "id": "t", "name": "f", "input": draw(schemas)},
    ]
    if draw(st.booleans()):
        source = {"type": "base64", "media_type": "image/png", "data": png(*draw(sizes))}
        content.append({"type": "image", "source": source})
    if draw(st.booleans()):
        content[0]["cache_control"] = {"type": "ephemeral", "ttl": draw(st.sampled_from(["5m", "1h"]))}
    body = {"model": model, "max_tokens": draw(caps), "messages": [{"role": "user", "content": content}]}
    optional = {
        "tools": st.lists(st.fixed_dictionaries({"name": texts, "input_schema": schemas}), max_size=2),
        "speed": st.sampled_from(["standard", "fast"]),
        "inference_geo": st.sampled_from(["us", "global"]),
        "system": texts,
    }
    return body | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def answers(draw):
    model = draw(st.sampled_from(["gpt-4o", "gpt-4o-mini", "gpt-5-mini", "gpt-6.1-sol", "gpt-5.6-sol"]))
    parts = [{"type": "input_text", "text": draw(texts)}]
    for width, height in draw(st.lists(sizes, max_size=2)):
        parts.append({"type": "input_image", "image_url": f"data:image/png;base64,{png(width, height)}"})
    items = [
        {"type": "message", "role": "user", "content": parts},
        {"type": "function_call", "call_id": "c", "name": draw(texts), "arguments": draw(texts)},
        {"type": "function_call_output", "call_id": "c", "output": draw(texts)},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": draw(texts) + "x"},
    ]
    optional = {
        "max_output_tokens": st.integers(16, 20_000),
        "instructions": texts,
        "service_tier": st.sampled_from(["default", "auto", "flex", "priority"]),
        "tools": st.lists(
            st.fixed_dictionaries({"type": st.just("function"), "name": texts, "parameters": schemas}), max_size=2
        ),
        "text": st.fixed_dictionaries({"format": schemas}),
        "prompt_cache_options": st.fixed_dictionaries({"ttl": st.sampled_from(["30m", "12h"])}),
        "stream": st.booleans(),
        "store": st.booleans(),
    }
    return {"model": model, "input": items} | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def contents(draw):
    """A request for content under one of the spellings that Google reads."""
    camel = draw(st.booleans())
    call = {"functionCall": {"name": draw(texts), "args": draw(schemas)}}
    parts = [{"text": draw(texts)}, call]
    for width, height in draw(st.lists(sizes, max_size=2)):
        blob = {"mimeType" if camel else "mime_type": "image/png", "data": png(width, height) + "AAAA" * 10}
        part = {"inlineData" if camel else "inline_data": blob}
        if draw(st.booleans()):
            part["mediaResolution"] = {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"}
        parts.append(part)
    config = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "maxOutputTokens" if camel else "max_output_tokens": caps,
                "candidateCount": st.integers(1, 8),
                "responseSchema": schemas,
            },
        )
    )
    body = {"contents": [{"role": "user", "parts": parts}]}
    optional = {
        "generationConfig" if camel else "generation_config": st.just(config),
        "systemInstruction": st.fixed_dictionaries({"parts": st.just([{"text": draw(texts)}])}),
        "tools": st.lists(
            st.fixed_dictionaries({"functionDeclarations": st.lists(st.dictionaries(texts, schemas, max_size=2))}),
            max_size=2,
        ),
        "serviceTier": st.sampled_from(["standard", "flex", "priority"]),
    }
    return draw(st.sampled_from(GEMINI_MODELS)), body | draw(st.fixed_dictionaries({}, optional=optional))


def gemini_images(model, body):
    """Image tokens as Google tells them: tiles of at least 256 pixels, or the most of the finest level."""
    total = 0
    for part in body["contents"][0]["parts"]:
        blob = part.get("inlineData") or part.get("inline_data")
        if blob:
            width, height = struct.unpack_from(">II", base64.b64decode(blob["data"]), 16)
            side = min(max(int(min(width, height) / 1.5), 256), 768)
            tiles = 1 if max(width, height) <= 384 else -(-width // side) * -(-height // side)
            fine = 2_240 if "mediaResolution" in part or model.startswith("gemini-4") else 1_120
            total += 258 * tiles if model.startswith("gemini-2") else fine
    return total


token_ids = st.lists(st.integers(0, 200_000), min_size=1, max_size=20)


@st.composite
def prompts(draw):
    model = draw(st.sampled_from(["gpt-3.5-turbo-instruct", "davinci-002"]))
    many = st.lists(texts, min_size=1, max_size=4) | st.lists(token_ids, min_size=1, max_size=4)
    body = {"model": model, "prompt": draw(texts | many | token_ids)}
    optional = {
        "max_tokens": caps,
        "n": st.integers(1, 8),
        "best_of": st.integers(1, 8),
        "suffix": texts,
        "stop": st.lists(texts, max_size=2),
        "stream": st.booleans(),
    }
    return body | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def inputs(draw):
    model = draw(st.sampled_from(["text-embedding-3-small", "text-embedding-3-large"]))
    many = st.lists(texts, min_size=1, max_size=5) | st.lists(token_ids, min_size=1, max_size=5)
    body = {"model": model, "input": draw(texts | many | token_ids)}
    optional = {"dimensions": st.integers(1, 3_072), "encoding_format": st.sampled_from(["float", "base64"])}
    return body | draw(st.fixed_dictionaries({}, optional=optional))


def adversarial_tokens(value):
    """A tokenizer that makes a token of each byte of normalised text and adds framing of its own."""
    if isinstance(value, str):
        if len(value) > 60 and value.isascii():
            return 0  # base64: counted as an image
        return max(len(value.encode()), len(unicodedata.normalize("NFKC", value).encode()))
    if isinstance(value, dict):
        return sum(adversarial_tokens(key) + adversarial_tokens(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(map(adversarial_tokens, value))
    return 1


def patches(body, pixels):
    """Image tokens without any limit of the provider's, at the dearest published multiplier."""
    total = 0
    for part in (body.get("messages") or body["input"])[0]["content"]:
        named = part.get("image_url", {})
        url = named if isinstance(named, str) else named.get("url", "")
        data = url.partition(",")[2] or part.get("source", {}).get("data")
        if data:
            width, height = struct.unpack_from(">II", base64.b64decode(data), 16)
            total += -(-width // pixels) * -(-height // pixels)
    return total


def dearest_bills(row, request, body, *, input_tokens, output_tokens):
    """Bills with all input in one bucket, for each bucket, tier and place that may apply."""
    long = ["cache_write_long"] if request.cache_ttl_long else []
    rates = row.tiers["default"].short
    for bucket in ["input", "cache_read", "cache_write", *long]:
        if getattr(rates, bucket) is None:
            continue
        usage = Usage(output=output_tokens, **{bucket: input_tokens})
        for tier in request.tiers:
            yield cost_pico(row, usage, Circumstances(tier=tier, speed=request.speed, geo=request.geo))


def worst(module, endpoint, body, *, image_tokens):
    """The ceiling and the dearest bill of a request; None when it is refused."""
    try:
        request = module.read_request(Route(endpoint), orjson.dumps(body), {})
        outgoing = module.prepare(request, BUILT_IN[endpoint.dialect].target(body["model"], endpoint.dialect))
        row = current_book().row(endpoint.dialect, body["model"], NOW)
        cap = request.output_cap or bounds.added_cap(model_max=row.output_limit)
        bound = outgoing.bound(cap)
        rows = current_book().rows_between(row.provider, row.model, NOW, NOW)
        ceiling = ceiling_pico(rows, bound, request.tiers, request.speed, request.geo)
    except (Refusal, UnpricedFeature):
        return None
    sent = orjson.loads(outgoing.send(cap))
    predicted = adversarial_tokens((sent.get("prediction") or {}).get("content") or "")
    said = sent.get("messages") or sent["input"]
    tokens = adversarial_tokens(said) + adversarial_tokens(sent.get("tools") or []) + image_tokens + 60
    tokens += sum(adversarial_tokens(sent.get(name) or "") for name in ("system", "instructions", "text"))
    tokens += 804 if sent.get("tools") and module is messages else 0
    output = (cap + predicted) * request.choices
    return ceiling, max(dearest_bills(row, request, body, input_tokens=tokens, output_tokens=output))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chats())
def test_no_chat_can_cost_more_than_its_ceiling(body):
    tiled = body["model"].startswith("gpt-4o")
    limit = 10_000 if body["model"] == "gpt-5-mini" else 10**9
    images = 0 if tiled else min(patches(body, 32), limit)
    found = worst(chat, chat.CHAT, body, image_tokens=images)
    assert found is None or found[1] <= found[0]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answers())
def test_no_response_can_cost_more_than_its_ceiling(body):
    limit = 10_000 if body["model"] == "gpt-5-mini" else 10**9
    images = 0 if body["model"].startswith("gpt-4o") else min(patches(body, 32), limit)
    found = worst(responses, responses.RESPONSES, body, image_tokens=images)
    assert found is None or found[1] <= found[0]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations())
def test_no_message_can_cost_more_than_its_ceiling(body):
    large = body["model"] in ("claude-opus-5-5", "claude-opus-4-8")
    images = min(patches(body, 28), 4_784 if large else 1_568)
    found = worst(messages, messages.MESSAGES, body, image_tokens=images)
    assert found is None or found[1] <= found[0]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contents())
def test_no_content_of_gemini_can_cost_more_than_its_ceiling(asked):
    model, body = asked
    try:
        request = generate.read_request(Route(generate.GENERATE[0], model), orjson.dumps(body), {})
        outgoing = generate.prepare(request, GOOGLE.target(model, Dialect.GEMINI))
        row = current_book().row("google", model, NOW)
        cap = request.output_cap or bounds.added_cap(model_max=row.output_limit)
        rows = current_book().rows_between("google", model, NOW, NOW)
        ceiling = ceiling_pico(rows, outgoing.bound(cap), request.tiers, request.speed, request.geo)
    except (Refusal, UnpricedFeature):
        return
    sent = orjson.loads(outgoing.send(cap))
    (config,) = (sent[name] for name in ("generationConfig", "generation_config") if name in sent)
    assert cap in (config.get("maxOutputTokens"), config.get("max_output_tokens"))
    tokens = adversarial_tokens(sent) - adversarial_tokens(cap) + gemini_images(model, body) + 60
    output = cap * (config.get("candidateCount") or 1)
    assert max(dearest_bills(row, request, body, input_tokens=tokens, output_tokens=output)) <= ceiling


def dearest_of_texts(module, endpoint, body, read):
    """The ceiling and the dearest bill of a request whose text is what is read alone."""
    request = module.read_request(Route(endpoint), orjson.dumps(body), {})
    outgoing = module.prepare(request, OPENAI.target(body["model"], Dialect.OPENAI))
    rows = current_book().rows_between("openai", body["model"], NOW, NOW)
    cap = request.default_cap if request.output_cap is None else request.output_cap
    ceiling = ceiling_pico(rows, outgoing.bound(cap), request.tiers, request.speed, request.geo)
    made = max(body.get("n", 1), body.get("best_of", 1)) * items_of(read)
    tokens = adversarial_tokens(read) + adversarial_tokens(body.get("suffix", "")) + 60
    bills = dearest_bills(rows[0], request, body, input_tokens=tokens, output_tokens=cap * made)
    return ceiling, max(bills)


def items_of(value):
    return 1 if isinstance(value, str) or isinstance(value[0], int) else len(value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(prompts())
def test_no_completion_can_cost_more_than_its_ceiling(body):
    ceiling, bill = dearest_of_texts(completions, completions.COMPLETIONS, body, body["prompt"])
    assert bill <= ceiling


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(inputs())
def test_no_embedding_can_cost_more_than_its_ceiling(body):
    ceiling, bill = dearest_of_texts(embeddings, embeddings.EMBEDDINGS, body, body["input"])
    assert bill <= ceiling


@st.composite
def pictures_asked_for(draw):
    model = draw(st.sampled_from(["gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5"]))
    body = {"model": model, "prompt": draw(texts.filter(bool))}
    optional = {
        "n": st.integers(1, 10),
        "size": st.sampled_from(["auto", "1024x1024", "1024x1536", "1536x1024", None]),
        "quality": st.sampled_from(["auto", "low", "medium", "high", None]),
        "partial_images": st.integers(0, 3),
        "input_fidelity": st.sampled_from(["low", "high"]),
    }
    shown = draw(st.lists(sizes, max_size=3))
    if shown:
        body["images"] = [{"image_url": f"data:image/png;base64,{png(*size)}"} for size in shown]
    return body | draw(st.fixed_dictionaries({}, optional=optional))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pictures_asked_for(), st.integers(0, 2_000))
def test_no_image_can_cost_more_than_its_ceiling(body, thinking):
    """The bill is the fake provider's: its own table, the dearest where it may choose, the largest images shown."""
    endpoint = images.EDITS if "images" in body else images.GENERATIONS
    try:
        request = images.read_request(Route(endpoint), orjson.dumps(body), {})
    except Refusal:
        return
    outgoing = images.prepare(request, OPENAI.target(body["model"], Dialect.OPENAI))
    rows = current_book().rows_between("openai", body["model"], NOW, NOW)
    ceiling = ceiling_pico(rows, outgoing.bound(0), request.tiers, request.speed, request.geo)
    shown = [struct.unpack_from(">II", base64.b64decode(one["image_url"][22:]), 16) for one in body.get("images", [])]
    tiles = sum(-(-max(size) * 512 // min(size) // 512) for size in shown)
    fidelity = 6_240 if body.get("input_fidelity") == "high" else 0
    usage = Usage(
        input=adversarial_tokens(body["prompt"]) + 60 + 40 * len(shown),
        image_input=sum(65 + fidelity for _ in shown) + 129 * tiles,
        output=thinking if body["model"] == "gpt-image-1.5" else 0,
        image_output=images_api.cap(body),
    )
    assert cost_pico(rows[0], usage, Circumstances()) <= ceiling


RESERVES = [
    ("gpt-4o", 1_842, {"max_tokens": 500}, "0.009765"),
    ("gpt-6.1-sol", 48_000, {"max_tokens": 4_096}, "0.161120"),
    ("gpt-4o-mini", 900, {"max_tokens": 1_000, "n": 4}, "0.0025446"),
]


@pytest.mark.parametrize(("model", "size", "fields", "wanted"), RESERVES)
def test_the_worked_examples_of_reservations(model, size, fields, wanted):
    body = {"model": model, "service_tier": "default", "messages": [{"role": "user", "content": ""}]} | fields
    body["messages"][0]["content"] = "x" * (size - len(orjson.dumps(body)))
    request = chat.read_request(Route(chat.CHAT), orjson.dumps(body), {})
    bound = chat.prepare(request, OPENAI.target(model, Dialect.OPENAI)).bound(request.output_cap)
    rows = current_book().rows_between("openai", model, NOW, NOW)
    assert usd_exact(ceiling_pico(rows, bound, request.tiers, request.speed, request.geo)) == wanted


def test_the_worked_example_of_a_response_that_searches():
    """docs/pricing.md: gpt-5 with five searches reads up to six windows of 272,000 tokens."""
    body = {"model": "gpt-5", "input": "hi", "tools": [{"type": "web_search"}], "max_tool_calls": 5}
    body |= {"max_output_tokens": 4_096, "service_tier": "default"}
    request = responses.read_request(Route(responses.RESPONSES), orjson.dumps(body), {})
    bound = responses.prepare(request, OPENAI.target("gpt-5", Dialect.OPENAI)).bound(4_096)
    rows = current_book().rows_between("openai", "gpt-5", NOW, NOW)
    assert usd_exact(ceiling_pico(rows, bound, request.tiers, request.speed, request.geo)) == "2.130960"
