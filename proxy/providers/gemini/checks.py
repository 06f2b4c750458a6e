"""Which fields of a request for content move its price, and what becomes of them. Fields by their canonical names."""

from typing import Any

from proxy.bounds import Hidden, schema_tokens
from proxy.errors import Malformed, UnboundedCall, UnpricedFeature
from proxy.providers.gemini.fields import canonical, check_known, listed
from proxy.providers.gemini.parts import LEVELS, Parts
from proxy.providers.parsing import JsonObject, whole_number, word

CHOICES_MAX = 8

KNOWN = frozenset(
    {
        "model",
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "safetySettings",
        "generationConfig",
        "labels",
        "serviceTier",
        "store",
    }
)
CONFIG_KNOWN = frozenset(
    {
        "stopSequences",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "_responseJsonSchema",
        "responseModalities",
        "candidateCount",
        "maxOutputTokens",
        "temperature",
        "topP",
        "topK",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseLogprobs",
        "logprobs",
        "enableEnhancedCivicAnswers",
        "thinkingConfig",
        "mediaResolution",
    }
)
_SCHEMAS = ("responseSchema", "responseJsonSchema", "_responseJsonSchema")
_TOOL_CONFIG_KNOWN = frozenset({"functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"})
_THINKING_KNOWN = frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"})
TIERS = {None: "default", "unspecified": "default", "standard": "default", "flex": "flex", "priority": "priority"}


def read_fields(body: JsonObject) -> tuple[JsonObject, JsonObject]:
    """The request and its generationConfig, both checked; refuses all that could move the price uncounted."""
    fields = canonical(body, "")
    if "cachedContent" in fields:
        raise UnboundedCall(
            what="a content that is named by id", param="cachedContent",
            hint="Send the content itself; what repeats is cached without asking.",
        )  # fmt: skip
    check_known(fields, KNOWN)
    for tool in listed(fields["tools"], "tools") if "tools" in fields else ():
        for name in tool.keys() - {"functionDeclarations"}:
            # Nothing in the request bounds how often Google would use it.
            raise UnpricedFeature(
                feature=f"the tool '{name}'", param="tools", hint="Those you run yourself are functionDeclarations."
            )
    if "toolConfig" in fields:
        check_known(canonical(fields["toolConfig"], "toolConfig"), _TOOL_CONFIG_KNOWN, "toolConfig")
    return fields, _config(fields)


def cap_of(config: JsonObject) -> int | None:
    """The client's own output bound for one candidate; thinking counts inside it."""
    return whole_number(config, "maxOutputTokens", least=1, most=10**9)


def choices_of(config: JsonObject) -> int:
    """How many candidates are asked for."""
    value = whole_number(config, "candidateCount", least=1, most=10**6) or 1
    if value > CHOICES_MAX:
        raise UnboundedCall(what=f"candidateCount is at most {CHOICES_MAX}", param="generationConfig.candidateCount")
    return value


def thinking_tokens(config: JsonObject) -> int:
    """The thinking budget, below which an output bound leaves no room for an answer; 0 without one."""
    if "thinkingConfig" not in config:
        return 0
    thinking = canonical(config["thinkingConfig"], "generationConfig.thinkingConfig")
    check_known(thinking, _THINKING_KNOWN, "generationConfig.thinkingConfig")
    return max(0, whole_number(thinking, "thinkingBudget", least=-1, most=10**9) or 0)


def tier_of(fields: JsonObject) -> str:
    """The requested service tier in the price book's words."""
    asked = word(fields, "serviceTier")
    tier = TIERS.get(asked and asked.lower())
    if tier is None:
        raise UnpricedFeature(feature=f"the service tier {asked!r}", param="serviceTier")
    return tier


def hidden_input(fields: JsonObject, contents: list[JsonObject], config: JsonObject, growth: int) -> Hidden:
    """What contents, system instruction and tools hold beyond their bytes; refuses what cannot be bounded."""
    if not contents:
        raise Malformed(problem="'contents' must hold at least one content", param="contents")
    reader = Parts()
    for index, content in enumerate(contents):
        reader.read(content, f"contents[{index}]")
    if "systemInstruction" in fields:
        reader.read(fields["systemInstruction"], "systemInstruction")
    text = growth + reader.argument_tokens
    for schema in [fields.get("tools"), *[config.get(name) for name in _SCHEMAS]]:
        if schema:
            text += schema_tokens(schema)
    return Hidden(media_bytes=reader.media_bytes, text_tokens=text, images=tuple(reader.images))


def contents_of(fields: JsonObject) -> list[JsonObject]:
    """The contents, one of which may stand for a list."""
    return listed(fields.get("contents", []), "contents")


def system_parts(fields: JsonObject) -> list[Any]:
    """The parts of the system instruction."""
    parts = canonical(fields.get("systemInstruction", {}), "systemInstruction").get("parts", [])
    return parts if isinstance(parts, list) else [parts]


def _config(fields: JsonObject) -> JsonObject:
    config = canonical(fields.get("generationConfig", {}), "generationConfig")
    check_known(config, CONFIG_KNOWN, "generationConfig")
    level = word(config, "mediaResolution")
    if level is not None and level not in LEVELS:
        raise UnpricedFeature(feature=f"the media resolution {level!r}", param="generationConfig.mediaResolution")
    modalities = config.get("responseModalities")
    if modalities is not None and not (isinstance(modalities, list) and all(each == "TEXT" for each in modalities)):
        raise UnpricedFeature(
            feature="an answer of images or audio",
            param="generationConfig.responseModalities",
            hint='Ask for ["TEXT"].',
        )
    return config
