"""What a request shows about its caller: the key that says who, the agent it names, a provider key of its own (W6)."""

from collections.abc import Mapping
from dataclasses import field
from hashlib import blake2b
from secrets import token_bytes
from types import MappingProxyType

from accounts.records import record
from agents.callers import OwnKey
from agents.key_text import ORGANIZATION, PREFIX, may_hold_key
from proxy.errors import Dialect, KeyMalformed, KeyMissing
from proxy.names import agent_named, daily_budget

OUR_KEY = "x-awx-key"
BEARER = "authorization"
# The headers in which clients of each provider show their key.
_PROVIDER_OF_HEADER = MappingProxyType({"x-api-key": "anthropic", "x-goog-api-key": "google"})
_PROVIDER_OF_DIALECT = MappingProxyType(
    {Dialect.OPENAI: "openai", Dialect.ANTHROPIC: "anthropic", Dialect.GEMINI: "google"}
)
# The memory ends with the process, so its hashes need no pepper that outlives it, and every call makes one.
_MEMORY_KEY = token_bytes(32)
_TWO_AWX_KEYS = "Send one AWX key; beside X-AWX-Key only a provider's own key."


@record()
class Claim:
    """Who a request says that it comes from.

    key: an AWX key, or the provider key by which the caller is recognised. agent, daily_pico: which agent calls, and
    what it may spend a day should it be new; only beside keys that are no agent's own. own_key: for this call alone.
    """

    key: str = field(repr=False)
    agent: str = ""
    daily_pico: int | None = None
    own_key: OwnKey | None = None

    @property
    def digest(self) -> str:
        """What the memory of callers is keyed by: nothing of the key, and never the caller's own provider key."""
        text = f"{self.key}\n{self.agent}" if self.agent else self.key
        return blake2b(text.encode(), key=_MEMORY_KEY, digest_size=32).hexdigest()


def read_claim(headers: Mapping[str, str], dialect: Dialect) -> Claim:
    """Read the headers of a request; raises KeyMissing, KeyMalformed, or Malformed for an agent that cannot be.

    headers: of headers.read_headers; dialect: of the request, which says whose key a bearer token is.
    """
    shown = _shown_keys(headers)
    ours = headers.get(OUR_KEY, "")
    if ours:
        return _claim(ours, headers, own_key=_own_key(ours, shown, dialect))
    keys = set(shown.values())
    if not keys:
        raise KeyMissing
    if len(keys) > 1:
        raise KeyMalformed
    return _claim(keys.pop(), headers)


def _claim(key: str, headers: Mapping[str, str], *, own_key: OwnKey | None = None) -> Claim:
    is_agents_own = key.startswith(PREFIX) and not key.startswith(f"{PREFIX}{ORGANIZATION}_")
    if is_agents_own:
        return Claim(key, own_key=own_key)
    return Claim(key, agent_named(headers), daily_budget(headers), own_key)


def _own_key(ours: str, shown: Mapping[str, str], dialect: Dialect) -> OwnKey | None:
    """The provider's key beside ours; none where the headers hold ours again, or nothing."""
    if not ours.startswith(PREFIX):
        raise KeyMalformed(hint="X-AWX-Key takes an AWX key; a provider's own key stays where its client puts it.")
    others = {header: key for header, key in shown.items() if key != ours}
    if not others:
        return None
    if len(set(others.values())) > 1 or any(may_hold_key(key) for key in others.values()):
        raise KeyMalformed(hint=_TWO_AWX_KEYS)
    providers = [provider for header, provider in _PROVIDER_OF_HEADER.items() if header in others]
    return OwnKey((providers or [_PROVIDER_OF_DIALECT[dialect]])[0], next(iter(others.values())))


def _shown_keys(headers: Mapping[str, str]) -> dict[str, str]:
    """Every key in the headers that clients of providers use, by header."""
    found: dict[str, str] = {}
    if BEARER in headers:
        scheme, _, token = headers[BEARER].partition(" ")
        if scheme and scheme.lower() != "bearer":
            raise KeyMalformed
        if key := token.strip():
            found[BEARER] = key
    for header in _PROVIDER_OF_HEADER:
        if shown := headers.get(header):
            found[header] = shown
    return found
