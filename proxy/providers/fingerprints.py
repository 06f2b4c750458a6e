"""Facts about a request that a call row keeps instead of its text."""

from hashlib import blake2b
from typing import Any

import orjson

from proxy.providers.model_request import CallFacts

FINGERPRINT_BYTES = 8
SYSTEM_ROLES = ("system", "developer")  # no set: what a client calls a role may be a list


def facts_of(body: bytes, parsed: dict[str, Any], *, system: list[Any], messages: list[Any] | None = None) -> CallFacts:
    """The facts of a request.

    system: contents of its system prompt, texts or blocks. messages: where they are not under that name in the body.
    """
    found = messages or parsed.get("messages")
    last = found[-1] if isinstance(found, list) and found else None
    return CallFacts(
        system_prompt_bytes=sum(map(_text_bytes, system)),
        body_fingerprint=fingerprint(body),
        last_message_fingerprint=fingerprint(orjson.dumps(last, option=orjson.OPT_SORT_KEYS)),
    )


def facts_of_prompt(body: bytes, prompt: Any = None) -> CallFacts:
    """The facts of a request without messages. prompt: what a loop would repeat; None where repeating is no loop."""
    last = "" if prompt is None else fingerprint(orjson.dumps(prompt))
    return CallFacts(body_fingerprint=fingerprint(body), last_message_fingerprint=last)


def fingerprint(content: bytes) -> str:
    """Sixteen hex digits, equal for equal content."""
    return blake2b(content, digest_size=FINGERPRINT_BYTES).hexdigest()


def _text_bytes(content: Any) -> int:
    if isinstance(content, str):
        return len(content.encode())
    if isinstance(content, list):
        return sum(map(_text_bytes, content))
    return _text_bytes(content.get("text")) if isinstance(content, dict) else 0
