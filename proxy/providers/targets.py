"""Which provider answers a model: what each provider serves, and the rules by which one is chosen (product.md W4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from accounts.records import record
from proxy.errors import (
    Dialect,
    Malformed,
    ProviderNotConnected,
    UnpricedFeature,
    UnpricedModel,
    UnsupportedEndpoint,
)
from proxy.providers.endpoints import Endpoint
from proxy.providers.gemini.vision import image_tokens as gemini_image_tokens
from proxy.providers.traits import COMPATIBLE, Traits

Priced = Callable[[str, str], bool]

_WHERE = {Dialect.OPENAI: "/v1/chat/completions", Dialect.ANTHROPIC: "/v1/messages", Dialect.GEMINI: "/gemini/v1beta"}


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


@dataclass(frozen=True, slots=True)
class Provider:
    """What can be asked of a provider.

    speaks: where each of its dialects begins, below its base URL; {model} stands for the model's id. endpoints: those
    it serves of a dialect, by name; a dialect that is not named there is served whole. query: what its addresses end
    in. prices: the provider of the price book whose rows apply, None for its own. deployments: the book's model of
    each id that clients may ask for, where those are names that the organisation gave. upstream: Listing.
    """

    name: str
    speaks: Mapping[Dialect, str]
    traits: Traits = COMPATIBLE
    endpoints: Mapping[Dialect, frozenset[str]] = MappingProxyType({})
    query: str = ""
    prices: str | None = None
    deployments: Mapping[str, str] | None = None
    upstream: str = ""

    def serves(self, endpoint: Endpoint) -> bool:
        """Whether it answers requests of this form."""
        if endpoint.dialect not in self.speaks:
            return False
        served = self.endpoints.get(endpoint.dialect)
        return served is None or endpoint.name in served

    def target(self, model: str, dialect: Dialect) -> Target:
        """Its model as the one who answers."""
        base_path = self.speaks[dialect].replace("{model}", quote(model, safe=""))
        own = Listing(self.name, model) if self.prices is None else self.listing(model)
        return Target(self.name, model, self.traits, base_path, self.query, own_listing=own)

    def listing(self, model: str) -> Listing:
        """Where the price book has one of its models; under no name where it has none."""
        provider = self.name if self.prices is None else self.prices
        listed = model if self.deployments is None else self.deployments.get(model, "")
        return Listing(provider, listed, self.upstream)


OPENAI = Provider("openai", {Dialect.OPENAI: ""}, Traits(cap_field="max_completion_tokens", pins_tier=True))
ANTHROPIC = Provider("anthropic", {Dialect.ANTHROPIC: ""})
GOOGLE = Provider(
    "google",
    {Dialect.GEMINI: "", Dialect.OPENAI: "/v1beta/openai"},
    Traits(image_tokens=gemini_image_tokens, bad_key=b"API_KEY_INVALID", tier_header="x-gemini-service-tier"),
    endpoints={Dialect.OPENAI: frozenset({"chat", "embeddings"})},
)
# In the order in which a model is looked up.
BUILT_IN: Mapping[str, Provider] = MappingProxyType({one.name: one for one in (OPENAI, ANTHROPIC, GOOGLE)})


def choose_target(model: str, endpoint: Endpoint, *, connected: Sequence[Provider], priced: Priced) -> Target:
    """Who answers a model: the exact id in a connected provider's list, then a first segment that names one.

    priced: whether there are rates for (provider, model). Raises the refusal that says what is missing.
    """
    speakers = [provider for provider in connected if provider.serves(endpoint)]
    exact = [provider for provider in speakers if priced(provider.name, model)]
    if len(exact) > 1:
        names = " and ".join(f"{provider.name}/{model}" for provider in exact)
        raise Malformed(problem=f"two providers have the model; ask for {names}", param="model")
    if exact:
        return _allowed(exact[0].target(model, endpoint.dialect))
    first, _, rest = model.partition("/")
    for provider in speakers:
        if rest and provider.name == first and priced(first, rest):
            return _allowed(provider.target(rest, endpoint.dialect))
    raise _why_nobody(model, endpoint, connected=connected, priced=priced)


def _allowed(target: Target) -> Target:
    """The target, unless its model chooses others or calls tools by itself; a price says nothing about those."""
    if any(fnmatchcase(target.model.lower(), pattern) for pattern in target.traits.refused_models):
        raise UnpricedFeature(
            feature=f"the model {target.model!r} of {target.provider}", param="model",
            hint="It chooses other models or uses tools by itself. Name a plain model.",
        )  # fmt: skip
    return target


def _why_nobody(
    model: str, endpoint: Endpoint, *, connected: Sequence[Provider], priced: Priced
) -> UnpricedModel | ProviderNotConnected | UnsupportedEndpoint:
    first, _, rest = model.partition("/")
    known = {provider.name: provider for provider in (*BUILT_IN.values(), *connected)}
    owners = [
        one for one in known.values() if priced(one.name, model) or (rest and first == one.name and priced(first, rest))
    ]
    here = [provider for provider in owners if provider.serves(endpoint)]
    if here:
        return ProviderNotConnected(provider=here[0].name)
    if owners:
        where = _WHERE[next(iter(owners[0].speaks))]
        return UnsupportedEndpoint(
            endpoint=f"{model} at {endpoint.path}", param="model", hint=f"Call {where} for this model."
        )
    if rest and any(one.name == first and one.serves(endpoint) for one in connected):
        return UnpricedModel(model=rest, provider=first)
    return UnpricedModel(model=model)
