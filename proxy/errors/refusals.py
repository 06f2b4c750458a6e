"""One class for each reason a call is turned away, with the facts that its sentence needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.errors.budgets import Refusal

AGENTS_PAGE, ORGANIZATION_KEYS_PAGE = "the agent's page", "the page of organisation keys"


@dataclass(eq=False, kw_only=True)
class Detailed(Refusal):
    """A refusal that is told its facts. details: those of the `awx` object beyond reason, call_id and hint."""

    details: Mapping[str, str | None] = field(default_factory=dict)

    def facts(self) -> dict[str, str | None]:
        """The details."""
        return dict(self.details)


@dataclass(eq=False, kw_only=True)
class RateLimited(Detailed):
    """The agent must wait; set retry_after_seconds.

    limit: what is used up, as in "60 calls a minute"; held: why the agent is held back instead, as a clause.
    never: waiting does not help.
    """

    reason = "rate_limited"
    agent: str
    limit: str = ""
    held: str = ""
    never: bool = False

    def words(self) -> dict[str, str]:
        """The agent, and what it must wait for."""
        why = f"is held back, because {self.held}" if self.held else f"has reached its limit of {self.limit}"
        return {"agent": self.agent, "why": why}

    @property
    def should_retry(self) -> bool | None:
        """Not where it never fits."""
        return False if self.never else None


@dataclass(eq=False, kw_only=True)
class SessionLimit(Detailed):
    """The session has made all the calls it may."""

    reason = "session_limit"
    session: str
    limit: str


@dataclass(eq=False, kw_only=True)
class TooManySubjects(Refusal):
    """More new sessions, users or models within the hour than a budget for each of them takes."""

    reason = "too_many_subjects"
    kind: str
    limit: str


@dataclass(eq=False, kw_only=True)
class LoopDetected(Detailed):
    """The loop breaker tripped. rule: what it saw, as a clause; remedy: what ends it."""

    reason = "loop_detected"
    agent: str
    rule: str
    remedy: str = "A member can resume it on its page."


@dataclass(eq=False, kw_only=True)
class AgentPaused(Refusal):
    """A member paused the agent or stopped all agents."""

    reason = "agent_paused"
    agent: str


@dataclass(eq=False, kw_only=True)
class AgentUnknown(Refusal):
    """The header names an agent that does not exist and may not be created."""

    reason = "agent_unknown"
    agent: str


@dataclass(eq=False, kw_only=True)
class ModelNotAllowed(Refusal):
    """The agent's model list lacks the model. allowed: its list, for the sentence."""

    reason = "model_not_allowed"
    agent: str
    model: str
    allowed: str = ""


@dataclass(eq=False, kw_only=True)
class UnpricedModel(Refusal):
    """No row of the price book prices the model."""

    reason = "unpriced_model"
    model: str
    provider: str = ""


@dataclass(eq=False, kw_only=True)
class UnsupportedEndpoint(Refusal):
    """A known endpoint whose calls cannot be bounded or priced yet."""

    reason = "unsupported_endpoint"
    endpoint: str


@dataclass(eq=False, kw_only=True)
class ProviderNotConnected(Refusal):
    """The organisation has no credential for the provider. page: where to add one."""

    reason = "provider_not_connected"
    provider: str
    page: str = ""


@dataclass(eq=False, kw_only=True)
class UnboundedCall(Refusal):
    """Something in the request hides input or output from us; param names it."""

    reason = "unbounded_call"
    what: str


@dataclass(eq=False, kw_only=True)
class UnpricedFeature(Refusal):
    """A tier, tool, modality, beta or place without a price; param names the field or header."""

    reason = "unpriced_feature"
    feature: str


@dataclass(eq=False, kw_only=True)
class OutputTooLong(Refusal):
    """The client's own bound is above the agent's."""

    reason = "output_too_long"
    agent: str
    asked_tokens: int
    max_tokens: int


