"""Which endpoint a path is, and which module reads it."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode

from proxy.errors import Dialect, UnknownPath, UnsupportedEndpoint
from proxy.providers.anthropic import manners as anthropic
from proxy.providers.anthropic import messages
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.gemini import count, embed, generate
from proxy.providers.gemini import manners as gemini
from proxy.providers.openai import (
    chat,
    completions,
    embeddings,
    images,
    moderations,
    responses,
    speech,
    transcriptions,
)
from proxy.providers.openai import manners as openai
from proxy.providers.shape import Manners, Surface

# A new surface is one more line here; a new dialect has manners as well.
_MANNERS: tuple[Manners, ...] = (openai, anthropic, gemini)
_SURFACES: tuple[Surface, ...] = (
    chat, responses, completions, embeddings, moderations, images, speech, transcriptions,
    messages,
    generate, count, embed,
)  # fmt: skip

_MANNERS_OF: Mapping[Dialect, Manners] = MappingProxyType({manners.DIALECT: manners for manners in _MANNERS})
_SURFACE_OF: Mapping[Endpoint, Surface] = MappingProxyType(
    {endpoint: surface for surface in _SURFACES for endpoint in surface.ENDPOINTS}
)
_ENDPOINTS = (*_SURFACE_OF, *(endpoint for manners in _MANNERS for endpoint in manners.ENDPOINTS))
# Some paths are two dialects': the client's own comes first.
_ENDPOINTS_FOR: Mapping[Dialect, tuple[Endpoint, ...]] = MappingProxyType(
    {
        dialect: (
            *(endpoint for endpoint in _ENDPOINTS if endpoint.dialect is dialect),
            *(endpoint for endpoint in _ENDPOINTS if endpoint.dialect is not dialect),
        )
        for dialect in Dialect
    }
)
# No path of the first kind is one of the second with an id: its first match is the only one.
_EXACT_FOR: Mapping[Dialect, Mapping[tuple[str, str], Endpoint]] = MappingProxyType(
    {
        dialect: {(one.method, one.path): one for one in reversed(endpoints) if "{id}" not in one.path}
        for dialect, endpoints in _ENDPOINTS_FOR.items()
    }
)
_ENDPOINTS_WITH_ID_FOR: Mapping[Dialect, tuple[Endpoint, ...]] = MappingProxyType(
    {dialect: tuple([one for one in found if "{id}" in one.path]) for dialect, found in _ENDPOINTS_FOR.items()}
)

# People paste these bases; the rest of the path says what they mean.
_ALIASES = (
    ("/v1/messages/v1/", "/v1/"),
    ("/v1/v1/", "/v1/"),
    ("/gemini/v1beta/v1beta/", "/gemini/v1beta/"),
    ("/v1beta/", "/gemini/v1beta/"),
)
# Google's own address of its compatible form.
_GOOGLE_OPENAI = "/gemini/v1beta/openai/"

# What nearly every id is made of; others are looked at more closely.
_PLAIN_ITEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")

QUERY_FIELDS_MAX = 50
QUERY_NAMES = frozenset(
    {"beta", "limit", "after", "after_id", "before_id", "order", "include", "include[]", "alt", "pageSize", "pageToken"}
)

# Known endpoints whose calls we cannot bound yet: prefixes below /proxy.
UNSUPPORTED = (
    "/v1/responses",  # what is left of it: compact, cancel, a list of them
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
    "/gemini/upload",
    "/gemini/download",
    "/gemini/ws",
    "/gemini/v1alpha",
    *(
        f"/gemini/{version}/{kind}"
        for version in gemini.VERSIONS
        for kind in (
            "files",
            "cachedContents",
            "batches",
            "tunedModels",
            "interactions",
            "operations",
            "corpora",
            "fileSearchStores",
            "generatedFiles",
            "dynamic",
            "agents",
            "auth_tokens",
        )
    ),
)
# The same for methods of a model.
_UNSUPPORTED_METHOD = re.compile(
    r"/gemini/v1(?:beta)?/models/[^:]+:(?:batchGenerateContent|asyncBatchEmbedContent|predict|predictLongRunning"
    r"|generateAnswer|generateText|generateMessage|generateImages|computeTokens|bidiGenerateContent|embedText"
    r"|batchEmbedText|countTextTokens|countMessageTokens)"
)
_BASES = {Dialect.OPENAI: "/v1", Dialect.ANTHROPIC: "", Dialect.GEMINI: "/gemini"}


def find_route(method: str, path: str, headers: Mapping[str, str], *, query: str = "", base_url: str = "") -> Route:
    """The endpoint of a request.

    path: decoded, below /proxy. headers: tell the dialect of paths that two dialects share. query: as it came.
    base_url: of the proxy ("https://HOST/proxy"), for the answer to an unknown path.
    """
    path = _canonical(path)
    dialect = dialect_of(path, headers)
    path = _ours(path)
    exact = _EXACT_FOR[dialect].get((method, path))
    if exact is not None:
        return Route(exact, "", upstream_query(query))
    for endpoint in _ENDPOINTS_WITH_ID_FOR[dialect]:
        item = _match(endpoint, method, path)
        if item is not None:
            return Route(endpoint, item, upstream_query(query))
    if _is_unsupported(path):
        raise UnsupportedEndpoint(endpoint=f"{method} {path}")
    raise UnknownPath(method=method, path=path, base_url=f"{base_url}{_BASES[dialect]}", hint=_other_method(path))


def _is_unsupported(path: str) -> bool:
    known = any(path == prefix or path.startswith((f"{prefix}/", f"{prefix}:")) for prefix in UNSUPPORTED)
    return known or _UNSUPPORTED_METHOD.fullmatch(path) is not None


def _other_method(path: str) -> str:
    """What to say about a known path that was asked with another method; empty for an unknown path."""
    takes = {endpoint.method for endpoint in _ENDPOINTS if _match(endpoint, endpoint.method, path) is not None}
    return f"{path} takes {' or '.join(sorted(takes))}." if takes else ""


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """Whose words an answer to this request must use, also when the path is unknown."""
    if is_googles(path):
        return Dialect.OPENAI if _canonical(path).startswith(_GOOGLE_OPENAI) else Dialect.GEMINI
    if path.startswith("/v1/messages") or "/v1/messages" in path or "anthropic-version" in headers:
        return Dialect.ANTHROPIC
    return Dialect.ANTHROPIC if "x-api-key" in headers and "authorization" not in headers else Dialect.OPENAI


def is_googles(path: str) -> bool:
    """Whether clients of Google's call here, in either of its forms: a key that they show is Google's or ours."""
    return path.startswith(("/gemini", "/v1beta"))


def upstream_query(query: str) -> str:
    """The part of a query string that a provider may see."""
    if not query:
        return ""
    return urlencode([(name, value) for name, value in query_pairs(query) if name in QUERY_NAMES])


def query_pairs(query: str) -> list[tuple[str, str]]:
    """A query string's names and values; none where it cannot be read."""
    try:
        return parse_qsl(query, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        return []


def endpoints() -> tuple[Endpoint, ...]:
    """Every endpoint that is forwarded."""
    return tuple(_SURFACE_OF)


def surface_of(endpoint: Endpoint) -> Surface:
    """The module that reads and meters an endpoint."""
    return _SURFACE_OF[endpoint]


def manners_of(dialect: Dialect) -> Manners:
    """What the surfaces of a dialect share."""
    return _MANNERS_OF[dialect]


def _canonical(path: str) -> str:
    for wrong, right in _ALIASES:
        if path.startswith(wrong):
            path = right + path[len(wrong) :]
    return path


def _ours(path: str) -> str:
    """Google's address of an endpoint of OpenAI's as ours."""
    return f"/v1/{path.removeprefix(_GOOGLE_OPENAI)}" if path.startswith(_GOOGLE_OPENAI) else path


def _match(endpoint: Endpoint, method: str, path: str) -> str | None:
    """The item in the path ("" where the endpoint has none), None when it is another endpoint."""
    if endpoint.method != method:
        return None
    start, variable, end = endpoint.path.partition("{id}")
    if not variable:
        return "" if path == endpoint.path else None
    if not (path.startswith(start) and path.endswith(end)) or len(path) <= len(start) + len(end):
        return None
    item = path[len(start) : len(path) - len(end)]
    if _PLAIN_ITEM.fullmatch(item):
        return item
    # Fine-tunes and prefixed models have colons and slashes in their ids; nothing else may pass into a path.
    safe = all(part.strip(".") and part.replace("-", "").isascii() for part in item.split("/"))
    return item if safe and item.isprintable() and not set(item) & set("?#%\\ ") else None
