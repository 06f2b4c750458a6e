"""Images: as many tokens as size and quality say, at most; what has no size is refused."""

import base64
import struct

import httpx
import orjson
import pytest

from proxy.errors import Dialect, Malformed, Refusal, UnboundedCall, UnpricedFeature
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.multipart import read_form
from proxy.providers.openai import images
from proxy.providers.targets import OPENAI, Target


def png(width=512, height=512, padding=100):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height) + bytes(padding)


def url(image):
    return "data:image/png;base64," + base64.b64encode(image).decode()


def body_of(**fields):
    return {"model": "gpt-image-1", "prompt": "A dot"} | fields


def read(endpoint=images.GENERATIONS, headers=None, **fields):
    return images.read_request(Route(endpoint), orjson.dumps(body_of(**fields)), headers or {})


def read_edit(files=None, **fields):
    files = {"image": ("a.png", png())} if files is None else files
    request = httpx.Request("POST", "https://h", data=body_of(**fields), files=files)
    headers = {"content-type": request.headers["content-type"]}
    return images.read_request(Route(images.EDITS), request.read(), headers)


def prepared(request):
    return images.prepare(request, OPENAI.target(request.model, Dialect.OPENAI))


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"size": "1024x1024", "quality": "low"}, 272),
        ({"size": "1024x1024", "quality": "medium"}, 1_056),
        ({"size": "1024x1024", "quality": "high"}, 4_160),
        ({"size": "1024x1536", "quality": "low"}, 408),
        ({"size": "1024x1536", "quality": "medium"}, 1_584),
        ({"size": "1024x1536", "quality": "high"}, 6_240),
        ({"size": "1536x1024", "quality": "low"}, 400),
        ({"size": "1536x1024", "quality": "medium"}, 1_568),
        ({"size": "1536x1024", "quality": "high"}, 6_208),
        ({}, 6_240),
        ({"size": None, "quality": None}, 6_240),
        ({"size": "auto", "quality": "low"}, 408),
        ({"size": "1536x1024", "quality": "auto"}, 6_208),
        ({"quality": "low", "size": "1024x1024", "n": 10}, 2_720),
        ({"quality": "low", "size": "1024x1024", "partial_images": 3}, 572),
        ({"quality": "low", "size": "1024x1024", "n": 2, "partial_images": 1}, 744),
        ({"quality": "low", "size": "1024x1024", "model": "gpt-image-1-mini"}, 272),
        ({"quality": "low", "size": "1024x1024", "model": "gpt-image-1.5"}, 272 + 2_048),
    ],
)
def test_the_output_bound_is_the_published_table_and_auto_the_dearest(fields, tokens):
    bound = prepared(read(**fields)).bound(0)
    assert (bound.output_tokens, bound.has_image_output, bound.has_image_input) == (tokens, True, False)


def test_the_prompt_is_bounded_by_its_bytes():
    outgoing = prepared(read(prompt="x" * 500))
    assert outgoing.bound(0).input_tokens == len(outgoing.send()) + 64
    assert prepared(read(prompt="\ufdfa" * 100)).bound(0).input_tokens >= 33 * 100


PRICE_MOVERS = {
    "n": 11,
    "size": "2048x2048",
    "quality": "xhigh",
    "output_format": "svg",
    "svg": {"model": "gpt-6.1-sol"},
    "frame_count": 16,
    "complexity": "high",
    "prompt_rewriter": True,
    "service_tier": "flex",
    "images": [{"image_url": "x"}],
    "input_fidelity": "ultra",
}


@pytest.mark.parametrize("name", PRICE_MOVERS)
def test_each_field_that_could_move_the_price_is_refused_by_name(name):
    with pytest.raises(Refusal) as caught:
        read(**{name: PRICE_MOVERS[name]})
    assert (caught.value.reason, caught.value.param) in (("unpriced_feature", name), ("unbounded_call", name))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"n": 2, "stream": True}, UnboundedCall),
        ({"size": 5}, UnpricedFeature),
        ({"size": ["1024x1024"]}, UnpricedFeature),
        ({"quality": "hd"}, UnpricedFeature),
        ({"output_format": "gif"}, UnpricedFeature),
        ({"n": 0}, Malformed),
        ({"n": 1.5}, Malformed),
        ({"prompt": ""}, Malformed),
        ({"model": None}, Malformed),
        ({"stream": "yes"}, Malformed),
        ({"headers": {"content-type": "multipart/form-data; boundary=x"}}, Malformed),
    ],
)
def test_what_has_no_bound_or_cannot_be_read_is_refused(fields, reason):
    with pytest.raises(Refusal) as caught:
        read(**fields)
    assert isinstance(caught.value, reason)


