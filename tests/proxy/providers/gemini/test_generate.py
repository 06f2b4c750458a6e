"""Requests for content: what is refused because it moves the price unseen, what passes, and what we change."""

import base64
import struct

import orjson
import pytest

from proxy.errors import Malformed, Refusal, UnboundedCall, UnpricedFeature
from proxy.providers import registry
from proxy.providers.endpoints import Route
from proxy.providers.gemini import generate
from proxy.providers.model_request import EVENT_STREAM, JSON_ARRAY
from proxy.providers.targets import GOOGLE

MODEL = "gemini-2.5-flash"
TEXT = {"role": "user", "parts": [{"text": "hi"}]}


def target(model=MODEL):
    return GOOGLE.target(model, generate.GENERATE[0].dialect)


def body_of(**fields):
    return {"contents": [TEXT]} | fields


def read(item=MODEL, query="", endpoint=generate.GENERATE[0], **fields):
    return generate.read_request(Route(endpoint, item, query), orjson.dumps(body_of(**fields)), {})


def of_part(**part):
    return [{"role": "user", "parts": [part]}]


def png(width=100, height=100, *, more=0):
    raw = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height) + bytes(more)
    return base64.b64encode(raw).decode()


def picture(**blob):
    return {"inlineData": {"mimeType": "image/png", "data": png()} | blob}


PRICE_MOVERS = {
    "cachedContent": "cachedContents/x",
    "continuationToken": "t",
    "tools": [{"googleSearch": {}}],
    "serviceTier": "ultrafast",
    "toolConfig": {"hostedConfig": {}},
    "warp": 1,
}
CONFIG_MOVERS = {
    "responseModalities": ["TEXT", "IMAGE"],
    "speechConfig": {"voiceConfig": {}},
    "imageConfig": {"imageSize": "4K"},
    "routingConfig": {"autoMode": {}},
    "modelSelectionConfig": {},
    "mediaResolution": "MEDIA_RESOLUTION_ULTRA_HIGH",
    "audioTimestamp": True,
    "candidateCount": 9,
    "audioTranscriptionConfig": {},
}


def snake(name):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


@pytest.mark.parametrize("spelled", [str, snake], ids=["camel", "snake"])
@pytest.mark.parametrize("name", PRICE_MOVERS)
def test_each_field_that_could_move_the_price_is_refused_by_name(name, spelled):
    with pytest.raises((UnpricedFeature, UnboundedCall)) as caught:
        read(**{spelled(name): PRICE_MOVERS[name]})
    assert caught.value.param.partition(".")[0] == name


@pytest.mark.parametrize("spelled", [str, snake], ids=["camel", "snake"])
@pytest.mark.parametrize("name", CONFIG_MOVERS)
def test_each_setting_that_could_move_the_price_is_refused_by_name(name, spelled):
    with pytest.raises((UnpricedFeature, UnboundedCall)) as caught:
        read(**{spelled("generationConfig"): {spelled(name): CONFIG_MOVERS[name]}})
    assert caught.value.param == f"generationConfig.{name}"


@pytest.mark.parametrize(
    "name",
    [
        "googleSearch",
        "google_search_retrieval",
        "urlContext",
        "codeExecution",
        "fileSearch",
        "googleMaps",
        "mcpServers",
    ],
)
def test_tools_that_google_runs_itself_are_refused(name):
    with pytest.raises(UnpricedFeature) as caught:
        read(tools=[{"functionDeclarations": []}, {name: {}}])
    assert caught.value.param == "tools"
    read(tools=[{"functionDeclarations": [], name: None}])


@pytest.mark.parametrize(
    "part",
    [
        {"fileData": {"fileUri": "https://x/files/1", "mimeType": "image/png"}},
        {"file_data": {"file_uri": "gs://x"}},
        {"videoMetadata": {"fps": 1}, "text": "x"},
        {"executableCode": {"code": "x"}},
        {"codeExecutionResult": {"output": "x"}},
        {"toolCall": {}},
        {"warp": 1},
        picture(mimeType="video/mp4"),
        picture(mimeType="application/pdf"),
        picture(mimeType="audio/wav"),
        picture(mimeType="image/heic"),
        picture(data="AAAA"),
        picture() | {"mediaResolution": {"numTokens": 90_000}},
        {"functionResponse": {"name": "f", "parts": [{"fileData": {"fileUri": "x"}}]}},
    ],
)
def test_parts_that_hide_input_are_refused(part):
    with pytest.raises((UnboundedCall, UnpricedFeature)) as caught:
        read(contents=of_part(**part))
    assert caught.value.param.startswith("contents[0].parts[0]")
    with pytest.raises((UnboundedCall, UnpricedFeature)):
        read(systemInstruction={"parts": [part]})


