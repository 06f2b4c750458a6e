"""Which fields of a Responses request move its price, and what becomes of them (metering.md sections 1.2 and 4.3)."""

from collections.abc import Mapping
from typing import Any

from proxy.errors import UnboundedCall, UnpricedFeature
from proxy.providers.openai.chat_checks import SUSPICIOUS, check_template
from proxy.providers.parsing import check_spelling, flag, objects, table, whole_number, word

# Fields whose price is known: none, or bounded by the output bound, or read elsewhere in this file.
KNOWN = frozenset(
    {
        "model",
        "input",
        "instructions",
        "background",
        "context_management",
        "include",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
# Those that nobody need look at.
_PLAIN = KNOWN - {
    "background",
    "context_management",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "tools",
}
# What hides input or work from us, and what to send instead.
UNBOUNDED = {
    "conversation": (
        "a conversation holds input that the request does not show",
        "Send the items in 'input', or name the response before with 'previous_response_id'.",
    ),
    "prompt": ("a stored prompt is named by its id", "Send its text in 'instructions' and 'input'."),
    "multi_agent": ("nothing limits how many agents it starts", "Leave multi_agent out."),
}
CLIENT_TOOLS = frozenset({"function", "custom"})
SEARCH, SEARCH_PREVIEW = "web_search", "web_search_preview"
# Hosted tools that `max_tool_calls` bounds, and what their fee is called.
HOSTED_TOOLS = {
    "web_search": SEARCH,
    "web_search_2025_08_26": SEARCH,
    "web_search_preview": SEARCH_PREVIEW,
    "web_search_preview_2025_03_11": SEARCH_PREVIEW,
    "file_search": "file_search",
}
_SPELT = KNOWN.union(UNBOUNDED)
_TOOL_NAMES = frozenset({"type", "allowed_callers"})
USES_MAX = 10**6
_CACHE_KEYS = frozenset({"mode", "ttl"})
_REASONING_KEYS = frozenset({"effort", "summary", "generate_summary", "context", "mode"})


def check_fields(body: dict[str, Any]) -> None:
    """Refuse every field that could move the price in a way we do not count."""
    if body.keys() <= _PLAIN:
        return
    if flag(body, "background"):
        raise UnboundedCall(
            what="a background response goes on after its call", param="background", hint="Leave background out."
        )
    for name, (what, hint) in UNBOUNDED.items():
        if body.get(name) is not None:
            raise UnboundedCall(what=what, param=name, hint=hint)
    if (whole_number(body, "n", least=1, most=USES_MAX) or 1) > 1:
        raise UnboundedCall(what="a response is one answer", param="n", hint="Leave n out.")
    check_spelling(body, _SPELT)
    for name in body.keys() - KNOWN:
        if SUSPICIOUS.search(name) and body[name] is not None:
            raise UnpricedFeature(feature=f"the field '{name}'", param=name)
    check_template(body)
    _check_reasoning(table(body, "reasoning"))
    _check_cache(body)
    for edit in objects(body, "context_management"):
        if not str(edit.get("type")).startswith("clear_"):
            raise UnpricedFeature(feature=f"the context edit {edit.get('type')!r}", param="context_management")
    for tool in objects(body, "tools"):
        _check_tool(tool)


def hosted_tools(body: dict[str, Any]) -> dict[str, int]:
    """The hosted tools by fee name, and the uses that the body allows them together; 0 where it names no bound.

    An answer does not say which of two searches was used: both count as the preview, which costs no less.
    """
    kinds = [tool.get("type") for tool in objects(body, "tools")]
    names = {HOSTED_TOOLS[kind] for kind in kinds if isinstance(kind, str) and kind in HOSTED_TOOLS}
    if not names:
        return {}
    if SEARCH_PREVIEW in names:
        names.discard(SEARCH)
    return dict.fromkeys(sorted(names), whole_number(body, "max_tool_calls", least=1, most=USES_MAX) or 0)


def leaves_out(body: dict[str, Any]) -> bool:
    """Whether the model reads less than the input holds: cut to its window, cleared, or without earlier reasoning."""
    context = table(body, "reasoning").get("context")
    is_cut = body.get("truncation") not in (None, "disabled") or bool(body.get("context_management"))
    return is_cut or context not in (None, "auto", "all_turns")


def uses_of_each(uses: Mapping[str, int]) -> int:
    """What `max_tool_calls` may be: it counts all tools together, and each tool could take it all."""
    return min(uses.values())


def _check_reasoning(reasoning: dict[str, Any]) -> None:
    if word(reasoning, "mode") not in (None, "standard"):
        raise UnboundedCall(
            what=f"nothing limits the work of the reasoning mode {reasoning['mode']!r}",
            param="reasoning.mode",
            hint="Leave the mode out.",
        )
    for name in reasoning.keys() - _REASONING_KEYS:
        if SUSPICIOUS.search(name) and reasoning[name] is not None:
            raise UnpricedFeature(feature=f"reasoning by '{name}'", param="reasoning")


def _check_cache(body: dict[str, Any]) -> None:
    cache = table(body, "prompt_cache_options")
    if not cache.keys() <= _CACHE_KEYS or cache.get("ttl") not in (None, "30m", "12h"):
        raise UnpricedFeature(feature="these prompt cache options", param="prompt_cache_options")
    if body.get("prompt_cache_retention") not in (None, "in_memory", "24h"):
        raise UnpricedFeature(feature="this prompt cache retention", param="prompt_cache_retention")


def _check_tool(tool: dict[str, Any]) -> None:
    check_spelling(tool, _TOOL_NAMES, "tools.")
    kind = tool.get("type")
    if not isinstance(kind, str) or kind not in CLIENT_TOOLS | HOSTED_TOOLS.keys():
        hint = "Those that an agent may be allowed are web_search and file_search."
        raise UnpricedFeature(feature=f"the hosted tool {kind!r}", param="tools", hint=hint)
    if tool.get("allowed_callers") not in (None, ["direct"]):
        raise UnpricedFeature(feature="tools called by code", param="tools", hint="Leave allowed_callers out.")
