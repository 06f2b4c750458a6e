"""The end of a reservation: exactly one of void, charge by usage, charge by the ceiling."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from operator import attrgetter
from uuid import UUID

import orjson

from agents import pricing
from agents.ledger import CallEnd, Ledger
from agents.ledger.terms import USD_PICO_MAX
from agents.pricing import Circumstances, Usage
from agents.pricing.custom import is_custom
from agents.pricing.kept import TOKEN_COLUMNS
from proxy.admission import Admission
from proxy.planning import Plan
from proxy.prices import Prices
from proxy.providers.metered import Basis, Metered

logger = logging.getLogger(__name__)

# Usage that has no columns of its own goes to `pricing`.
_OTHERS = tuple(bucket.name for bucket in fields(Usage) if bucket.name not in TOKEN_COLUMNS)
_KEPT_WORDS = ("tier", "speed", "geo", "billed")
# Most calls have none of it; asked at once, that takes a tenth of asking for each.
_others_of, _words_of = attrgetter(*_OTHERS), attrgetter(*_KEPT_WORDS)
_PLAIN = Circumstances()
_PLAIN_WORDS = _words_of(_PLAIN)
# What a row keeps of a provider's words, which can be of any length and number.
RAW_BYTES_MAX = 4_096
UNKNOWN_KEYS_MAX = 20
UNKNOWN_KEY_LENGTH_MAX = 80
TOOL_CALLS_MAX = 2**15 - 1


class Bill:
    """Owns one reservation. What is not ended when its owner leaves is charged at the ceiling: in doubt it was billed.

    Ending it hands the facts to the ledger at once and waits for nothing.
    """

    def __init__(self, ledger: Ledger, prices: Prices, admission: Admission) -> None:
        self.ended = False
        self.cost_pico: int | None = None  # known once it has ended
        self.http_status: int | None = None
        self.provider_request_id = ""
        self.served_tier = ""
        self._ledger = ledger
        self._prices = prices
        self._admission = admission
        self._began = time.monotonic()
        self._first_byte_ms: int | None = None
        self._bound_facts: dict[str, object] = {}
        if admission.plan.counted:
            self._bound_facts = {"bound": {"stage": 1, "tokens": admission.plan.bound.input_tokens}}

    def note_first_byte(self) -> None:
        """The provider's first bytes have come."""
        if self._first_byte_ms is None:
            self._first_byte_ms = self._elapsed_ms()

    @property
    def first_byte_came(self) -> bool:
        """Whether the provider has begun its answer."""
        return self._first_byte_ms is not None

    def void(self, reason: str) -> None:
        """End at nothing: it is proven that the provider does not bill."""
        if not self._may_end():
            return
        self._hand_over(
            self._ledger.void,
            CallEnd(
                basis="none", reason=reason, failed=True, http_status=self.http_status, duration_ms=self._elapsed_ms(),
                first_byte_ms=self._first_byte_ms, provider_request_id=self.provider_request_id,
            ),
        )  # fmt: skip

    def charge(self, metered: Metered, *, reason: str = "") -> int:
        """End by what the answer said about itself; returns the cost in pico-dollars.

        reason: why the answer is not whole; empty for one that is.
        """
        plan, metered = self._admission.plan, self._as_served(metered)
        usage = metered.charged_usage(plan.bound.output_tokens)
        if usage is None:
            return self.charge_ceiling(
                reason or "usage_missing", metered, basis="worst_case" if reason else "estimated"
            )
        bound_holds = self._compare_bound(usage.total_input)
        try:
            settlement = self._price(usage, metered, miscounted=plan.counted and not bound_holds)
        except pricing.UnpricedFeature as error:
            return self.charge_ceiling(f"unpriced: {error.name}"[:40], metered, basis="estimated")
        if settlement.cost_pico > USD_PICO_MAX:
            # No call costs so much, and the book has no number for it.
            return self.charge_ceiling("impossible_bill", metered, basis="estimated")
        if self._may_end():
            facts = _facts(metered, settlement, plan.ceiling_pico) | self._bound_facts
            self._settle(usage, metered, settlement.cost_pico, reason, settlement.row_id, facts)
        return settlement.cost_pico

    def charge_ceiling(self, reason: str, metered: Metered | None = None, *, basis: str = "worst_case") -> int:
        """End at the ceiling: what was billed is not known; returns it in pico-dollars."""
        plan = self._admission.plan
        if not self._may_end():
            return plan.ceiling_pico
        metered = metered or Metered()
        facts = raw_facts(metered) | self._bound_facts
        self._hand_over(
            self._ledger.settle,
            CallEnd(
                basis=basis, cost_pico=plan.ceiling_pico, tokens=plan.tokens_max, reason=reason,
                failed=basis == "worst_case", http_status=self.http_status,
                tool_call_count=min(metered.tool_call_count, TOOL_CALLS_MAX),
                served_model=_served(metered, plan.request.model), first_byte_ms=self._first_byte_ms,
                duration_ms=self._elapsed_ms(), provider_request_id=self.provider_request_id,
                facts=facts or None,
            ),
        )  # fmt: skip
        return plan.ceiling_pico

    def charge_input(self, reason: str) -> int:
        """End at what the whole input bound costs, marked estimated: it was billed, but nothing tells how much it was.

        Returns it in pico-dollars. reason: why there is no answer (metering.md section 1.3).
        """
        bound, request = self._admission.plan.bound, self._admission.plan.request
        read = Usage(input=bound.input_tokens, characters=bound.characters, duration_ms=bound.duration_ms)
        asked = Circumstances(tier=request.tier, speed=request.speed, geo=request.geo)
        metered = Metered(usage=read, circumstances=asked)
        try:
            settlement = self._price(read, metered, miscounted=False)
        except pricing.UnpricedFeature:
            return self.charge_ceiling(reason)
        if self._may_end():
            self._settle(read, metered, settlement.cost_pico, reason, settlement.row_id, {})
        return settlement.cost_pico

    def _as_served(self, metered: Metered) -> Metered:
        """With the tier that the answer's headers name, where its usage names no other than was asked for."""
        said = metered.circumstances
        if not self.served_tier or said.tier != self._admission.plan.request.tier or said.tier == self.served_tier:
            return metered
        return replace(metered, circumstances=replace(said, tier=self.served_tier))

    def _price(self, usage: Usage, metered: Metered, *, miscounted: bool) -> pricing.Settlement:
        plan = self._admission.plan
        return self._prices.settle(
            listing=plan.target.listing,
            served_model=metered.served_model,
            held_rows=plan.rows,
            usage=usage,
            circumstances=metered.circumstances,
            started_at=self._admission.reservation.reserved_at,
            ended_at=datetime.now(UTC),
            ceiling_pico=plan.ceiling_pico,
            miscounted=miscounted,
        )

    def _settle(
        self, usage: Usage, metered: Metered, cost_pico: int, reason: str, row_id: str, facts: dict[str, object]
    ) -> None:
        self._hand_over(
            self._ledger.settle,
            CallEnd(
                basis="usage" if metered.basis is Basis.USAGE else "estimated",
                cost_pico=cost_pico,
                tokens=usage.total_tokens,
                input_tokens=usage.input,
                cache_read_tokens=usage.cache_read,
                cache_write_tokens=usage.cache_write,
                cache_write_long_tokens=usage.cache_write_long,
                output_tokens=usage.output,
                reasoning_tokens=usage.reasoning,
                pricing=_pricing(self._admission.plan, usage, metered.circumstances, row_id),
                served_model=_served(metered, self._admission.plan.request.model),
                http_status=self.http_status,
                reason=reason,
                failed=bool(reason),
                tool_call_count=min(metered.tool_call_count, TOOL_CALLS_MAX),
                first_byte_ms=self._first_byte_ms,
                duration_ms=self._elapsed_ms(),
                provider_request_id=self.provider_request_id,
                facts=facts or None,
            ),
        )

    def _compare_bound(self, actual_tokens: int) -> bool:
        """Whether the bill's input is within its bound; a hosted tool reads windows, which no body bounds."""
        plan, bound = self._admission.plan, self._admission.plan.bound
        if bound.tools:
            return True
        holds = self._prices.compare_bound(
            plan.rows[0],
            plan.target.listing,
            counted=plan.counted,
            bound_tokens=bound.input_tokens,
            actual_tokens=actual_tokens,
        )
        if plan.counted or not holds:
            self._bound_facts = {
                "bound": {
                    "stage": int(plan.counted), "tokens": bound.input_tokens, "actual": actual_tokens,
                    "breach": not holds,
                }
            }  # fmt: skip
        return holds

    def _hand_over(self, to: Callable[[UUID, CallEnd], object], end: CallEnd) -> None:
        """To the ledger, then to the guards: both before the client has its answer and can call again."""
        to(self._admission.call_id, end)
        self.cost_pico = end.cost_pico
        if self._admission.turn is not None:
            self._admission.turn.end(end)

    def _may_end(self) -> bool:
        if self.ended:
            logger.error("call %s was to end twice; the first end counts", self._admission.call_id)
            return False
        self.ended = True
        return True

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)


