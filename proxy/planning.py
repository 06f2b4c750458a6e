"""From a request to the most it can cost: who answers, under which output bound, at which rates; nothing is held."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agents import pricing
from agents.callers import Caller
from agents.ledger.terms import USD_PICO_MAX
from agents.money import usd_display
from agents.pricing import Bound, PriceRow
from proxy import bounds
from proxy.errors import UnboundedCall, UnpricedFeature
from proxy.prices import Prices
from proxy.providers import registry
from proxy.providers.shape import ModelRequest, Outgoing, Route, Target

# The call is settled by the database's clock; this process's own may be wrong by so much around a change of price.
CLOCK_ERROR = timedelta(minutes=15)
_NOTHING = Bound(input_tokens=0, output_tokens=0)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one call would be forwarded.

    output_cap: tokens for one choice; added_cap: it is ours, the client named none; useful_cap: the lowest of ours
    that leaves room for an answer.
    """

    caller: Caller
    route: Route
    request: ModelRequest
    target: Target
    outgoing: Outgoing
    rows: tuple[PriceRow, ...]
    output_cap: int
    added_cap: bool
    useful_cap: int
    bound: Bound
    ceiling_pico: int
    price_version: str

    @property
    def tokens_max(self) -> int:
        """Tokens read and written at most."""
        return self.bound.input_tokens + self.bound.output_tokens

    @property
    def body(self) -> bytes:
        """What is sent."""
        return self.outgoing.send(self.output_cap if self.added_cap else None)

    def affordable_cap(self, available_pico: int) -> int:
        """The output bound for one choice that an amount buys; 0 when not even the input fits."""
        request = self.request
        # The number itself is part of the body: a shorter one never makes it longer.
        bound = self.outgoing.bound(self.output_cap)
        tokens = pricing.affordable_output(self.rows, bound, request.tiers, request.speed, request.geo, available_pico)
        return max(0, tokens // request.choices - request.extra_output_tokens)

    def with_cap(self, output_cap: int) -> "Plan":
        """The same call under another bound of ours."""
        bound = self.outgoing.bound(output_cap)
        return replace(self, output_cap=output_cap, bound=bound, ceiling_pico=_ceiling(self.rows, self.request, bound))


def make_plan(
    prices: Prices, caller: Caller, route: Route, request: ModelRequest, *, now: datetime, seconds_max: float
) -> Plan:
    """Choose the target and compute the ceiling; raises the refusals that need no ledger.

    now: aware; seconds_max: how long the call may run, since the price may change meanwhile.
    """
    target = choose_target(prices, caller, route, request.model)
    last = now + timedelta(seconds=seconds_max) + CLOCK_ERROR
    rows = tuple(prices.rows_between(target.provider, target.model, now - CLOCK_ERROR, last))
    outgoing = registry.module_of(route.endpoint).prepare(request, target)
    added = request.output_cap is None
    cap = _default_cap(rows, caller) if request.output_cap is None else request.output_cap
    bound = outgoing.bound(cap)
    return Plan(
        caller=caller,
        route=route,
        request=request,
        target=target,
        outgoing=outgoing,
        rows=rows,
        output_cap=cap,
        added_cap=added,
        useful_cap=min(bounds.USEFUL_CAP_MIN, cap),
        bound=bound,
        ceiling_pico=_ceiling(rows, request, bound),
        price_version=prices.version,
    )


def free_plan(prices: Prices, caller: Caller, route: Route, request: ModelRequest) -> Plan:
    """How a request of an endpoint that costs nothing is forwarded."""
    target = choose_target(prices, caller, route, request.model)
    outgoing = registry.module_of(route.endpoint).prepare(request, target)
    return Plan(caller, route, request, target, outgoing, (), 0, False, 0, _NOTHING, 0, prices.version)


def choose_target(prices: Prices, caller: Caller, route: Route, model: str) -> Target:
    """Who answers: the sandbox for a test key, else a connected provider."""
    if caller.practice:
        return registry.sandbox_target(model, route.endpoint, priced=prices.has)
    return registry.choose_target(model, route.endpoint, connected=list(caller.credentials), priced=prices.has)


def can_serve(prices: Prices, caller: Caller, route: Route) -> list[str]:
    """The priced models that the caller can reach in the route's dialect."""
    speakers = registry.PROVIDERS[route.endpoint.dialect]
    connected = [name for name in speakers if caller.practice or name in caller.credentials]
    return [model for name in connected for model in prices.book.models(name)]


def _default_cap(rows: tuple[PriceRow, ...], caller: Caller) -> int:
    limits = [row.output_limit for row in rows if row.output_limit is not None]
    return bounds.added_cap(model_max=min(limits, default=None), default_cap=caller.default_output, affordable=None)


def _ceiling(rows: tuple[PriceRow, ...], request: ModelRequest, bound: Bound) -> int:
    try:
        ceiling = pricing.ceiling_pico(rows, bound, request.tiers, request.speed, request.geo)
    except pricing.UnpricedFeature as error:
        raise UnpricedFeature(feature=error.name) from error
    if ceiling > USD_PICO_MAX:
        raise UnboundedCall(
            what=f"it may cost up to {usd_display(ceiling)}, more than any call may", param="max_tokens"
        )
    return ceiling
