"""The shape of a provider module: what it is given, what it gives back. Nothing here does I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from accounts.records import record
from agents.pricing import Bound, Circumstances, Usage
from proxy.bounds import Hidden, Image
from proxy.errors import Dialect
from proxy.providers.multipart import Form
from proxy.providers.rewriting import cap_bytes, with_cap, with_lower_cap

JsonObject = dict[str, Any]
EVENT_STREAM, JSON_ARRAY = "text/event-stream", "application/json"
NOTHING = Bound(input_tokens=0, output_tokens=0)


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One path that is forwarded; a constant, which every call looks up by what it is and not by what it holds.

    name: "chat", "responses", "messages", "generate_content", "models" …: also the endpoint kind in the book.
    path: below /proxy; upstream_path: below the provider's base URL for the dialect ({id}: one item's id).
    priced: False for endpoints that cost nothing: no reservation is made. stored: its item is an answer that the
    provider keeps, for the agent that made it alone.
    kept: whether its answers may be given again to an agent that has the cache on.
    """

    name: str
    dialect: Dialect
    method: str
    path: str
    upstream_path: str
    priced: bool = True
    stored: bool = False
    kept: bool = True


@record()
class Route:
    """A request's endpoint.

    item: the id in its path, empty where it has none. query: what of the client's query string a provider may see.
    """

    endpoint: Endpoint
    item: str = ""
    query: str = ""

    @property
    def upstream_path(self) -> str:
        """The path below the provider's base URL."""
        return self.endpoint.upstream_path.replace("{id}", self.item)

    @property
    def is_read(self) -> bool:
        """Whether it asks for something that exists, without a body."""
        return self.endpoint.method != "POST"


@dataclass(frozen=True, slots=True)
class Traits:
    """How a provider that speaks OpenAI's dialect differs from the plain form that compatible providers share.

    cap_field: the name it reads a chat's output bound under. pins_tier: a service tier that is left out or "auto"
    is the account's to choose, so that it must be named. bills_errors: it charges for what it has read also where
    it answers with an error (Azure). image_tokens: the bound of a model's images, where they are not counted as
    OpenAI's. bad_key: what its 400 says when it means our key; empty where it answers 401 or 403. template_tokens:
    what it may put around a conversation unseen. takes_stream_options: False where it rejects that field. usage_of:
    in whose form it reports usage (usage.read_usage). limits_price: it is told the most that it may pay. key_header:
    holds its key; empty: as the dialect has it. refused_models: patterns; refused_fields: names. moderates: its 403 is
    about what was asked, not about the key.
    """

    cap_field: str = "max_tokens"
    pins_tier: bool = False
    bills_errors: bool = False
    image_tokens: Callable[[str, tuple[Image, ...]], int] | None = None
    bad_key: bytes = b""
    template_tokens: int = 0
    takes_stream_options: bool = True
    usage_of: str = "openai"
    limits_price: bool = False
    key_header: str = ""
    refused_models: tuple[str, ...] = ()
    refused_fields: frozenset[str] = frozenset()
    moderates: bool = False


COMPATIBLE = Traits()


@record()
class Listing:
    """Where the price book has a model's price, and whom bills can prove wrong.

    provider, model: as the book names them. upstream: the credential, where the organisation chose the address itself:
    what such a provider bills says nothing about the price for anybody else. Empty for one that all share.
    """

    provider: str
    model: str
    upstream: str = ""


@record()
class Target:
    """Who answers: a provider, and the model's id there.

    base_path: where the provider speaks the dialect, below its base URL; query: what its addresses end in.
    added: fields that its requests have whatever the client wrote. own_listing: where the book has the model under
    other names than these.
    """

    provider: str
    model: str
    traits: Traits = field(default=COMPATIBLE, compare=False)
    base_path: str = field(default="", compare=False)
    query: str = field(default="", compare=False)
    added: Mapping[str, Any] = field(default_factory=dict, compare=False)
    own_listing: Listing | None = field(default=None, compare=False)

    @property
    def listing(self) -> Listing:
        """Where its price stands."""
        return self.own_listing or Listing(self.provider, self.model)


@record()
class CallFacts:
    """What a call row keeps of the request beside money; no text.

    body_fingerprint, last_message_fingerprint: 16 hex digits, equal for equal content.
    """

    system_prompt_bytes: int = 0
    body_fingerprint: str = ""
    last_message_fingerprint: str = ""


