"""Which headers are read, which reach a provider and which reach a client: allow-lists in both directions."""

import re
from collections.abc import Iterable, Mapping

from proxy.errors import Dialect, EncodingUnsupported, Malformed, UnpricedFeature

RawHeaders = Iterable[tuple[bytes, bytes]]
Pairs = list[tuple[str, str]]

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Visible ASCII, blanks and tabs: no CR, LF or NUL, and nothing that two parsers might read differently.
_VALUE = re.compile(rb"[\t\x20-\x7e]*")
# Two of these could be read differently by us and by whoever stands before or behind us.
_ONCE = frozenset(
    {
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "content-length",
        "content-type",
        "host",
        "x-awx-key",
        "x-awx-agent-id",
        "x-agent-id",
        "x-awx-session-id",
        "x-awx-user-id",
        "x-awx-daily-budget",
        "x-awx-session-budget",
    }
)

# As servers hand nearly all of them over: they need no further look.
_USUAL_NAMES: dict[bytes, str] = {
    name.encode(): name
    for name in (
        *_ONCE,
        "accept",
        "accept-encoding",
        "accept-language",
        "anthropic-beta",
        "anthropic-version",
        "connection",
        "traceparent",
        "transfer-encoding",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-goog-api-client",
        "x-real-ip",
        "x-stainless-arch",
        "x-stainless-async",
        "x-stainless-lang",
        "x-stainless-os",
        "x-stainless-package-version",
        "x-stainless-read-timeout",
        "x-stainless-retry-count",
        "x-stainless-runtime",
        "x-stainless-runtime-version",
        "x-stainless-timeout",
    )
}

HEADERS_MAX = 200
HEADER_BYTES_MAX = 64 * 1024

TO_PROVIDER = frozenset(
    {
        "accept",
        "user-agent",
        "idempotency-key",
        "x-client-request-id",
        "x-app",
        "anthropic-version",
        "anthropic-beta",
        "openai-beta",
        "anthropic-dangerous-direct-browser-access",
        # Google's client says what it is and how long it waits; its masks and its billing project do not pass.
        "x-goog-api-client",
        "x-server-timeout",
    }
)
TO_PROVIDER_PREFIXES = ("x-stainless-",)
# What a beta of theirs means at anybody else's endpoint is not checked there, so it stays here.
_BETA_HEADERS = {Dialect.ANTHROPIC: "anthropic-beta", Dialect.OPENAI: "openai-beta"}
_PASSED: Mapping[Dialect, frozenset[str]] = {
    dialect: TO_PROVIDER - {name for of, name in _BETA_HEADERS.items() if of is not dialect} for dialect in Dialect
}

TO_CLIENT = frozenset(
    {
        "content-type",
        "cache-control",
        "request-id",
        "x-request-id",
        "openai-processing-ms",
        "openai-version",
        "openai-model",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "x-gemini-service-tier",
    }
)
TO_CLIENT_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")

# Betas that cost nothing by themselves: what they enable is bounded by the fields of the body, which are
# checked one by one. context-1m is priced by model, see providers.anthropic.
BETAS = frozenset(
    {
        "advanced-tool-use-2025-11-20",
        "advisor-tool-2026-03-01",
        "claude-code-20250219",
        "oauth-2025-04-20",
        "cache-diagnosis-2026-04-07",
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "effort-2025-11-24",
        "extended-cache-ttl-2025-04-11",
        "fast-mode-2026-02-01",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "max-tokens-3-5-sonnet-2024-07-15",
        "mid-conversation-output-config-2026-07-01",
        "mid-conversation-system-2026-04-07",
        "mid-conversation-system-clear-at-2026-08-21",
        "mid-conversation-tool-changes-2026-07-01",
        "model-context-window-exceeded-2025-08-26",
        "output-128k-2025-02-19",
        "output-300k-2026-03-24",
        "pdfs-2024-09-25",
        "per-turn-control-2026-07-01",
        "prompt-caching-2024-07-31",
        "prompt-caching-scope-2026-01-05",
        "redact-thinking-2026-02-12",
        "structured-outputs-2025-09-17",
        "structured-outputs-2025-11-13",
        "structured-outputs-2025-12-15",
        "task-budgets-2026-03-13",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "thinking-token-count-2026-05-13",
        "token-counting-2024-11-01",
        "token-efficient-tools-2025-02-19",
        "web-fetch-2025-09-10",
        "web-search-2025-03-05",
    }
)

