"""From a request to the most it can cost: who answers, under which output bound, at which rates; nothing is held."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from accounts.records import record
from agents import pricing
from agents.callers import Caller
from agents.ledger.terms import USD_PICO_MAX
from agents.money import usd_display
from agents.pricing import Bound, PriceRow
from agents.pricing.custom import is_custom
from proxy import allowance, bounds
from proxy.errors import UnboundedCall, UnpricedFeature
from proxy.prices import Prices
from proxy.providers import registry, targets
from proxy.providers.compatible import custom_provider
from proxy.providers.endpoints import Route
from proxy.providers.model_request import NOTHING, ModelRequest
from proxy.providers.outgoing import Outgoing
from proxy.providers.price_limit import with_price_limit
from proxy.providers.targets import Provider, Target

# The call is settled by the database's clock; this process's own may be wrong by so much around a change of price.
CLOCK_ERROR = timedelta(minutes=15)
# What a model answers with, by its row; such tokens cost more than text, and their number is not bounded by its cap.
_MEDIA_KINDS = frozenset({"image", "speech"})
_TEXT_ENDPOINTS = frozenset({"chat", "completions", "responses", "generate_content", "stream_generate_content"})
# Targets that one snapshot keeps, and how long a model's name may be; a process keeps twenty thousand snapshots.
TARGETS_MAX = 8
KEPT_NAME_LENGTH_MAX = 128
_OWN_RATE_HINT = "The model has a rate of its own, which is for plain calls of the standard tier."


@record()
class Plan:
    """How one call would be forwarded.

    output_cap: tokens for one choice. may_shrink: it may be lowered, because it is ours or because the agent clamps
    what its clients name; useful_cap: not below this, so that there is room for an answer.
    counted: the input bound comes from a tokenizer, else from bytes.
    """

    caller: Caller
    route: Route
    request: ModelRequest
    target: Target
    outgoing: Outgoing
    rows: tuple[PriceRow, ...]
    output_cap: int
    may_shrink: bool
    useful_cap: int
    bound: Bound
    ceiling_pico: int
    price_version: str
    counted: bool = False

    @property
    def tokens_max(self) -> int:
        """Tokens read and written at most."""
        read, written = self.reach
        return read + written

    @property
    def reach(self) -> tuple[int, int]:
        """Tokens read and tokens written at most, what hosted tools feed back included."""
        return pricing.tokens_max(self.rows, self.bound)

    @property
    def our_cap(self) -> int | None:
        """The output bound, where it is not as the client named it: added or lowered."""
        return None if self.output_cap == self.request.output_cap or not self.may_shrink else self.output_cap

    @property
    def priced_model(self) -> str:
        """The model as the price book names it: one for all the names by which clients call it."""
        return self.rows[0].model

    @property
    def body(self) -> bytes:
        """What is sent."""
        return self.outgoing.send(self.our_cap)

    def most_of(self, unit: str) -> int:
        """What the call asks of a budget at most. unit: "usd" (pico-dollars) or "tokens"."""
        return self.ceiling_pico if unit == "usd" else self.tokens_max

    def affordable_cap(self, available: int, unit: str) -> int:
        """The output bound for one choice that an amount of the unit buys; 0 when not even the input fits."""
        request = self.request
        if not self.outgoing.cap_field:
            return 0
        # The number itself is part of the body: a shorter one never makes it longer.
        bound = self.outgoing.bound(self.output_cap)
        if unit == "usd":
            tokens = pricing.affordable_output(self.rows, bound, request.tiers, request.speed, request.geo, available)
        else:
            read, written_for_each = pricing.tokens_max(self.rows, replace(bound, output_tokens=1))
            tokens = (available - read) // written_for_each
        return max(0, tokens // request.choices - request.extra_output_tokens)

    def smaller_cap(self, available: int, unit: str) -> int | None:
        """A lower output bound that an amount of the unit buys, where the call may have one and it is still useful."""
        if not self.may_shrink:
            return None
        cap = self.affordable_cap(available, unit)
        if cap < self.useful_cap and self.least.most_of(unit) <= available:
            cap = self.useful_cap  # its number is shorter, and so is the body
        return cap if self.useful_cap <= cap < self.output_cap else None

    def with_cap(self, output_cap: int) -> "Plan":
        """The same call under another output bound."""
        bound = self.outgoing.bound(output_cap)
        return replace(self, output_cap=output_cap, bound=bound, ceiling_pico=_ceiling(self.rows, self.request, bound))

    def with_counted(self, text_tokens: int) -> "Plan":
        """The same call with its text bounded by a count and not by its bytes; images keep their bound."""
        by_bytes = bounds.input_tokens(len(self.outgoing.body), self.request.hidden, 0)
        outgoing = replace(self.outgoing, input_tokens=self.outgoing.input_tokens - by_bytes + text_tokens)
        return replace(self, outgoing=outgoing, counted=True).with_cap(self.output_cap)

    @property
    def least(self) -> "Plan":
        """The same call under the lowest output bound that it may have."""
        return self.with_cap(self.useful_cap) if self.may_shrink else self


def make_plan(
    prices: Prices, caller: Caller, route: Route, request: ModelRequest, *, now: datetime, seconds_max: float
) -> Plan:
    """Choose the target and compute the ceiling; raises the refusals that need no ledger.

    now: aware; seconds_max: how long the call may run, since the price may change meanwhile.
    """
    caller = caller.with_own_key(request.model)
    target = choose_target(prices, caller, route, request.model)
    allowance.check_model(caller, target)
    request = allowance.with_tool_uses(caller, request).answered_by(target.traits)
    until = now + timedelta(seconds=seconds_max) + CLOCK_ERROR
    rows = tuple(prices.rows_between(target, now - CLOCK_ERROR, until, caller.rates))
    _check_kind(rows, route)
    target = with_price_limit(target, rows)
    outgoing = registry.surface_of(route.endpoint).prepare(request, target)
    cap = allowance.output_cap(caller, request, model_max=_model_max(rows))
    bound = outgoing.bound(cap)
    return Plan(
        caller=caller,
        route=route,
        request=request,
        target=target,
        outgoing=outgoing,
        rows=rows,
        output_cap=cap,
        may_shrink=bool(outgoing.cap_field) and (request.output_cap is None or caller.guards.clamp_output),
        useful_cap=min(cap, max(bounds.USEFUL_CAP_MIN, request.output_cap_least)),
        bound=bound,
        ceiling_pico=_ceiling(rows, request, bound),
        price_version=prices.version,
    )


def within_limits(plan: Plan) -> Plan:
    """The plan under what its agent may take for one call; raises CallTooExpensive.

    An output bound that may shrink does so first.
    """
    caller, guards = plan.caller, plan.caller.guards
    input_max = guards.max_input_tokens
    if input_max is not None:
        input_tokens, _ = plan.reach
        if input_tokens > input_max:
            raise allowance.over_limit(caller, "tokens", limit=input_max, asked=input_tokens)
    most_pico = guards.max_ceiling_pico
    if most_pico is None or plan.ceiling_pico <= most_pico:
        return plan
    if (cap := plan.smaller_cap(most_pico, "usd")) is not None:
        return plan.with_cap(cap)
    affordable = plan.affordable_cap(most_pico, "usd") or None
    raise allowance.over_limit(caller, "usd", limit=most_pico, asked=plan.least.ceiling_pico, affordable=affordable)


def free_plan(prices: Prices, caller: Caller, route: Route, request: ModelRequest) -> Plan:
    """How a request of an endpoint that costs nothing is forwarded."""
    caller = caller.with_own_key(request.model)
    target = choose_target(prices, caller, route, request.model)
    allowance.check_model(caller, target)
    return free_plan_for(prices, caller, route, request, target)


def free_plan_for(prices: Prices, caller: Caller, route: Route, request: ModelRequest, target: Target) -> Plan:
    """The same where it is known who answers."""
    request = request.answered_by(target.traits)
    outgoing = registry.surface_of(route.endpoint).prepare(request, target)
    return Plan(
        caller=caller, route=route, request=request, target=target, outgoing=outgoing, rows=(), output_cap=0,
        may_shrink=False, useful_cap=0, bound=NOTHING, ceiling_pico=0, price_version=prices.version,
    )  # fmt: skip


def choose_target(prices: Prices, caller: Caller, route: Route, model: str) -> Target:
    """Who answers: the sandbox for a test key, else a connected provider.

    It follows from the book and the snapshot alone, so a snapshot's calls find it worked out; what bills prove wrong
    is looked at with the rows, for every call.
    """
    key = prices, route.endpoint, model
    known: Target | None = caller.derived.get(key)
    if known is not None:
        return known
    target = _chosen(prices, caller, route, model)
    if len(model) <= KEPT_NAME_LENGTH_MAX:
        if len(caller.derived) >= TARGETS_MAX:
            caller.derived.clear()
        caller.derived[key] = target
    return target


def _chosen(prices: Prices, caller: Caller, route: Route, model: str) -> Target:
    connected = providers_of(caller)
    listing_of = {provider.name: provider.listing for provider in connected}

    def priced(provider: str, name: str) -> bool:
        listing = listing_of[provider](name) if provider in listing_of else None
        return prices.has(provider, name, caller.rates, listing=listing)

    return targets.choose_target(model, route.endpoint, connected=connected, priced=priced)


def providers_of(caller: Caller) -> list[Provider]:
    """Who can be asked for this caller; a test key's prices are those of any provider."""
    built_in = [one for name, one in targets.BUILT_IN.items() if caller.practice or name in caller.credentials]
    return built_in + [
        custom_provider(name, known.preset, known.options, upstream=str(known.credential_id))
        for name, known in caller.credentials.items()
        if name not in targets.BUILT_IN and known.base_url
    ]


