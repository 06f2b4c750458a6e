"""The shape of a provider module: what it is given, what it gives back. Nothing here does I/O."""

from collections.abc import Mapping
from typing import Protocol

from proxy.errors import Dialect
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.metered import Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.outgoing import Outgoing
from proxy.providers.targets import Target


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
