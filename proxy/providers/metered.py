"""What an answer says about its bill, whole or as a stream goes by."""

from dataclasses import field, replace
from enum import StrEnum
from typing import Protocol

from accounts.records import record
from agents.pricing import Circumstances, Usage
from proxy.providers.parsing import JsonObject


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