# Of OpenAI's, those that clients send everywhere: both name a form of request that we know or refuse by its path.
OPENAI_BETAS = frozenset({"assistants=v1", "assistants=v2", "responses=experimental"})


def read_headers(raw: RawHeaders) -> dict[str, str]:
    """The client's headers by lower-case name, repeated ones joined; refuses what parsers disagree about."""
    headers: dict[str, str] = {}
    size_bytes = 0
    for count, (raw_name, raw_value) in enumerate(raw, 1):
        size_bytes += len(raw_name) + len(raw_value)
        if count > HEADERS_MAX or size_bytes > HEADER_BYTES_MAX:
            raise Malformed(problem=f"it has more than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes of them")
        usual = _USUAL_NAMES.get(raw_name)
        if usual is None and not _NAME.fullmatch(raw_name):
            raise Malformed(problem="the name of a header holds characters that are not allowed")
        name = usual or raw_name.decode("ascii").lower()
        if not _is_clean(raw_value):
            raise Malformed(problem=f"the header {name} holds characters other than printable ASCII", param=name)
        value = raw_value.decode("ascii").strip()
        if name in headers:
            if name in _ONCE:
                raise Malformed(problem=f"the header {name} is there twice", param=name)
            value = f"{headers[name]}, {value}"
        headers[name] = value
    if "transfer-encoding" in headers and "content-length" in headers:
        raise Malformed(problem="Transfer-Encoding and Content-Length exclude each other")
    if "content-encoding" in headers:
        encoding = headers["content-encoding"].lower()
        if encoding not in ("", "identity"):
            raise EncodingUnsupported(encoding=encoding)
    return headers


def check_betas(headers: Mapping[str, str], dialect: Dialect) -> None:
    """Refuse a beta we do not know, by name: it could change the price, and stripping it would change the answer."""
    name = _BETA_HEADERS[dialect]
    if name not in headers:
        return
    known = BETAS if dialect is Dialect.ANTHROPIC else OPENAI_BETAS
    for beta in (part.strip() for part in headers[name].split(",")):
        if beta and beta not in known:
            raise UnpricedFeature(feature=f"the beta '{beta}'", param=name, hint=f"Leave it out of {name}.")


def to_provider(
    headers: Mapping[str, str], key_headers: Pairs, content_type: str = "application/json", *, dialect: Dialect
) -> Pairs:
    """What a provider receives: allow-listed headers of the client, and the provider's own key.

    What Connection names is for the next hop, which is us (RFC 9110 section 7.6.1).
    headers: of read_headers; key_headers: of the dialect's manners; content_type: of the body;
    dialect: of the request, whose betas have been checked.
    """
    known = _PASSED[dialect]
    for_us = {name.strip() for name in headers.get("connection", "").lower().split(",")}
    passed = [
        (name, value)
        for name, value in headers.items()
        if (name in known or name.startswith(TO_PROVIDER_PREFIXES)) and name not in for_us
    ]
    # Compressed answers could not be metered as they pass.
    return [*passed, ("content-type", content_type), ("accept-encoding", "identity"), *key_headers]


def to_client(raw: RawHeaders) -> list[tuple[bytes, bytes]]:
    """What a client receives of a provider's headers; nothing that names our account there."""
    passed = []
    for raw_name, value in raw:
        name = raw_name.decode("latin-1").lower()
        if (name in TO_CLIENT or name.startswith(TO_CLIENT_PREFIXES)) and _is_clean(value):
            passed.append((name.encode("ascii"), value))
    return passed


def _is_clean(value: bytes) -> bool:
    """Whether a value holds nothing that parsers disagree about; most are printable ASCII, which needs no pattern."""
    return (value.isascii() and value.decode("ascii").isprintable()) or _VALUE.fullmatch(value) is not None
