"""Which provider answers a model: what each provider serves, and the rules by which one is chosen (product.md W4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from proxy.errors import Dialect, Malformed, ProviderNotConnected, UnpricedModel, UnsupportedEndpoint
from proxy.providers.gemini.vision import image_tokens as gemini_image_tokens
from proxy.providers.shape import COMPATIBLE, Endpoint, Priced, Target, Traits

_WHERE = {Dialect.OPENAI: "/v1/chat/completions", Dialect.ANTHROPIC: "/v1/messages", Dialect.GEMINI: "/gemini/v1beta"}


@dataclass(frozen=True, slots=True)
class Provider:
    """What can be asked of a provider.

    speaks: where each of its dialects begins, below its base URL. endpoints: those it serves of a dialect, by name;
    a dialect that is not named there is served whole.
    """

    name: str
    speaks: Mapping[Dialect, str]
    traits: Traits = COMPATIBLE
    endpoints: Mapping[Dialect, frozenset[str]] = MappingProxyType({})

    def serves(self, endpoint: Endpoint) -> bool:
        """Whether it answers requests of this form."""
        if endpoint.dialect not in self.speaks:
            return False
        served = self.endpoints.get(endpoint.dialect)
        return served is None or endpoint.name in served

    def target(self, model: str, dialect: Dialect) -> Target:
        """Its model as the one who answers."""
        return Target(self.name, model, self.traits, self.speaks[dialect])


OPENAI = Provider("openai", {Dialect.OPENAI: ""}, Traits(cap_field="max_completion_tokens", pins_tier=True))
ANTHROPIC = Provider("anthropic", {Dialect.ANTHROPIC: ""})
GOOGLE = Provider(
    "google",
    {Dialect.GEMINI: "", Dialect.OPENAI: "/v1beta/openai"},
    Traits(image_tokens=gemini_image_tokens, bad_key=b"API_KEY_INVALID"),
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
        return exact[0].target(model, endpoint.dialect)
    first, _, rest = model.partition("/")
    for provider in speakers:
        if rest and provider.name == first and priced(first, rest):
            return provider.target(rest, endpoint.dialect)
    raise _why_nobody(model, endpoint, connected=connected, priced=priced)


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
    return UnpricedModel(model=model)
