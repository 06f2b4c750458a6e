"""How a provider that speaks OpenAI's dialect differs from the plain form."""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.bounds import Image


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
    about what was asked, not about the key. tier_header: names in its answers the tier that served.
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
    tier_header: str = ""


COMPATIBLE = Traits()
