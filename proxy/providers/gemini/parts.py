"""What contents hold beyond their bytes: images, and arguments that are written out again."""

import re
from string import ascii_letters, digits
from typing import Any

from proxy.bounds import Image, schema_tokens
from proxy.errors import Malformed, UnboundedCall, UnpricedFeature
from proxy.providers import pictures
from proxy.providers.gemini.fields import canonical, check_known, joined, listed
from proxy.providers.parsing import JsonObject, required_word, word

# Bounded by their bytes; every other kind of part names something that we cannot see, or that is not text.
_HARMLESS = frozenset({"text", "thought", "thoughtSignature", "mediaResolution", "partMetadata"})
_IMAGE_TYPE = re.compile(r"image/(?:png|jpe?g|webp|gif)", re.IGNORECASE)
_BASE64 = (ascii_letters + digits + "+/-_").encode()
# How finely all images may be read; one alone may be read more finely still.
LEVELS = frozenset(f"MEDIA_RESOLUTION_{level}" for level in ("UNSPECIFIED", "LOW", "MEDIUM", "HIGH"))
_LEVELS = {None: "", "MEDIA_RESOLUTION_ULTRA_HIGH": "ultra"} | dict.fromkeys(LEVELS, "")


class Parts:
    """Walks contents and gathers what their bytes do not show; raises UnboundedCall, UnpricedFeature, Malformed."""

    def __init__(self) -> None:
        self.images: list[Image] = []
        self.media_bytes = 0
        self.argument_tokens = 0

    def read(self, content: Any, path: str) -> None:
        """One content: a role and parts."""
        fields = canonical(content, path)
        check_known(fields, {"role", "parts"}, path)
        self._read_parts(fields.get("parts", []), f"{path}.parts")

    def _read_parts(self, parts: Any, path: str) -> None:
        for index, part in enumerate(listed(parts, path)):
            self._read_part(part, f"{path}[{index}]")

    def _read_part(self, part: JsonObject, path: str) -> None:
        for name, value in part.items():
            if name == "inlineData":
                self._read_blob(canonical(value, joined(path, name)), joined(path, name), level=_level(part, path))
            elif name == "functionCall":
                self.argument_tokens += schema_tokens(value)
            elif name == "functionResponse":
                response = canonical(value, joined(path, name))
                self.argument_tokens += schema_tokens(response.get("response"))
                self._read_parts(response.get("parts", []), f"{path}.{name}.parts")
            elif name not in _HARMLESS:
                raise UnboundedCall(
                    what=f"a part with '{name}'", param=joined(path, name), hint="Send text, or images as inlineData."
                )

    def _read_blob(self, blob: JsonObject, path: str, *, level: str) -> None:
        check_known(blob, {"mimeType", "data", "displayName"}, path)
        kind, data = required_word(blob, "mimeType"), required_word(blob, "data")
        if not _IMAGE_TYPE.fullmatch(kind):
            raise UnboundedCall(what=f"media of type {kind!r}", param=path, hint="Send PNG, JPEG or WebP images.")
        # Google reads both alphabets of base64; what is in neither might be read in several ways.
        if not data.isascii() or data.rstrip("=").encode().translate(None, _BASE64):
            raise Malformed(problem=f"'{path}.data' is not base64", param=f"{path}.data")
        size = pictures.size_of(data.replace("-", "+").replace("_", "/"))
        if size is None:
            raise UnboundedCall(what="an image whose size cannot be read", param=path)
        self.media_bytes += len(data)
        self.images.append(Image(path, *size, detail=level))


def _level(part: JsonObject, path: str) -> str:
    """How finely one image is to be read: "ultra", or empty for every other level."""
    where = f"{path}.mediaResolution"
    asked = canonical(part.get("mediaResolution", {}), where)
    check_known(asked, {"level"}, where)
    level = word(asked, "level")
    if level not in _LEVELS:
        raise UnpricedFeature(feature=f"the media resolution {level!r}", param=where)
    return _LEVELS[level]
