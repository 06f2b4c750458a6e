"""Forward an admitted call and bring its answer back. The pump, not the client, owns the reservation.

One task for each call reads the provider to the end, whatever becomes of the client, and ends the reservation: by the
usage it saw, at nothing where nothing can have been billed, and at the ceiling in every doubtful case.
"""

import asyncio
import logging
from collections.abc import Mapping

from agents.ledger.faults import fault
from proxy.admission import Admission
from proxy.bill import Bill
from proxy.chains import Note
from proxy.channel import Channel
from proxy.errors import Interrupted, Refusal, UpstreamCut, UpstreamKeyRejected, render_array_error, render_stream_error
from proxy.guards.cache import Keeper
from proxy.planning import Plan
from proxy.process import PROVIDERS_PAGE, Process
from proxy.providers import registry
from proxy.providers.failures import Charge, ErrorCost, cost_of, rejects_key
from proxy.providers.metered import Basis, Metered, StreamMeter
from proxy.providers.model_request import JSON_ARRAY, ModelRequest
from proxy.providers.usage import served_tier
from proxy.reply import Reply, cost_header
from proxy.sending import ProviderAnswer, ProviderRequest, failure, headers_for_client, request_id
from proxy.upstream import CutOff, NothingSent, UpstreamFailed

logger = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 64 * 2**20
CUT_HINT = "It was stopped while this call ran; what the provider may bill for the call is charged."


def forward(
    process: Process, admission: Admission, request: ProviderRequest, keeper: Keeper | None = None
) -> asyncio.Future[Reply]:
    """Start the call's pump, which sends the request before this returns where it can.

    request: of the plan as it was admitted. keeper: where the answer may be given again. Returns the answer, which
    comes as soon as its head is known, or raises what the client is told.
    """
    head: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    pump = _Pump(process, admission, request, head, keeper)
    task = process.run_pump(pump.run())
    task.add_done_callback(lambda _: process.running.leave(admission.call_id))
    if admission.plan.request.stream:
        pump.stream()  # while the provider works: the first event should not wait for it
    return head


async def forward_free(process: Process, plan: Plan, client_headers: Mapping[str, str]) -> Reply:
    """Forward a request of an endpoint that costs nothing: there is no hold and nothing to meter."""
    time_outs = process.limits.time_outs
    try:
        async with await ProviderRequest(process, plan, client_headers).send() as answer:
            body = await answer.read_all(ANSWER_BYTES_MAX)
            if _is_our_key(plan) and rejects_key(plan.target.traits, answer.status, body):
                raise _key_rejected(process, plan)
            return Reply(answer.status, headers_for_client(answer), body)
    except UpstreamFailed as failed:
        raise failure(failed, plan, time_outs) from failed


