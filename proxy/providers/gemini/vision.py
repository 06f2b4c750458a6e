"""How many tokens an image can become in Gemini's models (docs/providers.md has the table)."""

import re
from math import ceil

from proxy.bounds import Image
from proxy.errors import UnboundedCall

TILE_TOKENS = 258
# An image is cut into squares of two thirds of its shorter side, but within these.
TILE_PIXELS_MIN, TILE_PIXELS_MAX = 256, 768
HIGH_TOKENS, ULTRA_TOKENS = 1_120, 2_240
_GENERATION = re.compile(r"(?:models/)?gemini-(\d+)")
_HIGH_GENERATION = 3


def image_tokens(model: str, images: tuple[Image, ...]) -> int:
    """The bound of all images; raises UnboundedCall for one that only the provider would see."""
    return sum(_tokens(model, image) for image in images) if images else 0


def _tokens(model: str, image: Image) -> int:
    if not image.width:
        # What is behind an address may as well be a film.
        raise UnboundedCall(
            what="an image that cannot be measured here", param=image.param, hint="Send it as a data URL."
        )
    match = _GENERATION.match(model)
    generation = int(match[1]) if match else None
    if generation is None:
        return max(ULTRA_TOKENS, _tile_tokens(image))
    if generation < _HIGH_GENERATION:
        return _tile_tokens(image)
    return HIGH_TOKENS if generation == _HIGH_GENERATION and image.detail != "ultra" else ULTRA_TOKENS


def _tile_tokens(image: Image) -> int:
    side = min(max(min(image.width, image.height) * 2 // 3, TILE_PIXELS_MIN), TILE_PIXELS_MAX)
    # One more for the image as a whole.
    return TILE_TOKENS * (ceil(image.width / side) * ceil(image.height / side) + 1)
