"""What a module reads in a request, before it is known who answers."""

from collections.abc import Mapping
from dataclasses import field, replace

from accounts.records import record
from agents.pricing import Bound
from proxy.bounds import Hidden
from proxy.providers.endpoints import Endpoint
from proxy.providers.multipart import Form
from proxy.providers.parsing import JsonObject
from proxy.providers.traits import COMPATIBLE, Traits

EVENT_STREAM, JSON_ARRAY = "text/event-stream", "application/json"
NOTHING = Bound(input_tokens=0, output_tokens=0)


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
