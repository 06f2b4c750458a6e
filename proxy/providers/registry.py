"""Which endpoint a path is, and which provider answers a model."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode

from proxy.errors import (
    Dialect,
    Malformed,
    ProviderNotConnected,
    UnknownPath,
    UnpricedModel,
    UnsupportedEndpoint,
)
from proxy.providers import anthropic, openai
from proxy.providers.shape import Endpoint, Priced, ProviderModule, Route, Target

# A new dialect is one more line here.
_MODULES: tuple[ProviderModule, ...] = (openai, anthropic)
_BY_DIALECT: Mapping[Dialect, ProviderModule] = MappingProxyType({module.DIALECT: module for module in _MODULES})
# The providers that speak each dialect, in the order in which their models are looked up.
PROVIDERS: Mapping[Dialect, tuple[str, ...]] = MappingProxyType(
    {Dialect.OPENAI: ("openai",), Dialect.ANTHROPIC: ("anthropic",)}
)
_SPEAKS = {provider: dialect for dialect, providers in PROVIDERS.items() for provider in providers}

# People paste these bases; the rest of the path says what they mean.
_ALIASES = (("/v1/messages/v1/", "/v1/"), ("/v1/v1/", "/v1/"))

QUERY_FIELDS_MAX = 50
QUERY_NAMES = frozenset({"beta", "limit", "after", "after_id", "before_id", "order"})

# Known endpoints whose calls we cannot bound yet: prefixes below /proxy.
UNSUPPORTED = (
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/images",
    "/v1/audio",
    "/v1/messages/batches",
    "/v1/batches",
    "/v1/files",
    "/v1/uploads",
    "/v1/fine_tuning",
    "/v1/assistants",
    "/v1/threads",
    "/v1/vector_stores",
    "/v1/containers",
    "/v1/videos",
    "/v1/evals",
    "/v1/realtime",
    "/v1/conversations",
    "/v1/skills",
    "/v1/agents",
    "/v1/sessions/stream",
    "/gemini",
)
_WHERE = {Dialect.OPENAI: "/v1/chat/completions", Dialect.ANTHROPIC: "/v1/messages", Dialect.GEMINI: "/gemini/v1beta"}


def find_route(method: str, path: str, headers: Mapping[str, str], *, base_url: str = "") -> Route:
    """The endpoint of a request.

    path: decoded, below /proxy. headers: tell the dialect of paths that two dialects share.
    base_url: of the proxy ("https://HOST/proxy"), for the answer to an unknown path.
    """
    path = _canonical(path)
    dialect = dialect_of(path, headers)
    for module in sorted(_MODULES, key=lambda module: module.DIALECT is not dialect):
        for endpoint in module.ENDPOINTS:
            item = _match(endpoint, method, path)
            if item is not None:
                return Route(endpoint, item)
    if any(path == prefix or path.startswith((f"{prefix}/", f"{prefix}:")) for prefix in UNSUPPORTED):
        raise UnsupportedEndpoint(endpoint=f"{method} {path}")
    suffix = "/v1" if dialect is Dialect.OPENAI else ""
    raise UnknownPath(method=method, path=path, base_url=f"{base_url}{suffix}", hint=_other_method(path))


def _other_method(path: str) -> str:
    """What to say about a known path that was asked with another method; empty for an unknown path."""
    takes = {
        endpoint.method
        for module in _MODULES
        for endpoint in module.ENDPOINTS
        if _match(endpoint, endpoint.method, path) is not None
    }
    return f"{path} takes {' or '.join(sorted(takes))}." if takes else ""


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """Whose words an answer to this request must use, also when the path is unknown."""
    if path.startswith("/gemini"):
        return Dialect.GEMINI
    if path.startswith("/v1/messages") or "/v1/messages" in path or "anthropic-version" in headers:
        return Dialect.ANTHROPIC
    return Dialect.ANTHROPIC if "x-api-key" in headers and "authorization" not in headers else Dialect.OPENAI


def upstream_query(query: str) -> str:
    """The part of a query string that a provider may see."""
    try:
        pairs = parse_qsl(query, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        return ""
    return urlencode([(name, value) for name, value in pairs if name in QUERY_NAMES])


def module_of(endpoint: Endpoint) -> ProviderModule:
    """The module that reads and meters an endpoint."""
    return _BY_DIALECT[endpoint.dialect]


def module_of_provider(provider: str) -> ProviderModule:
    """The module of the dialect that a provider speaks."""
    return _BY_DIALECT[_SPEAKS[provider]]


def choose_target(model: str, endpoint: Endpoint, *, connected: Sequence[str], priced: Priced) -> Target:
    """Who answers a model: the exact id in a connected provider's list, then a first segment that names one.

    priced: whether the price book has rows for (provider, model).
    """
    speakers = PROVIDERS[endpoint.dialect]
    exact = [Target(name, model) for name in speakers if name in connected and priced(name, model)]
    if len(exact) > 1:
        names = " and ".join(f"{target.provider}/{model}" for target in exact)
        raise Malformed(problem=f"two providers have the model; ask for {names}", param="model")
    if exact:
        return exact[0]
    first, _, rest = model.partition("/")
    if rest and first in speakers and first in connected and priced(first, rest):
        return Target(first, rest)
    raise _why_nobody(model, endpoint, connected=connected, priced=priced)


def sandbox_target(model: str, endpoint: Endpoint, *, priced: Priced) -> Target:
    """Whose prices a practice call has; every provider counts as connected."""
    return choose_target(model, endpoint, connected=tuple(_SPEAKS), priced=priced)


def _why_nobody(
    model: str, endpoint: Endpoint, *, connected: Sequence[str], priced: Priced
) -> UnpricedModel | ProviderNotConnected | UnsupportedEndpoint:
    first, _, rest = model.partition("/")
    owners = [name for name in _SPEAKS if priced(name, model) or (rest and first == name and priced(name, rest))]
    here = [name for name in owners if _SPEAKS[name] is endpoint.dialect]
    if here:
        return ProviderNotConnected(provider=here[0])
    if owners:
        where = _WHERE[_SPEAKS[owners[0]]]
        return UnsupportedEndpoint(
            endpoint=f"{model} at {endpoint.path}", param="model", hint=f"Call {where} for this model."
        )
    return UnpricedModel(model=model)


def _canonical(path: str) -> str:
    for wrong, right in _ALIASES:
        if path.startswith(wrong):
            path = right + path[len(wrong) :]
    return path


def _match(endpoint: Endpoint, method: str, path: str) -> str | None:
    """The item in the path ("" where the endpoint has none), None when it is another endpoint."""
    if endpoint.method != method:
        return None
    start, variable, _ = endpoint.path.partition("{id}")
    if not variable:
        return "" if path == endpoint.path else None
    item = path[len(start) :] if path.startswith(start) else ""
    # Fine-tunes and prefixed models have colons and slashes in their ids; nothing else may pass into a path.
    safe = item and all(part.strip(".") and part.replace("-", "").isascii() for part in item.split("/"))
    return item if safe and item.isprintable() and not set(item) & set("?#%\\ ") else None