@pytest.mark.parametrize("partial", [-1, 4, "x"])
def test_more_partial_images_than_the_api_knows_are_malformed(partial):
    with pytest.raises(Malformed):
        prepared(read(partial_images=partial))


@pytest.mark.parametrize("model", ["gpt-image-2", "gpt-image-2.5-flare", "chatgpt-image-latest", "dall-e-3", "gpt-4o"])
def test_models_whose_images_have_any_size_are_refused_with_those_that_do_not(model):
    with pytest.raises(UnboundedCall) as caught:
        images.prepare(read(model=model), Target("openai", model))
    assert "gpt-image-1.5" in caught.value.hint


def test_harmless_fields_arrive_unchanged():
    fields = {
        "background": "transparent", "moderation": "low", "output_compression": 80, "output_format": "webp",
        "user": "u-1", "response_format": "b64_json", "style": "vivid", "something_new": 1,
    }  # fmt: skip
    request = read(**fields)
    assert orjson.loads(prepared(request).send()) == body_of(**fields)
    assert request.user == "u-1"


EACH = 65 + 8 * 129 + 128


@pytest.mark.parametrize(
    ("files", "fields", "shown"),
    [
        ({"image": ("a.png", png())}, {}, EACH),
        ({"image": ("a.png", png(4_000, 500))}, {}, EACH),
        ({"image": ("a.png", png())}, {"input_fidelity": "high"}, EACH + 6_240),
        ({"image": ("a.png", png())}, {"input_fidelity": "low"}, EACH),
        ({"image": ("a.png", png()), "mask": ("m.png", png())}, {}, 2 * EACH),
        ([("image[]", ("a.png", png()))] * 3, {"input_fidelity": "high"}, 3 * (EACH + 6_240)),
    ],
)
def test_shown_images_are_bounded_by_tiles_and_fidelity_and_not_by_their_bytes(files, fields, shown):
    bound = prepared(read_edit(files, **fields)).bound(0)
    text = len("modelgpt-image-1promptA dot") + len("".join(name + value for name, value in fields.items()))
    assert bound.input_tokens == text + 64 + shown
    assert bound.has_image_input


def test_a_prompt_in_a_form_is_bounded_by_what_it_becomes():
    assert prepared(read_edit(prompt="\ufdfa" * 100)).bound(0).input_tokens >= 33 * 100 + EACH


def test_edits_in_json_are_bounded_alike():
    shown = [{"image_url": url(png())}, {"image_url": url(png(100, 100))}]
    request = read(images.EDITS, images=shown, mask={"image_url": url(png())})
    outgoing = prepared(request)
    media = sum(len(url(image)) - len(url(b"")) for image in (png(), png(100, 100), png()))
    assert outgoing.bound(0).input_tokens == len(outgoing.send()) - media + 64 + 3 * EACH
    assert orjson.loads(outgoing.send()) == body_of(images=shown, mask={"image_url": url(png())})


@pytest.mark.parametrize(
    "fields",
    [
        {"images": []},
        {"images": [{"file_id": "file-1"}]},
        {"images": [{"image_url": "https://example.com/a.png"}]},
        {"images": [{"image_url": url(png()), "file_id": "file-1"}]},
        {"images": [{"image_url": url(b"nothing")}]},
        {"images": [{"image_url": url(png(9_000, 1_000))}]},
        {"images": [{"image_url": url(png())}], "mask": {"file_id": "file-1"}},
        {"images": [{"image_url": url(png())}], "image": "x"},
        {"images": "x"},
    ],
)
def test_images_that_nobody_sends_are_refused(fields):
    with pytest.raises((UnboundedCall, Malformed)):
        read(images.EDITS, **fields)


