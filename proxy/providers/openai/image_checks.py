"""How many tokens the images that a request asks for, and those that it shows, can become (docs/providers.md)."""

from collections.abc import Mapping
from typing import Any

from proxy.errors import UnboundedCall, UnpricedFeature
from proxy.providers.openai.fields import check_unknown, number_in, one_of

IMAGES_MAX = 10
PARTIAL_IMAGES_MAX = 3
PARTIAL_IMAGE_TOKENS = 100
# Tokens of an image by size and quality, of the models that know three sizes. Later ones take any size.
SIZES: Mapping[str, Mapping[str, int]] = {
    "1024x1024": {"low": 272, "medium": 1_056, "high": 4_160},
    "1024x1536": {"low": 408, "medium": 1_584, "high": 6_240},
    "1536x1024": {"low": 400, "medium": 1_568, "high": 6_208},
}
QUALITIES = ("low", "medium", "high")
# What the model thinks before it draws is billed as text, without a bound in the request or in the documentation: an
# allowance, at the dearer rate of images.
_THINKING_TOKENS = {"gpt-image-1": 0, "gpt-image-1-mini": 0, "gpt-image-1.5": 2_048, "gpt-image-1.5-2025-12-16": 2_048}
SIZED = frozenset(_THINKING_TOKENS)

# An image that is shown: tiles of 512 pixels after scaling its short side to that, thin ones as if scaled up.
BASE_TOKENS, TILE_TOKENS, TILES_MAX = 65, 129, 8
ASPECT_MAX = 8
HIGH_FIDELITY_TOKENS = 6_240
# An image adds some text of the provider's own to the prompt.
FRAMING_TOKENS = 128

KNOWN = frozenset(
    {
        "background", "input_fidelity", "model", "moderation", "n", "output_compression", "output_format",
        "partial_images", "prompt", "quality", "response_format", "safety_identifier", "size", "stream", "style",
        "user",
    }
)  # fmt: skip
_WORK = ("complexity", "frame_count", "frame_duration_ms", "markup", "svg")


def check_fields(fields: Mapping[str, Any], known: frozenset[str] = KNOWN) -> None:
    """Refuse every field that could move the price in a way we do not count."""
    check_unknown(fields, known)
    for name in _WORK:
        if fields.get(name) is not None:
            raise UnpricedFeature(feature=f"the field '{name}'", param=name)
    one_of(fields, "output_format", ("png", "jpeg", "webp"), feature="output format")
    one_of(fields, "input_fidelity", ("low", "high"), feature="input fidelity")
    one_of(fields, "size", ("auto", *SIZES), feature="image size")
    one_of(fields, "quality", ("auto", *QUALITIES), feature="image quality")


def images_of(fields: Mapping[str, Any]) -> int:
    """How many images are asked for; raises UnboundedCall for a stream of several, whose bill nobody describes."""
    count = number_in(fields, "n", least=1, most=10**6) or 1
    if count > IMAGES_MAX:
        raise UnboundedCall(what=f"n is at most {IMAGES_MAX}", param="n")
    return count


def tokens_of_one(model: str, fields: Mapping[str, Any]) -> int:
    """Tokens at most of one image that is made; raises UnboundedCall for a model whose images have no fixed sizes."""
    if model not in SIZED:
        raise UnboundedCall(
            what=f"how many tokens an image of {model} becomes is not published",
            param="model",
            hint="Use gpt-image-1.5 or gpt-image-1-mini.",
        )
    size, quality = fields.get("size") or "auto", fields.get("quality") or "auto"
    sizes = SIZES.values() if size == "auto" else [SIZES[size]]
    tokens = max(by_quality[QUALITIES[-1] if quality == "auto" else quality] for by_quality in sizes)
    partial = number_in(fields, "partial_images", least=0, most=PARTIAL_IMAGES_MAX) or 0
    return tokens + PARTIAL_IMAGE_TOKENS * partial + _THINKING_TOKENS[model]


def tokens_of_shown(size: tuple[int, int] | None, fields: Mapping[str, Any], *, param: str) -> int:
    """Tokens at most of an image that is shown; raises UnboundedCall for one that cannot be measured.

    size: width and height in pixels.
    """
    if size is None:
        hint = "Send the image itself as PNG, JPEG or WebP."
        raise UnboundedCall(what="an image whose size cannot be read", param=param, hint=hint)
    if max(size) > ASPECT_MAX * min(size):
        raise UnboundedCall(what=f"an image longer than {ASPECT_MAX} times its width", param=param)
    fidelity = HIGH_FIDELITY_TOKENS if fields.get("input_fidelity") == "high" else 0
    return BASE_TOKENS + TILE_TOKENS * TILES_MAX + fidelity + FRAMING_TOKENS
