"""Which fields of a message request move its price, and what becomes of them."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from proxy.bounds import Hidden, Image, nfkc_growth, schema_tokens
from proxy.errors import Malformed, UnboundedCall, UnpricedFeature
from proxy.providers.parsing import are_objects, objects, required_word, table, whole_number, word

KNOWN = frozenset(
    {
        "model",
        "max_tokens",
        "messages",
        "system",
        "stop_sequences",
        "stream",
        "temperature",
        "top_k",
        "top_p",
        "tools",
        "tool_choice",
        "thinking",
        "metadata",
        "cache_control",
        "service_tier",
        "speed",
        "inference_geo",
        "output_config",
        "output_format",
        "context_management",
        "diagnostics",
    }
)
# Those that nobody need look at.
_PLAIN = KNOWN - {"service_tier", "context_management"}
# Known to move work or money to where we cannot follow; a field we do not know passes unless it sounds like one.
REFUSED = frozenset(
    {
        "container",
        "mcp_servers",
        "thread",
        "fallbacks",
        "compaction",
        "billing_policy",
        "fallback_credit_token",
        "user_profile_id",
        "workspace_id",
    }
)
SUSPICIOUS = re.compile(
    r"tier|speed|priorit|background|cache|tool|search|plugin|fallback|rout|model|batch|mode|modal|audio|voice|image"
    r"|video|media|file|document|container|server|conversation|thread|session|previous|prompt|compact|context|billing"
    r"|credit|geo|region|residency|agent|candidate|choices|quality|resolution|provider|preset|transform|ultra|mcp|web"
    r"|advis|iteration|skill|memory|workspace|profile|budget|max_|beta|safeguard",
    re.IGNORECASE,
)

TOOLS_TOKENS = 2_000  # the tool-use prompt; at most 804 are published
FORMAT_TOKENS = 1_000  # the prompt that explains an output format beside its schema; its length is not published
# What citations add: a prompt, and a mark at each sentence of a document or at each block of its content. "A slight
# increase in input tokens", says their page, and no more.
CITATIONS_TOKENS, CITED_CHUNK_TOKENS = 1_000, 16
_SENTENCE_ENDS = re.compile(
    r"[.!?\u2026\n\r\u2028\u2029\u0589\u061f\u06d4\u0964\u0965\u104b\u1362\u3002\uff01\uff0e\uff1f\uff61]"
)
# Client tools that bring a schema of their own: tokens that the request does not show.
TOOL_TOKENS = (
    (re.compile(r"bash_\d{8}"), 325),
    (re.compile(r"text_editor_\d{8}"), 700),
    (re.compile(r"computer_(?:toolset_)?\d{8}"), 4_600),
    (re.compile(r"browser_toolset_\d{8}"), 7_600),
)
# Server tools whose uses in one call a field of the request bounds, and what their fee is called. Later versions run
# code between the uses, as often as they like.
HOSTED_TOOLS = {"web_search_20250305": "web_search", "web_fetch_20250910": "web_fetch"}
USES_MAX = 10**6
IMAGE_TOKENS_OLD, IMAGE_TOKENS_NEW = 1_568, 4_784
FLAT_SINCE, LARGE_IMAGES_SINCE = (4, 6), (4, 7)
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?=[-@:]|$)")
_TEXT_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
# What server tools did in earlier turns: their tokens cannot be seen, but with such tools whole windows are held.
_HOSTED_BLOCKS = frozenset({"server_tool_use", "web_search_tool_result", "web_fetch_tool_result"})


def check_fields(body: dict[str, Any]) -> None:
    """Refuse every field that could move the price in a way we do not count."""
    if body.keys() <= _PLAIN:
        return
    for name in body.keys() - KNOWN:
        # Null and an empty list ask for nothing.
        if (name in REFUSED or SUSPICIOUS.search(name)) and body[name] not in (None, []):
            raise UnpricedFeature(feature=f"the field '{name}'", param=name)
    if word(body, "service_tier") not in (None, "auto", "standard_only"):
        raise UnpricedFeature(feature=f"the service tier {body['service_tier']!r}", param="service_tier")
    for edit in objects(table(body, "context_management"), "edits", path="context_management."):
        if not str(edit.get("type")).startswith("clear_"):
            raise UnpricedFeature(feature=f"the context edit {edit.get('type')!r}", param="context_management")
    unknown = table(body, "context_management").keys() - {"edits"}
    if unknown:
        raise UnpricedFeature(feature=f"context management by {min(unknown)!r}", param="context_management")


def speed_of(body: dict[str, Any]) -> str:
    """The requested speed in the price book's words."""
    speed = word(body, "speed") or "standard"
    if speed not in ("standard", "fast"):
        raise UnpricedFeature(feature=f"the speed {speed!r}", param="speed")
    return speed