@record()
class ModelRequest:
    """A request that was read and found to be boundable and priceable as far as its body tells.

    body: as the client sent it; never changed, and emptied once it is sent.
    output_cap: the client's own bound in tokens for one choice; None when it named none.
    output_cap_least: that bound cannot be lowered below this without breaking the request (a thinking budget).
    default_cap: the API's own bound where none is named; ours is never above it.
    choices: how many answers it asks for (`n`).
    tier, speed, geo: what it asks for, in the price book's words.
    stream_type: what the content type of a streamed answer begins with; an answer of another type is read whole.
    streams_any: its answer passes as it comes, whatever it is (audio); without events, a cut can only be told by
    breaking the connection.
    wants_usage: False when a streaming client did not ask for usage, so that it must see none.
    extra_output_tokens: output billed beside the cap, for one choice (rejected predictions).
    hosted_tools: uses at most, by fee name, of the tools that the provider runs itself; 0 where the body names no
    bound. Before `prepare` each has one.
    beside: what the bound holds beside tokens of text: characters, duration, kinds of media.
    form: where the body is a form: its parts; `body` then holds those of its fields that are no files.
    user: the end user the body names, if any.
    keeps: the provider keeps the answer under its id. previous_id: the kept answer that it continues.
    leaves_out: it reads less than its input holds, which a call that continues it may read all the same. reads_all: it
    also reads what the answers before it left out.
    named_items: parts of kept answers that the input holds by their ids alone, with the fields they stand in.
    usage_of: in whose form the one who answers reports usage (Traits); OpenAI's until that is known (planning).
    """

    endpoint: Endpoint
    model: str
    body: JsonObject
    stream: bool = False
    stream_type: str = EVENT_STREAM
    output_cap: int | None = None
    output_cap_least: int = 0
    default_cap: int | None = None
    choices: int = 1
    tier: str = "default"
    speed: str = "standard"
    geo: str = "global"
    streams_any: bool = False
    wants_usage: bool = True
    cache_ttl_long: bool = False
    extra_output_tokens: int = 0
    hosted_tools: Mapping[str, int] = field(default_factory=dict)
    hidden: Hidden = Hidden()
    beside: Bound = NOTHING
    form: Form | None = field(default=None, repr=False)
    user: str | None = None
    keeps: bool = False
    previous_id: str = ""
    leaves_out: bool = False
    reads_all: bool = False
    named_items: tuple[tuple[str, str], ...] = ()
    facts: CallFacts = CallFacts()
    usage_of: str = COMPATIBLE.usage_of

    def answered_by(self, traits: Traits) -> "ModelRequest":
        """The request once it is known who answers."""
        return self if traits.usage_of == self.usage_of else replace(self, usage_of=traits.usage_of)

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers whose price may come to apply."""
        return ("default",) if self.tier == "default" else (self.tier, "default")


@dataclass(slots=True)
class Outgoing:
    """A request on its way to a target: serialised once, with every change but an added output bound.

    Nothing of it changes, but that its texts are let go of when they are sent.

    body: what is sent when the client named its own bound.
    input_tokens: the upper bound of what `body` makes the model read; `bound` adds the bytes of an added output bound.
    cap_field: the body's field for an output bound that we add or lower, empty where there is none; cap_aliases: other
    names of the same, which the client may have used as well. cap_parent: the member of the body that holds that field,
    empty for the body itself; it stands last where the bound is ours to add.
    path: below the provider's base URL, where it is not the route's. content_type: of `body`.
    """

    request: ModelRequest
    target: Target
    body: bytes
    input_tokens: int
    cap_field: str
    cap_aliases: tuple[str, ...] = ()
    cap_parent: str = ""
    path: str | None = None
    content_type: str = "application/json"

    def bound(self, output_cap: int) -> Bound:
        """What the ceiling is computed from. output_cap: tokens for one choice.

        To ask what an amount buys, give bounds.CAP_MAX: its digits are the longest.
        """
        request = self.request
        read = self.input_tokens
        if request.output_cap is None and request.endpoint.priced:
            read += cap_bytes(self.cap_field, output_cap)
        written = (output_cap + request.extra_output_tokens) * request.choices
        if request.beside is NOTHING:
            return Bound(read, written, cache_ttl_long=request.cache_ttl_long, tools=request.hosted_tools)
        return replace(
            request.beside, input_tokens=read, output_tokens=written, cache_ttl_long=request.cache_ttl_long,
            tools=request.hosted_tools,
        )  # fmt: skip

    def send(self, output_cap: int | None = None) -> bytes:
        """The bytes to forward. output_cap: only when it is not the client's own (added or lowered)."""
        if output_cap is None or output_cap == self.request.output_cap:
            return self.body
        if self.request.output_cap is None:
            return with_cap(self.body, self.cap_field, output_cap, nested=bool(self.cap_parent))
        return with_lower_cap(self.body, (self.cap_field, *self.cap_aliases), output_cap, parent=self.cap_parent)

    def release(self) -> None:
        """Let go of the texts, which nobody needs once they are sent: prompts are long, and so are streams."""
        self.body = b""
        self.request.body.clear()
        if self.request.form is not None:
            self.request.form.clear()