@pytest.mark.parametrize(
    "fields",
    [
        {"contents": []},
        {"contents": "hi"},
        {"contents": ["hi"]},
        {"contents": of_part(**picture(data=png() + " "))},
        {"contents": of_part(**picture(data="=" + png()))},
        {"systemInstruction": "hi"},
        {"generationConfig": []},
        {"generationConfig": {"maxOutputTokens": "100"}},
        {"generationConfig": {"maxOutputTokens": 0}},
        {"generationConfig": {"maxOutputTokens": 1e2}},
        {"generationConfig": {"candidateCount": True}},
        {"generationConfig": {}, "generation_config": {}},
        {"generationConfig": None, "generation_config": {}},
        {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 9_000}},
        {"contents": [TEXT | {"parts": [{"inlineData": {}, "inline_data": {}}]}]},
        {"model": "models/gemini-2.5-pro"},
        {"serviceTier": 3},
    ],
)
def test_what_two_parsers_could_read_differently_is_malformed(fields):
    with pytest.raises(Malformed):
        read(**fields)


def test_what_google_reads_leniently_is_read_the_same_way():
    request = read(
        contents={"parts": {"text": "hi"}},
        system_instruction={"parts": {"text": "be kind"}},
        tools={"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]},
    )
    assert request.facts.system_prompt_bytes == 7
    assert request.hidden.text_tokens > 0


def test_harmless_fields_pass_as_they_came_and_the_model_moves_to_the_path():
    fields = {
        "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "labels": {"team": "a"},
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "maxOutputTokens": 100, "temperature": 0.1, "topP": 0.9, "thinkingConfig": {"thinkingBudget": -1},
            "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}, "seed": 3,
        },
        "model": f"models/google/{MODEL}",
    }  # fmt: skip
    request = read(f"google/{MODEL}", **fields)
    outgoing = generate.prepare(request, target())
    assert orjson.loads(outgoing.send(100)) == body_of(**fields) | {"model": f"models/{MODEL}"}
    assert outgoing.path == f"/v1beta/models/{MODEL}:generateContent"
    assert (request.output_cap, request.output_cap_least, request.tiers) == (100, 1, ("default",))


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, {"generationConfig": {"maxOutputTokens": 77}}),
        ({"generationConfig": None}, {"generationConfig": {"maxOutputTokens": 77}}),
        ({"generationConfig": {"topK": 3}}, {"generationConfig": {"topK": 3, "maxOutputTokens": 77}}),
        (
            {"generation_config": {"max_output_tokens": None, "top_k": 3}},
            {"generation_config": {"top_k": 3, "maxOutputTokens": 77}},
        ),
    ],
)
def test_an_output_bound_is_added_inside_the_generation_config(config, wanted):
    outgoing = generate.prepare(read(**config, labels={}), target())
    assert orjson.loads(outgoing.send(77)) == body_of(labels={}) | wanted
    bound = outgoing.bound(77)
    assert bound.input_tokens >= len(outgoing.send(77))
    assert bound.output_tokens == 77


@pytest.mark.parametrize(
    "config", [{"generationConfig": {"maxOutputTokens": 900}}, {"generation_config": {"max_output_tokens": 900}}]
)
def test_a_clients_own_bound_is_lowered_where_it_stands(config):
    outgoing = generate.prepare(read(**config), target())
    lowered = orjson.loads(orjson.dumps(config).replace(b"900", b"300"))
    assert orjson.loads(outgoing.send(300)) == body_of(**lowered)
    assert orjson.loads(outgoing.send(900)) == body_of(**config)


