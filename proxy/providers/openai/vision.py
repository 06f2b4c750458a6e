"""How many tokens an image can become in OpenAI's models (docs/providers.md has the table)."""

import re
from fractions import Fraction
from math import ceil

from proxy.bounds import Image
from proxy.errors import UnboundedCall
from proxy.providers import pictures

TILE_PIXELS = 512
TILE_SHORT_SIDE = 768
TILES_USUAL_MAX = 8  # 2048 × 768 after scaling
PATCH_PIXELS = 32
# Whether thin images are scaled up is not documented, so they are bounded as if, up to this shape.
ASPECT_MAX = 8
TILES_THIN_MAX = 2 * ceil(ASPECT_MAX * TILE_SHORT_SIDE / TILE_PIXELS)
PATCH_BUDGET_MAX = 10_000
NANO_MULTIPLIER = Fraction(246, 100)

# Base and tokens for each tile, by the start of the model id; the first match counts.
_TILES = (
    ("gpt-4o-mini", 2833, 5667),
    ("gpt-4o", 85, 170),
    ("chatgpt-4o", 85, 170),
    ("gpt-4-turbo", 85, 170),
    ("gpt-4-vision", 85, 170),
    ("gpt-4.5", 85, 170),
    ("o1", 75, 150),
    ("o3", 75, 150),
)
_PATCHES_LIMITED = re.compile(r"(?:gpt-4\.1-(?:mini|nano)|gpt-5-(?:mini|nano)|o4-mini|gpt-5\.[1-5])(?![\d.])")
_TILES_PLAIN = re.compile(r"gpt-(?:4\.1|5)(?:-\d{4}-\d\d-\d\d|-chat-latest|-pro|-codex)?")


def image_of_url(url: str, *, detail: str, param: str) -> tuple[Image, int]:
    """An image by its URL, and the bytes of base64 in it; raises UnboundedCall for one that cannot be measured."""
    data = pictures.data_of_url(url)
    if data is None:
        if not url.startswith(("https://", "http://")):
            raise UnboundedCall(what="an image that is neither a data URL nor a web address", param=param)
        return Image(param, detail=detail), 0
    size = pictures.size_of(data)
    if size is None:
        raise UnboundedCall(what="an image whose size cannot be read", param=param)
    return Image(param, *size, detail=detail), len(data)


def image_tokens(model: str, images: tuple[Image, ...]) -> int:
    """The bound of all images; raises UnboundedCall for one that this model puts no limit on and we cannot see."""
    return sum(_tokens(model, image) for image in images) if images else 0


def _tokens(model: str, image: Image) -> int:
    name = model.split(":")[1] if model.startswith("ft:") else model
    tile = _tile_rates(name)
    if tile is not None:
        base, each = tile
        return base + each * (0 if image.detail == "low" else _tiles(image))
    if image.width:
        patches = ceil(image.width / PATCH_PIXELS) * ceil(image.height / PATCH_PIXELS)
        patches = min(patches, PATCH_BUDGET_MAX) if _PATCHES_LIMITED.match(name) else patches
        return ceil(patches * NANO_MULTIPLIER)
    if _PATCHES_LIMITED.match(name):
        return ceil(PATCH_BUDGET_MAX * NANO_MULTIPLIER)
    raise UnboundedCall(
        what=f"{model} reads an image at any size, and this one cannot be measured here",
        param=image.param,
        hint="Send the image as a PNG, JPEG, GIF or WebP data URL.",
    )


def _tile_rates(name: str) -> tuple[int, int] | None:
    if _TILES_PLAIN.fullmatch(name):
        return 85, 170
    return next(((base, each) for start, base, each in _TILES if name.startswith(start)), None)


def _tiles(image: Image) -> int:
    if not image.width:
        return TILES_THIN_MAX
    short, long = sorted((image.width, image.height))
    if long > ASPECT_MAX * short:
        raise UnboundedCall(what=f"an image longer than {ASPECT_MAX} times its width", param=image.param)
    return max(TILES_USUAL_MAX, 2 * ceil(Fraction(long * TILE_SHORT_SIDE, short * TILE_PIXELS)))