@dataclass(eq=False, kw_only=True)
class AgentRequired(Refusal):
    """The key needs a header that names the agent, session or user; param is that header."""

    reason = "agent_required"


@dataclass(eq=False, kw_only=True)
class Malformed(Refusal):
    """The request cannot be read. problem: a clause such as "'messages' must be a list"."""

    reason = "malformed"
    problem: str


@dataclass(eq=False, kw_only=True)
class UpgradeAsked(Malformed):
    """It asks to change to another protocol, so the server did not read its body."""

    ends_connection = True


@dataclass(eq=False, kw_only=True)
class KeyMissing(Refusal):
    """No key at all."""

    reason = "key_missing"


@dataclass(eq=False, kw_only=True)
class KeyMalformed(Refusal):
    """Not the form of one of our keys, or two different keys in one request."""

    reason = "key_malformed"


@dataclass(eq=False, kw_only=True)
class KeyAmbiguous(Refusal):
    """A provider's own key that more than one organisation connected."""

    reason = "key_ambiguous"


@dataclass(eq=False, kw_only=True)
class KeyUnknown(Refusal):
    """The right form, but no such key."""

    reason = "key_unknown"


@dataclass(eq=False, kw_only=True)
class KeyRevoked(Refusal):
    """Revoked by a person. shown: the masked key; page: where keys of its kind are made."""

    reason = "key_revoked"
    shown: str = ""
    page: str = AGENTS_PAGE


@dataclass(eq=False, kw_only=True)
class KeyExpired(Refusal):
    """Its expiry has passed. shown: the masked key; page: where keys of its kind are made."""

    reason = "key_expired"
    shown: str = ""
    page: str = AGENTS_PAGE


@dataclass(eq=False, kw_only=True)
class UnknownPath(Refusal):
    """No such path or method. base_url: the right one for this client."""

    reason = "unknown_path"
    method: str
    path: str
    base_url: str


@dataclass(eq=False, kw_only=True)
class NotFound(Refusal):
    """A call, session or response that this caller does not have. what: "call 01J…"."""

    reason = "not_found"
    what: str


@dataclass(eq=False, kw_only=True)
class BodyTooLarge(Refusal):
    """More bytes than we read."""

    reason = "body_too_large"
    ends_connection = True
    max_bytes: int


@dataclass(eq=False, kw_only=True)
class EncodingUnsupported(Refusal):
    """A Content-Encoding other than identity."""

    reason = "encoding_unsupported"
    encoding: str


@dataclass(eq=False, kw_only=True)
class UpstreamUnreachable(Refusal):
    """No connection, or a reset. sent: whether any of the body may have reached the provider."""

    reason = "provider_unreachable"
    provider: str
    sent: bool = False

    @property
    def should_retry(self) -> bool:
        """Only when the provider cannot have billed."""
        return not self.sent


@dataclass(eq=False, kw_only=True)
class UpstreamKeyRejected(Refusal):
    """The provider answered 401 or 403: our stored key, not the caller's."""

    reason = "provider_key_rejected"
    provider: str
    page: str = ""


@dataclass(eq=False, kw_only=True)
class UpstreamCut(Refusal):
    """The provider's answer ended early; sent as the last event of a stream."""

    reason = "provider_cut"
    provider: str


@dataclass(eq=False, kw_only=True)
class Interrupted(Refusal):
    """The call ran, and this process cannot bring its answer: it stops, or something in it failed."""

    reason = "interrupted"


@dataclass(eq=False, kw_only=True)
class UpstreamTimeout(Refusal):
    """The provider did not answer in time. waited_seconds: for how long we waited."""

    reason = "provider_timeout"
    provider: str
    waited_seconds: int


@dataclass(eq=False, kw_only=True)
class LedgerAway(Refusal):
    """PostgreSQL does not answer: nothing can be reserved, so nothing passes."""

    reason = "ledger_away"


@dataclass(eq=False, kw_only=True)
class Overloaded(Refusal):
    """More calls at once than this process takes."""

    reason = "overloaded"