def geo_of(body: dict[str, Any]) -> str:
    """The requested place in the price book's words."""
    geo = word(body, "inference_geo") or "global"
    if geo not in ("global", "us"):
        raise UnpricedFeature(feature=f"the place {geo!r}", param="inference_geo")
    return geo


def thinking_tokens(body: dict[str, Any]) -> int:
    """The thinking budget, which must stay below the output bound; 0 without one."""
    return whole_number(table(body, "thinking"), "budget_tokens", least=0, most=10**9) or 0


def hosted_tools(body: dict[str, Any]) -> dict[str, int]:
    """The server tools that can be bounded, by fee name, and the uses that the body allows each; 0: it names none."""
    found: dict[str, int] = {}
    for tool in objects(body, "tools"):
        name = _hosted_name(tool)
        if name in found:
            raise Malformed(problem=f"'tools' holds {name} twice", param="tools")
        if name:
            found[name] = whole_number(tool, "max_uses", least=1, most=USES_MAX) or 0
    return found


def with_uses(tools: list[dict[str, Any]], uses: Mapping[str, int]) -> list[dict[str, Any]]:
    """The tools with a bound on each hosted one. uses: by fee name."""
    return [{**tool, "max_uses": uses[name]} if (name := _hosted_name(tool)) else tool for tool in tools]


def is_flat_priced(model: str) -> bool:
    """Whether the model is known to have one price for every context length (4.6 and later)."""
    version = _version(model)
    return version is not None and version >= FLAT_SINCE


def takes_place(model: str) -> bool:
    """Whether the model takes inference_geo (4.6 and later); one without a version in its name is a new one."""
    version = _version(model)
    return version is None or version >= FLAT_SINCE


def image_tokens_max(model: str) -> int:
    """The most tokens one image becomes."""
    version = _version(model)
    return IMAGE_TOKENS_OLD if version is not None and version < LARGE_IMAGES_SINCE else IMAGE_TOKENS_NEW


def hidden_input(body: dict[str, Any], growth: int) -> Hidden:
    """What the messages, system prompt and tools hold beyond their bytes; refuses what cannot be bounded."""
    messages = objects(body, "messages")
    if not messages:
        raise Malformed(problem="'messages' must be a list with at least one message", param="messages")
    tools = objects(body, "tools")
    reader = _Blocks(tools, after_hosted_tools=bool(hosted_tools(body)))
    reader.read(body.get("system"), "system")
    for index, message in enumerate(messages):
        content = message.get("content")
        if not isinstance(content, str):
            reader.read(content, f"messages[{index}].content")
    text = growth + reader.argument_tokens
    for schema in (tools, body.get("output_config"), body.get("output_format")):
        if schema:
            text += schema_tokens(schema)
    return Hidden(
        media_bytes=reader.media_bytes,
        text_tokens=text,
        constant_tokens=_prompt_tokens(body, tools) + reader.citation_tokens,
        images=tuple(reader.images),
    )


def _prompt_tokens(body: dict[str, Any], tools: list[dict[str, Any]]) -> int:
    """What the provider writes before the conversation for tools and for a format of the answer."""
    has_format = body.get("output_format") or table(body, "output_config").get("format")
    own = (TOOLS_TOKENS if tools else 0) + (FORMAT_TOKENS if has_format else 0)
    return own + sum(map(_tool_tokens, tools))


def _definition_tokens(tool: dict[str, Any]) -> int:
    """What a tool's definition becomes where a reference stands for it, at most."""
    text = orjson.dumps(tool)
    return len(text) + nfkc_growth([text.decode()]) + schema_tokens(tool) + _tool_tokens(tool)


def _tool_tokens(tool: dict[str, Any]) -> int:
    callers = tool.get("allowed_callers")
    if callers not in (None, ["direct"]):
        raise UnpricedFeature(feature="tools called by code", param="tools", hint="Leave allowed_callers out.")
    kind = tool.get("type")
    if kind in (None, "custom") or _hosted_name(tool):
        return 0
    for pattern, tokens in TOOL_TOKENS:
        if isinstance(kind, str) and pattern.fullmatch(kind):
            return tokens
    raise UnpricedFeature(
        feature=f"the server tool {kind!r}", param="tools", hint=f"Those with a bound are {', '.join(HOSTED_TOOLS)}."
    )


