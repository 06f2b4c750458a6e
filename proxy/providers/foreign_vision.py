"""How many tokens an image can become at compatible providers, most of whose models are not OpenAI's."""

import re
from collections.abc import Mapping
from math import ceil

from proxy.bounds import Image
from proxy.providers.openai.vision import image_tokens

# The most that schemes of fixed tiles make of an image of any size: four tiles of 1,601 in Llama, fewer elsewhere.
TILED_TOKENS = 8_192
# The smallest patches in use, none of them merged, and a token at the end of each row.
PATCH_PIXELS = 14
# OpenAI's dearest way to read an image, with and without a limit; a deployment that nobody mapped may have either.
_DEAREST = ("gpt-4o-mini", "gpt-6")
_OPENAIS = re.compile(r"(?:ft:)?(?:gpt-(?!oss)|chatgpt-|o[134](?![a-z0-9]))")


def foreign_image_tokens(model: str, images: tuple[Image, ...]) -> int:
    """The bound of all images of a model known by its id alone, perhaps OpenAI's at somebody else's address.

    Raises UnboundedCall for one that cannot be measured.
    """
    name = model.rpartition("/")[2]
    return sum(max(_own(image), image_tokens(name, (image,))) for image in images)


def deployed_image_tokens(model: str, images: tuple[Image, ...], *, deployments: Mapping[str, str]) -> int:
    """The bound of all images of a deployment, by the model behind it; raises UnboundedCall.

    Some are not OpenAI's. One that nobody mapped may be anybody's.
    """
    behind = deployments.get(model, "")
    if _OPENAIS.match(behind):
        return image_tokens(behind, images)
    names = (behind,) if behind else _DEAREST
    return sum(max(_own(image), *(image_tokens(name, (image,)) for name in names)) for image in images)


def _own(image: Image) -> int:
    rows, columns = ceil(image.height / PATCH_PIXELS), ceil(image.width / PATCH_PIXELS)
    return max(TILED_TOKENS, rows * (columns + 1))
