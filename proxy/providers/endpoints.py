"""An endpoint of a provider's API that is forwarded, and the one that a request is for."""

from dataclasses import dataclass

from accounts.records import record
from proxy.errors import Dialect


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