def _hosted_name(tool: dict[str, Any]) -> str:
    """The fee name of a server tool that can be bounded; empty for every other tool."""
    kind = tool.get("type")
    return HOSTED_TOOLS.get(kind, "") if isinstance(kind, str) else ""


def _version(model: str) -> tuple[int, int] | None:
    match = _VERSION.match(model)
    return (int(match[1]), int(match[2] or 0)) if match else None


class _Blocks:
    """Walks content blocks and gathers what their bytes do not show."""

    def __init__(self, tools: list[dict[str, Any]], *, after_hosted_tools: bool) -> None:
        self._harmless = _TEXT_BLOCKS | _HOSTED_BLOCKS if after_hosted_tools else _TEXT_BLOCKS
        self._tools = {str(tool.get("name")): tool for tool in tools}
        self._definitions: dict[str, int] = {}
        self.images: list[Image] = []
        self.media_bytes = 0
        self.argument_tokens = 0
        self.citation_tokens = 0

    def read(self, content: Any, path: str) -> None:
        """Text, or a list of blocks."""
        if content is None or isinstance(content, str):
            return
        if not are_objects(content):
            raise Malformed(problem=f"'{path}' must be a string or a list of blocks", param=path)
        for index, block in enumerate(content):
            self._read_block(block, f"{path}[{index}]")

    def _read_block(self, block: dict[str, Any], path: str) -> None:
        kind = block.get("type")
        if kind == "tool_use":
            self.argument_tokens += schema_tokens(block.get("input"))
        elif kind == "tool_reference":
            self._read_reference(required_word(block, "tool_name"), path)
        elif kind in ("tool_addition", "tool_removal"):
            self._read_change(kind, table(block, "tool"), path)
        elif kind == "image":
            self._read_image(block, path)
        elif kind == "document":
            self._read_document(table(block, "source"), path)
            self._read_citations(block, table(block, "source"))
        elif kind in ("tool_result", "search_result"):
            self.read(block.get("content"), f"{path}.content")
            self._read_citations(block, block)
        elif not isinstance(kind, str) or kind not in self._harmless:
            raise UnboundedCall(what=f"a content block of type {kind!r}", param=path)

    def _read_reference(self, name: str, path: str) -> None:
        """The provider writes the whole definition where the reference stands, each time anew."""
        if name not in self._tools:
            raise UnboundedCall(what=f"a reference to the tool {name!r}, which the request does not define", param=path)
        if name not in self._definitions:
            self._definitions[name] = _definition_tokens(self._tools[name])
        self.argument_tokens += self._definitions[name]

    def _read_change(self, kind: str, tool: dict[str, Any], path: str) -> None:
        """A tool of the request, offered or withdrawn from here on; what is defined or found elsewhere is refused."""
        if tool.get("type") != "tool_reference":
            raise UnboundedCall(what=f"a {kind} without a reference to a tool of the request", param=path)
        if kind == "tool_addition":
            self._read_reference(required_word(tool, "name"), path)

    def _read_image(self, block: dict[str, Any], path: str) -> None:
        source = table(block, "source")
        kind = source.get("type")
        if block.get("transformations"):
            raise UnboundedCall(what="an image with its own transformations", param=path)
        if kind == "base64":
            self.media_bytes += len(required_word(source, "data"))
        elif kind != "url":
            raise UnboundedCall(what=f"an image from a source of type {kind!r}", param=path)
        self.images.append(Image(path))

    def _read_citations(self, block: dict[str, Any], source: dict[str, Any]) -> None:
        """What is marked so that the answer can name it. source: holds a text as `data`, or blocks as `content`."""
        asked = block.get("citations")
        if not isinstance(asked, dict) or asked.get("enabled") is False:
            return
        shown = source.get("data") or source.get("content")
        marked = _SENTENCE_ENDS.findall(shown) if isinstance(shown, str) else shown
        chunks = 1 + (len(marked) if isinstance(marked, list) else 0)
        self.citation_tokens = max(self.citation_tokens, CITATIONS_TOKENS) + chunks * CITED_CHUNK_TOKENS

    def _read_document(self, source: dict[str, Any], path: str) -> None:
        kind = source.get("type")
        if kind == "content":
            self.read(source.get("content"), f"{path}.source.content")
        elif kind != "text":
            raise UnboundedCall(
                what=f"a document from a source of type {kind!r}", param=path, hint="Send its text instead."
            )
