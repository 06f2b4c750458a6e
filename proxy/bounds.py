"""The most a request can make a model read and write, known before it is forwarded."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from accounts.records import record
from agents.money import divide_up
from proxy.errors import OutputTooLong

# What every request costs beside its text: message framing and the provider's own prompt.
REQUEST_TOKENS = 64
# A schema may be written out again for the model, with other spacing and with \uXXXX escapes.
NODE_TOKENS = 2
ESCAPE_FACTOR = 2
_NODE_STARTS = ",[{"
UNESCAPED_BYTES_MAX = 33  # of U+FDFA, normalised
# Non-ASCII texts of up to this length together are normalised exactly.
EXACT_CHARACTERS_MAX = 1_024
COUNTED_ONE_BY_ONE_MAX = 64
CHARACTERS_KEPT = 16_384
DEFAULT_CAP = 16_384
USEFUL_CAP_MIN = 256
# A count knows the tokenizer but not every word that the provider puts around the texts.
COUNTED_PERCENT = 102
CAP_MAX = 10**9

_ASCII = bytes(range(128))
# Letters of most living scripts gain nothing and stand alone; finding the others is quicker than looking at all:
# Latin, Greek and Cyrillic, kana, Chinese, Korean, full-width ASCII (which shrinks).
_OTHERS = re.compile(
    r"[^\x00-\x7f\u00c0-\u0131\u03b1-\u03c9\u0400-\u0481"
    r"\u3001\u3002\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff5e]+"
)


@record()
class Image:
    """An image of the request; width and height in pixels are 0 where only the provider will see it."""

    param: str
    width: int = 0
    height: int = 0
    detail: str = "auto"


@record()
class Hidden:
    """What the input bound holds beyond the bytes sent (tokens, but for media_bytes).

    media_bytes: base64 that is counted as images instead.
    text_tokens: NFKC growth and re-serialised schemas; constant_tokens: prompts the provider adds.
    """

    media_bytes: int = 0
    text_tokens: int = 0
    constant_tokens: int = 0
    images: tuple[Image, ...] = ()


def input_tokens(sent_bytes: int, hidden: Hidden, image_tokens: int) -> int:
    """The proven upper bound of input tokens: no tokenizer makes more tokens than bytes of normalised text.

    sent_bytes: length of the body that is forwarded; image_tokens: the bound of all its images.
    """
    text = sent_bytes - hidden.media_bytes + hidden.text_tokens
    return text + hidden.constant_tokens + image_tokens + REQUEST_TOKENS


def counted_tokens(text_tokens: int, framing_tokens: int, hidden: Hidden) -> int:
    """The bound of input tokens beside images where the model's own tokenizer counted the texts (docs/pricing.md).

    It is calibrated, not proven: each bill is compared with it. framing_tokens: for messages, parts and JSON nodes.
    """
    tokens = text_tokens + framing_tokens + REQUEST_TOKENS
    return divide_up(tokens * COUNTED_PERCENT, 100) + hidden.constant_tokens


def nfkc_growth(texts: Sequence[str]) -> int:
    """Bytes, at most, that texts gain when a tokenizer normalises them; U+FDFA alone gains thirty."""
    if not texts:
        return 0
    joined = "".join(text for text in texts if not text.isascii())
    if len(joined) > EXACT_CHARACTERS_MAX:
        return _growth_by_character(joined)
    return sum(
        max(0, len(unicodedata.normalize("NFKC", text).encode()) - len(text.encode()))
        for text in texts
        if not text.isascii()
    )


def schema_tokens(value: Any) -> int:
    """What a tool schema or tool argument may gain when the provider writes it out again."""
    if isinstance(value, dict):
        return NODE_TOKENS + sum(_escaped(key) + schema_tokens(item) for key, item in value.items())
    if isinstance(value, list):
        return NODE_TOKENS + sum(schema_tokens(item) for item in value)
    return NODE_TOKENS + (_escaped(value) if isinstance(value, str) else 0)


def argument_tokens(calls: Any) -> int:
    """What the arguments of earlier calls of tools may gain when the provider reads their JSON and writes it again.

    calls: as the request holds them, with arguments in strings. Every comma and bracket in one may begin a node.
    """
    if isinstance(calls, str):
        nodes = 1 + sum(map(calls.count, _NODE_STARTS))
        return NODE_TOKENS * nodes + _escaped(calls) + (_unescaped_growth(calls) if "\\u" in calls else 0)
    if isinstance(calls, dict):
        return sum(map(argument_tokens, calls.values()))
    return sum(map(argument_tokens, calls)) if isinstance(calls, list) else 0


def added_cap(*, model_max: int | None, default_cap: int = DEFAULT_CAP) -> int:
    """The output bound we add when the client named none, in tokens for one choice: the smaller of the two."""
    return default_cap if model_max is None else min(model_max, default_cap)


def check_cap(asked: int, *, agent: str, agent_max: int | None) -> None:
    """Refuse a client's own bound above the agent's `max_output_tokens`; it is never lowered silently."""
    if agent_max is not None and asked > agent_max:
        raise OutputTooLong(agent=agent, asked_tokens=asked, max_tokens=agent_max)


def _escaped(text: str) -> int:
    return 0 if text.isascii() else ESCAPE_FACTOR * len(text.encode().translate(None, delete=_ASCII))


def _unescaped_growth(text: str) -> int:
    """Bytes, at most, that a JSON text gains when its escapes are read and what they stand for is normalised."""
    try:
        waiting = [orjson.loads(text)]
    except orjson.JSONDecodeError:
        return UNESCAPED_BYTES_MAX * text.count("\\u")  # others may read what orjson does not
    texts: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            texts += value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            texts.append(value)
    return nfkc_growth(texts)


def _growth_by_character(text: str) -> int:
    """Linear in any text: normalising a long run of combining marks is not, and a caller could hold us up with it.

    Where every character begins something of its own, the parts are the whole. Else marks may part a
    letter from what it was composed with, but never beyond the full decomposition.
    """
    others = "".join(_OTHERS.findall(text))
    characters = set(others)
    growth_of = _growth_alone
    if not all(map(_stands_alone, characters)):
        growth_of, others, characters = _growth_decomposed, text, set(text)
    growing = {character: growth for character in characters if (growth := growth_of(character))}
    if len(growing) > COUNTED_ONE_BY_ONE_MAX:
        counts = Counter(others)
        return sum(counts[character] * growth for character, growth in growing.items())
    return sum(others.count(character) * growth for character, growth in growing.items())


@lru_cache(CHARACTERS_KEPT)
def _growth_alone(character: str) -> int:
    return max(0, len(unicodedata.normalize("NFKC", character).encode()) - len(character.encode()))


@lru_cache(CHARACTERS_KEPT)
def _growth_decomposed(character: str) -> int:
    return max(0, len(unicodedata.normalize("NFKD", character).encode()) - len(character.encode()))


@lru_cache(CHARACTERS_KEPT)
def _stands_alone(character: str) -> bool:
    first = unicodedata.normalize("NFKC", character)[0]
    return unicodedata.category(first)[0] != "M" and not "\u1160" <= first <= "\u11ff"