@pytest.mark.parametrize(
    ("files", "fields", "reason"),
    [
        ({"mask": ("m.png", png())}, {}, Malformed),
        ({"image": ("a.png", b"GIF")}, {}, UnboundedCall),
        ({"image": ("a.png", png(9_000, 1_000))}, {}, UnboundedCall),
        ({"image": ("a.png", png()), "markup": ("m.png", png())}, {}, Malformed),
        ([("image", ("a.png", png()))] * 2, {}, Malformed),
        ({"image": ("a.png", png())}, {"image[]": "file-1"}, UnboundedCall),
        ({"image": ("a.png", png())}, {"n": "1.5"}, Malformed),
        ({"image": ("a.png", png())}, {"n": ["1", "10"]}, Malformed),
        ({"image": ("a.png", png())}, {"N[]": "10", "quality[]": "high"}, UnpricedFeature),
        ({"image": ("a.png", png())}, {"input_fidelity": "ultra"}, UnpricedFeature),
        ({"image": ("a.png", png())}, {"stream": "True"}, Malformed),
        ({"image": ("a.png", png())}, {"n": "2", "stream": "true"}, UnboundedCall),
    ],
)
def test_forms_are_checked_as_strictly(files, fields, reason):
    with pytest.raises(reason):
        read_edit(files, **fields)


def test_a_form_arrives_as_it_was_but_for_the_model():
    request = read_edit(model="openai/gpt-image-1", n="3", partial_images="1")
    outgoing = images.prepare(request, OPENAI.target("gpt-image-1", Dialect.OPENAI))
    sent = read_form(outgoing.send(), {"content-type": outgoing.content_type})
    assert sent.fields() == {"model": "gpt-image-1", "prompt": "A dot", "n": "3", "partial_images": "1"}
    assert sent.files("image")[0].content == png()
    assert outgoing.bound(0).output_tokens == 3 * 6_340


USAGE = {
    "input_tokens": 1_050,
    "input_tokens_details": {"text_tokens": 50, "image_tokens": 1_000},
    "output_tokens": 4_200,
    "output_tokens_details": {"image_tokens": 4_160, "text_tokens": 40},
    "total_tokens": 5_250,
}


def test_text_and_image_tokens_are_billed_apart():
    metered = images.read_answer(read(), orjson.dumps({"created": 1, "data": [], "usage": USAGE}))
    usage = metered.usage
    assert (usage.input, usage.image_input, usage.output, usage.image_output) == (50, 1_000, 40, 4_160)
    assert metered.basis is Basis.USAGE
    assert images.read_answer(read(), b'{"data":[]}').basis is Basis.NONE


def test_a_bill_for_vectors_is_noticed():
    told = {"data": [], "usage": USAGE | {"svg_output_tokens": 900}}
    assert images.read_answer(read(), orjson.dumps(told)).usage.unknown_keys == ("svg_output_tokens",)


@pytest.mark.parametrize("kind", ["image_generation", "image_edit"])
def test_a_stream_is_metered_wherever_the_network_cuts(kind):
    partial = b"event: x\ndata: " + orjson.dumps({"type": f"{kind}.partial_image", "b64_json": "iVBO"}) + b"\n\n"
    told = b"event: x\ndata: " + orjson.dumps({"type": f"{kind}.completed", "b64_json": "A", "usage": USAGE}) + b"\n\n"
    whole = partial + told
    for at in range(len(whole)):
        meter = images.stream_meter(read(stream=True))
        seen = meter.feed(whole[:at]) + meter.feed(whole[at:]) + meter.flush()
        metered = meter.finish()
        assert seen == whole
        assert (metered.usage.image_output, metered.finished) == (4_160, True)
    meter = images.stream_meter(read(stream=True))
    assert meter.feed(told.rstrip()) + meter.flush() == told.rstrip()
    assert meter.finish().finished
    meter = images.stream_meter(read(stream=True))
    meter.feed(partial)
    assert (meter.finish().usage, meter.finish().finished) == (None, False)