def _served(metered: Metered, asked: str) -> str:
    served = metered.served_model or ""
    return "" if served == asked else served[:128]


def _pricing(plan: Plan, usage: Usage, circumstances: Circumstances, row_id: str) -> dict[str, object]:
    """What pricing the row again needs beyond its columns; only what differs from the ordinary."""
    kept: dict[str, object] = {"row": row_id}
    if (words := _words_of(circumstances)) != _PLAIN_WORDS:
        named = zip(_KEPT_WORDS, words, _PLAIN_WORDS, strict=True)
        kept |= {name: word for name, word, plain in named if word != plain}
    if circumstances.geo_multiplier is not None:
        kept["geo_multiplier"] = str(circumstances.geo_multiplier)
    if any(others := _others_of(usage)):
        kept |= {name: _plain(value) for name, value in zip(_OTHERS, others, strict=True) if value}
    if usage.unknown_keys:
        kept["unknown_keys"] = [key[:UNKNOWN_KEY_LENGTH_MAX] for key in usage.unknown_keys[:UNKNOWN_KEYS_MAX]]
    listing = plan.target.listing
    if listing.upstream and not is_custom(row_id):
        # Of a custom provider's call: under which names the price book has the row, which is not under its own.
        kept["listed"] = [listing.provider, listing.model]
    return kept


def _plain(value: object) -> object:
    """As JSON has it."""
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def raw_facts(metered: Metered) -> dict[str, object]:
    """The usage as it came, where it is to be kept and neither too long nor nested too deep to be written."""
    if not metered.raw_usage:
        return {}
    try:
        size = len(orjson.dumps(metered.raw_usage))
    except TypeError:
        return {"usage_keys": [str(key)[:UNKNOWN_KEY_LENGTH_MAX] for key in metered.raw_usage][:UNKNOWN_KEYS_MAX]}
    return {"usage": metered.raw_usage} if size <= RAW_BYTES_MAX else {"usage_bytes": size}


def _facts(metered: Metered, settlement: pricing.Settlement, ceiling_pico: int) -> dict[str, object]:
    facts = raw_facts(metered)
    if flags := [*metered.flags, *settlement.flags]:
        facts["flags"] = flags
    if settlement.cost_pico > ceiling_pico:
        facts["overrun_pico"] = settlement.cost_pico - ceiling_pico
    return facts
