"""A request as a target is sent it, and the bound that its ceiling is computed from."""

from dataclasses import dataclass, replace

from agents.pricing import Bound
from proxy.providers.model_request import NOTHING, ModelRequest
from proxy.providers.rewriting import cap_bytes, with_cap, with_lower_cap
from proxy.providers.targets import Target


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
