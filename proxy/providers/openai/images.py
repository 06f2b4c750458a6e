"""OpenAI's images, made from a prompt or from other images, by the models whose images have fixed sizes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from agents.pricing import Bound
from proxy.bounds import Hidden, input_tokens, nfkc_growth
from proxy.errors import Dialect, Malformed, UnboundedCall
from proxy.headers import check_betas
from proxy.providers import pictures
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.fingerprints import facts_of_prompt
from proxy.providers.metered import Metered, StreamMeter
from proxy.providers.model_request import CallFacts, ModelRequest
from proxy.providers.multipart import Form, is_form, read_form
from proxy.providers.openai import image_checks as checks
from proxy.providers.openai.events import EventMeter
from proxy.providers.openai.fields import check_json, flag_in
from proxy.providers.openai.objects import meter_object
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import JsonObject, objects, parse_object, required_word, table, word
from proxy.providers.targets import Target

GENERATIONS = Endpoint(
    "image_generations", Dialect.OPENAI, "POST", "/v1/images/generations", "/images/generations", kept=False
)
EDITS = Endpoint("image_edits", Dialect.OPENAI, "POST", "/v1/images/edits", "/images/edits", kept=False)
ENDPOINTS = (GENERATIONS, EDITS)

_KIND = "images"
_LAST = frozenset({"image_generation.completed", "image_edit.completed"})
_SHOWN = frozenset({"image", "images", "image[]", "mask"})


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a request for images; raises the refusals of proxy.errors."""
    check_betas(headers, Dialect.OPENAI)
    if route.endpoint is EDITS and is_form(headers):
        return _of_form(route, read_form(body, headers))
    check_json(headers)
    parsed, growth = parse_object(body)
    edits = route.endpoint is EDITS
    media_bytes, shown_tokens = _shown_in(parsed) if edits else (0, 0)
    hidden = Hidden(media_bytes=media_bytes, text_tokens=growth, constant_tokens=shown_tokens)
    return _request(route, parsed, hidden, edits=edits, facts=facts_of_prompt(body))


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id. Raises UnboundedCall for a model whose images have no fixed sizes."""
    request = replace(request, extra_output_tokens=checks.tokens_of_one(target.model, request.body))
    if request.form is None:
        sent = orjson.dumps(request.body | {"model": target.model})
        tokens = input_tokens(len(sent), request.hidden, 0)
        return Outgoing(request=request, target=target, body=sent, input_tokens=tokens, cap_field="")
    sent, content_type = request.form.written({"model": target.model})
    written_bytes = sum(len(name) + len(value.encode()) for name, value in request.body.items())
    return Outgoing(
        request=request,
        target=target,
        body=sent,
        input_tokens=input_tokens(written_bytes, request.hidden, 0),
        cap_field="",
        content_type=content_type,
    )


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a whole answer."""
    return meter_object(_KIND, body)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """A meter of the events of one image."""
    return EventMeter(_KIND, _LAST)


def _request(
    route: Route, fields: JsonObject, hidden: Hidden, *, edits: bool, facts: CallFacts, form: Form | None = None
) -> ModelRequest:
    """What both ways of writing a request have in common."""
    model, _ = required_word(fields, "model"), required_word(fields, "prompt")
    checks.check_fields(fields, checks.KNOWN | _SHOWN if edits else checks.KNOWN)
    stream, count = flag_in(fields, "stream"), checks.images_of(fields)
    if stream and count > 1:
        raise UnboundedCall(what="how a stream of several images is billed is not documented", param="n")
    return ModelRequest(
        endpoint=route.endpoint,
        model=model,
        body=fields,
        stream=stream,
        output_cap=0,
        choices=count,
        hidden=hidden,
        beside=Bound(0, 0, has_image_input=edits, has_image_output=True),
        form=form,
        user=word(fields, "user") or word(fields, "safety_identifier"),
        facts=facts,
    )


def _of_form(route: Route, form: Form) -> ModelRequest:
    fields: dict[str, Any] = dict(form.fields())
    files = form.files("image", "image[]", "mask")
    if not any(part.name != "mask" for part in files):
        raise Malformed(problem="'image' must be a file with a name", param="image")
    if written := [name for name in fields if name in _SHOWN]:
        raise UnboundedCall(what="an image that is named and not sent", param=written[0])
    sizes = [(part.name, pictures.size_of_file(part.content)) for part in files]
    shown = sum(checks.tokens_of_shown(size, fields, param=name) for name, size in sizes)
    hidden = Hidden(text_tokens=nfkc_growth(list(fields.values())), constant_tokens=shown)
    facts = CallFacts(body_fingerprint=form.digest[:16])
    return _request(route, fields, hidden, edits=True, facts=facts, form=form)


def _shown_in(body: JsonObject) -> tuple[int, int]:
    """Bytes of base64 and tokens at most of the images in a JSON body."""
    shown = objects(body, "images")
    if not shown:
        raise Malformed(problem="'images' must be a list with at least one image", param="images")
    for name in ("image", "image[]"):
        if body.get(name) is not None:
            raise Malformed(problem=f"'{name}' belongs into a form; in JSON they are 'images'", param=name)
    if mask := table(body, "mask"):
        shown = [*shown, mask]
    data = [_data_of(image, "images") for image in shown]
    tokens = sum(checks.tokens_of_shown(pictures.size_of(one), body, param="images") for one in data)
    return sum(map(len, data)), tokens


def _data_of(image: JsonObject, param: str) -> str:
    data = pictures.data_of_url(word(image, "image_url") or "")
    if data is None or image.keys() - {"image_url"}:
        raise UnboundedCall(what="an image by its address or id", param=param, hint="Send it as a data URL, or a file.")
    return data
