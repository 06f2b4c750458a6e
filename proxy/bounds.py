"""The most a request can make a model read and write, known before it is forwarded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the request; width and height in pixels are 0 where only the provider will see it."""

    param: str
    width: int = 0
    height: int = 0
    detail: str = "auto"


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the input bound holds beyond the bytes sent (tokens, but for media_bytes).

    media_bytes: base64 that is counted as images instead.
    text_tokens: NFKC growth and re-serialised schemas; constant_tokens: prompts the provider adds.
    """

    media_bytes: int = 0
    text_tokens: int = 0
    constant_tokens: int = 0
    images: tuple[Image, ...] = ()