def test_candidates_multiply_the_output_and_tiers_are_reserved_as_asked():
    request = read(generationConfig={"maxOutputTokens": 100, "candidateCount": 3}, serviceTier="PRIORITY")
    assert generate.prepare(request, target()).bound(100).output_tokens == 300
    assert request.tiers == ("priority", "default")
    assert read(service_tier="standard").tiers == ("default",)


def test_thinking_leaves_room_for_an_answer_when_a_bound_is_lowered():
    config = {"maxOutputTokens": 9_000, "thinkingConfig": {"thinkingBudget": 2_048}}
    assert read(generationConfig=config).output_cap_least == 2_049


@pytest.mark.parametrize(
    ("model", "size", "level", "tokens"),
    [
        ("gemini-2.5-flash", (100, 100), None, 2 * 258),
        ("gemini-2.5-flash", (960, 540), None, 7 * 258),
        ("gemini-2.5-flash", (4_000, 3_000), None, 25 * 258),
        ("gemini-3.5-flash", (9_000, 9_000), None, 1_120),
        ("gemini-3.5-flash", (9, 9), "MEDIA_RESOLUTION_LOW", 1_120),
        ("gemini-3.5-flash", (9, 9), "MEDIA_RESOLUTION_ULTRA_HIGH", 2_240),
        ("gemini-4-argon", (9, 9), None, 2_240),
        ("gemini-flash-latest", (4_000, 3_000), None, 25 * 258),
        ("gemini-flash-latest", (9, 9), None, 2_240),
    ],
)
def test_images_count_by_what_the_model_makes_of_them_and_not_by_their_bytes(model, size, level, tokens):
    part = picture(data=png(*size, more=4_000)) | ({"mediaResolution": {"level": level}} if level else {})
    data = part["inlineData"]["data"]
    for contents in (of_part(**part), of_part(functionResponse={"name": "f", "parts": [part]})):
        outgoing = generate.prepare(read(model, contents=contents), target(model))
        added = outgoing.bound(9).input_tokens - (len(outgoing.body) - len(data) + 64) - len(b',"maxOutputTokens":9')
        assert added in (tokens, tokens + 2)  # a function's response is written out again: one node


@pytest.mark.parametrize("level", ["UNSPECIFIED", "LOW", "MEDIUM", "HIGH"])
def test_a_resolution_for_all_images_is_one_that_the_bound_holds(level):
    read(generationConfig={"mediaResolution": f"MEDIA_RESOLUTION_{level}"})
    with pytest.raises(Malformed):
        read(generationConfig={"mediaResolution": 5})


def test_both_alphabets_of_base64_are_the_same_image():
    data = base64.b64encode(base64.b64decode(png(700, 700)) + b"\xff\xfe\xfb" * 9).decode()
    assert "/" in data
    images = [
        read(contents=of_part(**picture(data=text))).hidden.images
        for text in (data, data.replace("/", "_").replace("+", "-"))
    ]
    assert images[0] == images[1]


def test_schemas_and_arguments_are_in_the_bound():
    plain = generate.prepare(read(), target())
    call = {"functionCall": {"name": "f", "args": {"ä": ["ö"]}}}
    tools = [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]
    richer = generate.prepare(read(contents=[TEXT, {"role": "model", "parts": [call]}], tools=tools), target())
    grown = len(richer.body) - len(plain.body)
    assert richer.bound(9).input_tokens - plain.bound(9).input_tokens >= grown + 2 * 10 + 2 * 4


def test_the_form_of_a_stream_is_the_clients_to_choose():
    assert read(endpoint=generate.STREAM[0], query="alt=sse").stream_type == EVENT_STREAM
    for query in ("", "alt=json"):
        request = read(endpoint=generate.STREAM[1], query=query)
        assert (request.stream, request.stream_type) == (True, JSON_ARRAY)
    assert not read().stream
    for query in ("alt=proto", "alt=media", "alt=sse&alt=proto"):
        with pytest.raises(Malformed):
            read(endpoint=generate.STREAM[0], query=query)


def test_every_request_that_is_refused_is_refused_before_a_target_is_known():
    for endpoint in generate.ENDPOINTS:
        assert registry.surface_of(endpoint) is generate
        with pytest.raises(Refusal):
            read(endpoint=endpoint, cachedContent="x")