class _Pump:
    """One admitted call from its forwarding to the end of its reservation."""

    def __init__(
        self, process: Process, admission: Admission, outgoing: ProviderRequest, head: asyncio.Future[Reply],
        keeper: Keeper | None,
    ) -> None:  # fmt: skip
        self._process = process
        self._admission = admission
        self._outgoing = outgoing
        self._plan = admission.plan
        self._request: ModelRequest = admission.plan.request
        self._surface = registry.surface_of(admission.plan.route.endpoint)
        self._head = head
        self._keeper = keeper
        self._note = Note(process.ledger, admission.plan)
        self._bill = Bill(process.ledger, process.prices, admission)
        self._running = process.running.enter(admission.call_id, admission.plan.caller)
        self._stream: tuple[Channel, StreamMeter] | None = None
        self._is_told = False  # that the stream ended early

    def stream(self) -> tuple[Channel, StreamMeter]:
        """What a stream needs, made when it is first asked for."""
        if self._stream is None:
            self._stream = Channel(), self._surface.stream_meter(self._request)
        return self._stream

    async def run(self) -> None:
        self._running.begin()
        try:
            self._check_stop()
            await self._relay()
        except Refusal as refusal:
            self._tell(refusal)
        except Exception:
            # The outermost edge of a task that nobody awaits: what went wrong is ours, the money stays charged.
            logger.exception("call %s: the relay failed", self._admission.call_id)
        finally:
            if not self._bill.ended:
                self._bill.charge_ceiling(self._running.cut_reason or "interrupted")
            self._tell(self._running.refusal(CUT_HINT) or Interrupted())

    def _check_stop(self) -> None:
        """A call that was stopped between its admission and here is not forwarded."""
        if refusal := self._running.refusal():
            self._bill.void(self._running.cut_reason)
            raise refusal

    async def _relay(self) -> None:
        try:
            answer = await self._outgoing.send()
        except UpstreamFailed as failed:
            if isinstance(failed, NothingSent):
                self._bill.void(failed.reason)
            else:
                self._bill.charge_ceiling(failed.reason)
            raise failure(failed, self._plan, self._process.limits.time_outs) from failed
        async with answer:
            fault("after_answer_head")
            self._bill.http_status = answer.status
            self._bill.provider_request_id = request_id(answer)
            self._bill.served_tier = served_tier(self._plan.target.traits, answer.headers)
            if self._admission.turn is not None:
                self._admission.turn.answered(answer.status, answer.headers)
            if not 200 <= answer.status < 300:
                await self._relay_refusal(answer)
            elif self._request.streams_any or (self._request.stream and _is_stream(answer, self._request)):
                await self._relay_stream(answer)
            else:
                await self._relay_whole(answer)

    async def _relay_refusal(self, answer: ProviderAnswer) -> None:
        """The provider's own error: as it is, but for one about our key."""
        cost, body = self._cost_of(answer.status), b""
        if cost.charge is Charge.CEILING:
            self._book(cost)  # nothing that it says can change that, so nothing waits for it
        try:
            if not cost.blames_our_key:
                body = await answer.read_all(ANSWER_BYTES_MAX)
                cost = self._cost_of(answer.status, body)
        except CutOff as failed:
            raise failure(failed, self._plan, self._process.limits.time_outs) from failed
        finally:
            # Also where a stop ends the reading: what the status alone proves is booked.
            if not self._bill.ended:
                self._book(cost)
        if cost.blames_our_key:
            raise _key_rejected(self._process, self._plan)
        headers = headers_for_client(answer)
        if cost.charge is not Charge.NOTHING:
            # Another try would be charged again.
            headers = [pair for pair in headers if pair[0] != b"x-should-retry"] + [(b"x-should-retry", b"false")]
        self._answer(Reply(answer.status, [*headers, *self._cost_header()], body))

    def _cost_of(self, status: int, body: bytes | None = None) -> ErrorCost:
        return cost_of(self._plan.target.traits, status, body, is_our_key=_is_our_key(self._plan))

    def _book(self, cost: ErrorCost) -> None:
        match cost.charge:
            case Charge.NOTHING:
                self._bill.void(cost.reason)
            case Charge.INPUT:
                self._bill.charge_input(cost.reason)
            case Charge.CEILING:
                self._bill.charge_ceiling(cost.reason)

    async def _relay_whole(self, answer: ProviderAnswer) -> None:
        try:
            body = await answer.read_all(ANSWER_BYTES_MAX)
        except CutOff as failed:
            self._bill.charge_ceiling(failed.reason)
            raise failure(failed, self._plan, self._process.limits.time_outs) from failed
        self._bill.note_first_byte()
        metered = self._surface.read_answer(self._request, body)
        cost_pico = self._bill.charge(metered)
        await self._note.take(metered)
        self._answer(Reply(answer.status, [*headers_for_client(answer), cost_header(cost_pico)], body))
        self._copy(body)
        await self._keep(answer, metered, cost_pico)

    async def _relay_stream(self, answer: ProviderAnswer) -> None:
        channel, meter = self.stream()
        self._answer(Reply(answer.status, headers_for_client(answer), channel=channel, pump=asyncio.current_task()))
        try:
            reason = await self._pass_on(answer, meter, channel)
            metered = meter.finish()
            cost_pico = self._bill.charge(metered, reason=reason or _incomplete(metered))
            await self._note.take(metered)
            if not metered.finished and metered.error is None:
                await channel.put(self._early_end(channel, UpstreamCut(provider=self._plan.target.provider)))
        except Exception:
            # A fault of ours: the client must not take half an answer for a whole one.
            await channel.put(self._early_end(channel, Interrupted()))
            raise
        finally:
            channel.end(b"" if self._bill.ended else self._cut_stream(meter, channel))
        if not reason:
            await self._keep(answer, metered, cost_pico)

    async def _pass_on(self, answer: ProviderAnswer, meter: StreamMeter, channel: Channel) -> str:
        """Feed meter and client until the provider ends; returns why it ended early, empty where it did not."""
        try:
            while chunk := await answer.read_some():
                self._bill.note_first_byte()
                fault("mid_stream")
                if seen := meter.feed(chunk):
                    self._copy(seen)
                    await self._note_end(meter)
                    await channel.put(seen)
        except CutOff as failed:
            return failed.reason
        if rest := meter.flush():
            self._copy(rest)
            await channel.put(rest)
        return ""

    async def _note_end(self, meter: StreamMeter) -> None:
        """Note an answer that its provider keeps, once it has said how it ended and before its client reads that."""
        if not self._note.is_taken and ((metered := meter.finish()).finished or metered.error is not None):
            await self._note.take(metered)

    def _cut_stream(self, meter: StreamMeter, channel: Channel) -> bytes:
        """Charge what a cancelled stream has told (docs/proxy.md); returns the event that tells its client of a stop.

        It was cancelled by the drain's bound, by the end of this process, or by a stop of the agent or key.
        """
        metered, refusal = meter.finish(), self._running.refusal(CUT_HINT)
        if refusal is None and not channel.abandoned:
            refusal = Interrupted()
        reason = self._running.cut_reason or ("drain_ended" if channel.abandoned else "stopped")
        self._bill.charge(metered, reason="" if metered.finished else reason)
        return b"" if refusal is None or metered.finished or self._is_told else self._early_end(channel, refusal)

    def _copy(self, seen: bytes) -> None:
        if self._keeper is not None:
            self._keeper.add(seen)

    async def _keep(self, answer: ProviderAnswer, metered: Metered, cost_pico: int) -> None:
        """Keep the answer for the next who asks the same: only a whole one whose bill is known. Nobody waits for it."""
        is_whole = metered.finished and metered.error is None and metered.basis is Basis.USAGE
        if self._keeper is not None and is_whole:
            await self._keeper.keep(answer.status, answer.headers.get("content-type", ""), cost_pico)

    def _early_end(self, channel: Channel, refusal: Refusal) -> bytes:
        """The event that ends a stream early, perhaps in the middle of a line; of no events, a broken connection."""
        self._is_told = True
        if self._request.streams_any:
            channel.broken = True
            return b""
        dialect = self._plan.route.endpoint.dialect
        if self._request.stream_type == JSON_ARRAY:
            return render_array_error(
                refusal, dialect, call_id=str(self._admission.call_id), begun=self._bill.first_byte_came
            )
        return b"\n\n" + render_stream_error(refusal, dialect, call_id=str(self._admission.call_id))

    def _answer(self, reply: Reply) -> None:
        if not self._head.done():  # its waiter may have been cancelled
            self._head.set_result(reply)

    def _tell(self, refusal: Refusal) -> None:
        if not self._head.done():
            refusal.beside += self._cost_header()
            self._head.set_exception(refusal)

    def _cost_header(self) -> tuple[tuple[bytes, bytes], ...]:
        return () if self._bill.cost_pico is None else (cost_header(self._bill.cost_pico),)


def _is_our_key(plan: Plan) -> bool:
    """Whether the provider is shown the stored key; about a key of their own callers hear the provider's words."""
    return plan.caller.own_key is None


def _key_rejected(process: Process, plan: Plan) -> UpstreamKeyRejected:
    return UpstreamKeyRejected(provider=plan.target.provider, page=f"{process.site_url}{PROVIDERS_PAGE}")


def _is_stream(answer: ProviderAnswer, request: ModelRequest) -> bool:
    return answer.headers.get("content-type", "").startswith(request.stream_type)


def _incomplete(metered: Metered) -> str:
    if metered.finished:
        return ""
    return "provider_error_event" if metered.error is not None else "provider_cut_off"