def can_serve(prices: Prices, caller: Caller, route: Route) -> list[str]:
    """The priced models that the caller can reach in the route's dialect, by the names that reach them.

    A model that two providers have is listed with each one's name before it.
    """
    caller = caller.with_own_key("")
    dialect = route.endpoint.dialect
    speakers = [provider for provider in providers_of(caller) if dialect in provider.speaks]
    offers = [(one.name, model) for one in speakers for model in prices.models(one, caller.rates)]
    by_name = {one.name: one for one in speakers}
    usable = [
        (name, model) for name, model in offers if allowance.may_use(caller, by_name[name].target(model, dialect))
    ]
    times = Counter(model for _, model in offers)
    return [model if times[model] == 1 else f"{name}/{model}" for name, model in usable]


def _check_kind(rows: tuple[PriceRow, ...], route: Route) -> None:
    """Refuse a model whose answer is not text where an output bound counts tokens of text."""
    kind = rows[0].kind
    if route.endpoint.name in _TEXT_ENDPOINTS and kind in _MEDIA_KINDS:
        raise UnpricedFeature(feature=f"an answer of the {kind} model {rows[0].model} here", param="model")


def _model_max(rows: tuple[PriceRow, ...]) -> int | None:
    return min([row.output_limit for row in rows if row.output_limit is not None], default=None)


def _ceiling(rows: tuple[PriceRow, ...], request: ModelRequest, bound: Bound) -> int:
    try:
        ceiling = pricing.ceiling_pico(rows, bound, request.tiers, request.speed, request.geo)
    except pricing.UnpricedFeature as error:
        hint = _OWN_RATE_HINT if any(is_custom(row.row_id) for row in rows) else ""
        raise UnpricedFeature(feature=error.name, hint=hint) from error
    if ceiling > USD_PICO_MAX:
        raise UnboundedCall(
            what=f"it may cost up to {usd_display(ceiling)}, more than any call may", param="max_tokens"
        )
    return ceiling