class Basis(StrEnum):
    """How much of the bill the answer told."""

    USAGE = "usage"
    INPUT_ONLY = "input_only"
    NONE = "none"


@record()
class Metered:
    """What an answer said about itself.

    usage: None when it said nothing usable; with INPUT_ONLY its output is what was seen so far.
    problem: why usage could not be read, for the log.
    served_model: the model id the answer names, None when it names none.
    provider_id: the answer's own id. finished: it ended as its protocol says it must.
    error: the message of an error event inside the stream.
    raw_usage: kept only where the basis is not usage or a key was unknown.
    kept_items: of an answer that its provider keeps, the parts that later calls may name by their ids, and the tokens
    that each is at most. flags: what a person should look at.
    """

    usage: Usage | None = None
    circumstances: Circumstances = Circumstances()
    basis: Basis = Basis.NONE
    served_model: str | None = None
    provider_id: str | None = None
    finish_reason: str | None = None
    tool_call_count: int = 0
    finished: bool = False
    error: str | None = None
    problem: str | None = None
    raw_usage: JsonObject | None = field(default=None, repr=False)
    kept_items: tuple[tuple[str, int], ...] = ()
    flags: tuple[str, ...] = ()

    def charged_usage(self, output_tokens: int) -> Usage | None:
        """The usage to price: as told, or the input told and the whole output bound; None: charge the ceiling.

        output_tokens: of the bound that was sent, all choices.
        """
        if self.usage is None or self.basis is Basis.USAGE:
            return self.usage
        return replace(self.usage, output=max(output_tokens, self.usage.output))


class StreamMeter(Protocol):
    """Watches a stream go by. One for each call; constant work for each chunk."""

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from the provider, give the bytes the client may see now (possibly none)."""
        ...

    def flush(self) -> bytes:
        """What is still held back when the provider's stream has ended; call once, before finish."""
        ...

    def finish(self) -> Metered:
        """What the stream said about itself. Can be called at any time, also after a cut."""
        ...


class Surface(Protocol):
    """One file of proxy/providers for each form of request: it reads, bounds, rewrites and meters."""

    @property
    def ENDPOINTS(self) -> tuple[Endpoint, ...]:  # noqa: N802
        """The endpoints it reads (a constant of the module)."""
        ...

    def read_request(self, route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
        """Read and check a request; raises the refusals of proxy.errors. headers: of headers.read_headers."""
        ...

    def prepare(self, request: ModelRequest, target: Target) -> Outgoing:
        """Serialise for a target and bound the input; raises UnboundedCall for what its model cannot bound."""
        ...

    def read_answer(self, request: ModelRequest, body: bytes) -> Metered:
        """Meter a whole answer with status 200."""
        ...

    def stream_meter(self, request: ModelRequest) -> StreamMeter:
        """A meter for a streamed answer with status 200."""
        ...


class Manners(Protocol):
    """What all surfaces of a dialect share: one file for each dialect."""

    @property
    def DIALECT(self) -> Dialect:  # noqa: N802
        """The dialect (a constant of the module)."""
        ...

    @property
    def ENDPOINTS(self) -> tuple[Endpoint, ...]:  # noqa: N802
        """The list of models and one of them, which we answer ourselves (a constant of the module)."""
        ...

    def key_headers(self, key: str) -> list[tuple[str, str]]:
        """The headers that carry the provider's key."""
        ...

    def render_models(self, models: list[str], item: str = "") -> bytes | None:
        """A list of models (or one, or None when it is not among them) in the dialect."""
        ...


Priced = Callable[[str, str], bool]
