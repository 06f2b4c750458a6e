"""The recorded corpus: requests as the official SDKs sent them, and what Shredder is documented to change in them.

tests/clients/record.py made the requests; the answers beside them are written down as the providers give them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).resolve().parents[1] / "data" / "corpus"
ANSWERS = FOLDER / "answers"
# Every endpoint of the corpus is served; one that is recorded before it is stays out until then.
ENABLED = frozenset(
    {"chat", "messages", "count_tokens", "responses", "embeddings", "generate", "generate_count", "embed"}
)
GLOBAL_MODELS = ("claude-opus-4-8",)  # of those in the corpus: 4.6 and later


@dataclass(frozen=True)
class Recorded:
    """One request of an SDK."""

    sdk: str
    name: str
    endpoint: str
    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found

    @property
    def streams(self) -> bool:
        return bool(self.content.get("stream")) or ":stream" in self.path

    @property
    def asks_usage(self) -> bool:
        return bool((self.content.get("stream_options") or {}).get("include_usage"))

    def answer(self, *, upstream: bool) -> bytes:
        """What the provider answers, or what the client is to get of it: usage that it did not ask for is hidden."""
        if not self.streams:
            return (ANSWERS / f"{self.endpoint}.json").read_bytes()
        asked = self.endpoint == "chat" and (upstream or self.asks_usage)
        return (ANSWERS / f"{self.endpoint}{'_usage' if asked else ''}.sse").read_bytes()


def recorded() -> list[Recorded]:
    """Every request of an endpoint that is enabled."""
    lines = [(path.stem, line) for path in sorted(FOLDER.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    found = [Recorded(sdk, **orjson.loads(line)) for sdk, line in lines]
    return [
        one for one in found if one.endpoint in ENABLED and (one.endpoint, one.sdk[:6]) != ("count_tokens", "google")
    ]


def documented(one: Recorded, output_cap: int | None) -> dict[str, Any]:
    """The body with the changes of docs/providers.md, and no other.

    output_cap: tokens, by X-AWX-Max-Output-Tokens; None where no bound was added.
    """
    body = one.content
    if one.endpoint == "chat":
        return _chat(one, body, output_cap)
    if one.endpoint == "messages":
        return _messages(body)
    if one.endpoint == "responses":
        return _responses(body, output_cap)
    return _generate(body, output_cap) if one.endpoint == "generate" else body


def _chat(one: Recorded, body: dict[str, Any], output_cap: int | None) -> dict[str, Any]:
    if body.get("service_tier") in (None, "auto"):
        body["service_tier"] = "default"
    if one.streams and not one.asks_usage:
        body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
    if not body.get("max_completion_tokens") and not body.get("max_tokens"):
        assert output_cap is not None, "a bound of ours is told to the client"
        body["max_completion_tokens"] = output_cap
    return body


def _messages(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("service_tier") in (None, "auto"):
        body["service_tier"] = "standard_only"
    if body["model"] in GLOBAL_MODELS:
        body["inference_geo"] = "global"
    return body


def _responses(body: dict[str, Any], output_cap: int | None) -> dict[str, Any]:
    if body.get("service_tier") in (None, "auto"):
        body["service_tier"] = "default"
    return body if body.get("max_output_tokens") else body | {"max_output_tokens": output_cap}


def _generate(body: dict[str, Any], output_cap: int | None) -> dict[str, Any]:
    config = body.get("generationConfig") or {}
    if config.get("maxOutputTokens"):
        return body
    others = {name: value for name, value in body.items() if name != "generationConfig"}
    return others | {"generationConfig": config | {"maxOutputTokens": output_cap}}
