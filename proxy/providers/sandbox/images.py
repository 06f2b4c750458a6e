"""Practice images: one grey dot, billed as an image of the size that was asked for."""

import orjson

from proxy.providers.model_request import ModelRequest
from proxy.providers.openai.image_checks import PARTIAL_IMAGE_TOKENS, QUALITIES, SIZES
from proxy.providers.parsing import JsonObject
from proxy.providers.sandbox.words import BYTES_PER_TOKEN, CREATED_AT
from proxy.providers.targets import Target

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
SHOWN_TOKENS = 194  # an image of 1,024 pixels square, as one tile


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The body of the answer, in the pieces of a stream or as one."""
    asked = request.body
    size, quality = asked.get("size") or "auto", asked.get("quality") or "auto"
    size, quality = "1024x1024" if size == "auto" else size, QUALITIES[-1] if quality == "auto" else quality
    partial = int(asked.get("partial_images") or 0)
    tokens = (SIZES[size][quality] + PARTIAL_IMAGE_TOKENS * partial) * request.choices
    usage = _usage(request, tokens)
    about: JsonObject = {"size": size, "quality": quality, "background": "opaque"}
    about["output_format"] = asked.get("output_format") or "png"
    if not request.stream:
        data = [{"b64_json": DOT}] * request.choices
        return [orjson.dumps({"created": CREATED_AT, **about, "data": data, "usage": usage})]
    kind = "image_edit" if request.endpoint.name == "image_edits" else "image_generation"
    image = {"b64_json": DOT, "created_at": CREATED_AT, **about}
    events: list[JsonObject] = [
        {"type": f"{kind}.partial_image", "partial_image_index": index, **image} for index in range(partial)
    ]
    events.append({"type": f"{kind}.completed", **image, "usage": usage})
    return [b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n" for event in events]


def _usage(request: ModelRequest, output_tokens: int) -> JsonObject:
    text = len(str(request.body["prompt"]).encode()) // BYTES_PER_TOKEN + 1
    shown = SHOWN_TOKENS if request.beside.has_image_input else 0
    return {
        "input_tokens": text + shown,
        "input_tokens_details": {"text_tokens": text, "image_tokens": shown},
        "output_tokens": output_tokens,
        "output_tokens_details": {"image_tokens": output_tokens, "text_tokens": 0},
        "total_tokens": text + shown + output_tokens,
    }
