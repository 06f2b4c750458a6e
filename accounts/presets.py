"""OpenAI-compatible providers as data: from a row here follow form, address, routing, prices and metering.

Pure, because the proxy's providers read it too. Sources: metering.md 1.1, 1.3, 4.3, 4.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CAP_FIELDS = ("max_tokens", "max_completion_tokens")
_TEXT = frozenset({"chat", "completions", "embeddings"})
_KEPT = frozenset({"response", "response_items", "input_tokens"})  # what belongs to answers that a provider keeps
_RESPONSES = frozenset({"responses"}) | _KEPT
_WHOLE = _TEXT | _RESPONSES


@dataclass(frozen=True, slots=True)
class Preset:
    """How one kind of compatible provider differs from the plain form; a custom provider names one.

    base_url: the usual one, empty where everybody has their own; example: what one looks like.
    prices: the provider of the price book whose rows apply, empty where only the organisation's own rates do.
    key_header: holds the key as it is; empty: `Authorization: Bearer`. key_page: where people make a key.
    serves: names of the endpoints that it answers (proxy.providers.endpoints.Endpoint.name).
    cap_field: the name of a chat's output bound. takes_stream_options: False where it rejects the field.
    reports_cost: its usage states what it charges, in a unit that we know.
    limits_price: it chooses among suppliers, so that it is told the most that it may pay.
    refused_models: patterns (fnmatch) of models that choose others or call tools by themselves.
    refused_fields: fields that move work out of our sight.
    bills_errors: it charges for what it read also where it answers with an error.
    template_tokens: the most that it puts around a conversation and counts as input, prompts of its own included.
    has_deployments: clients name deployments, and the operator says which model each one is.
    moderates: its 403 is about what was asked, not about the key.
    """

    slug: str
    title: str
    base_url: str = ""
    example: str = ""
    prices: str = ""
    key_header: str = ""
    needs_key: bool = True
    key_page: str = ""
    serves: frozenset[str] = _WHOLE
    cap_field: str = "max_tokens"
    takes_stream_options: bool = True
    reports_cost: bool = False
    limits_price: bool = False
    refused_models: tuple[str, ...] = ()
    refused_fields: frozenset[str] = frozenset()
    bills_errors: bool = False
    template_tokens: int = 512
    has_deployments: bool = False
    moderates: bool = False

    @property
    def serves_by_deployment(self) -> frozenset[str]:
        """The endpoints that stand below a deployment's path."""
        return self.serves & _TEXT

    @property
    def shown_url(self) -> str:
        """What stands in an empty form field."""
        return self.base_url or self.example


OTHER = Preset("other", "Another compatible provider", example="https://llm.example.com/v1")
_ROWS = (
    Preset(
        "azure", "Azure OpenAI", example="https://RESOURCE.openai.azure.com/openai/v1", prices="azure",
        key_header="api-key", key_page="https://portal.azure.com/", cap_field="max_completion_tokens",
        bills_errors=True, has_deployments=True,
    ),
    Preset(
        "openrouter", "OpenRouter", "https://openrouter.ai/api/v1", prices="openrouter", reports_cost=True,
        key_page="https://openrouter.ai/settings/keys", serves=frozenset({"chat"}), limits_price=True,
        refused_models=("openrouter/*", "*:online", "*@preset/*"),
        refused_fields=frozenset({"models", "plugins", "route", "preset"}), moderates=True,
    ),
    Preset(
        "groq", "Groq", "https://api.groq.com/openai/v1", prices="groq", serves=frozenset({"chat"}) | _RESPONSES,
        key_page="https://console.groq.com/keys", cap_field="max_completion_tokens",
        refused_models=("compound*", "*/compound*"), refused_fields=frozenset({"compound_custom"}),
    ),
    Preset(
        "mistral", "Mistral", "https://api.mistral.ai/v1", prices="mistral", takes_stream_options=False,
        key_page="https://console.mistral.ai/api-keys", serves=frozenset({"chat", "embeddings"}),
    ),
    Preset(
        "deepseek", "DeepSeek", "https://api.deepseek.com/v1", prices="deepseek", serves=frozenset({"chat"}),
        key_page="https://platform.deepseek.com/api_keys",
    ),
    Preset(
        "xai", "xAI", "https://api.x.ai/v1", prices="xai", reports_cost=True, serves=frozenset({"chat"}) | _RESPONSES,
        template_tokens=2_048,
        key_page="https://console.x.ai/", refused_fields=frozenset({"deferred"}),
    ),
    Preset(
        "together", "Together", "https://api.together.xyz/v1", serves=_TEXT,
        key_page="https://api.together.ai/settings/api-keys",
    ),
    Preset("vllm", "vLLM", example="http://127.0.0.1:8000/v1", needs_key=False),
    Preset("ollama", "Ollama", example="http://127.0.0.1:11434/v1", needs_key=False),
    OTHER,
)  # fmt: skip
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.slug: preset for preset in _ROWS})


def preset_of(slug: str) -> Preset:
    """The preset of that name; the plain form where it is empty or no longer known."""
    return PRESETS.get(slug, OTHER)
