"""The proxy as a plain ASGI application: routes, answers as bytes, the life of the process."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

from accounts.ids import uuid7
from proxy import call, selfservice, stored
from proxy.channel import Channel, Send
from proxy.errors import (
    BudgetRefusal,
    Interrupted,
    Overloaded,
    ProviderNotConnected,
    Refusal,
    UnpricedModel,
    render,
)
from proxy.incoming import ClientGone, Incoming, Receive, Scope
from proxy.process import PROVIDERS_PAGE, Process, process_from_settings, rates_page
from proxy.providers import registry
from proxy.reply import RawHeaders, Reply, call_headers, raw, refusal_headers

logger = logging.getLogger(__name__)

_MODELS = frozenset({"models", "model"})
_FAULT_BODY = b'{"type":"error","error":{"type":"api_error","code":"internal_error","param":null,"message":"%s"}}' % (
    b"Something in the proxy failed. It was logged; if the call was forwarded, its ceiling stays charged."
)
# Header of a stream: a front proxy must pass it on as it comes.
_UNBUFFERED = (b"x-accel-buffering", b"no")

LAST_WORDS_SECONDS = 1.0
STOPPING_HINT = "This process is starting or stopping."

_process: Process | None = None


async def startup() -> None:
    """Make this process's ledger and client and start them; the database may still be away."""
    global _process
    _process = process_from_settings()
    await _process.start()


async def shutdown() -> None:
    """Let running calls end, settle them, close everything."""
    global _process
    if _process is not None:
        await _process.stop()
        _process = None


def ready() -> bool:
    """Whether a call that comes now can be admitted."""
    return _process is not None and not _process.stopping and _process.ledger.ready


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request below /proxy."""
    incoming = Incoming(scope, receive, uuid7())
    try:
        await _answer(incoming, send)
    except ClientGone:
        return
    except asyncio.CancelledError:
        _hurry()
        raise


def _hurry() -> None:
    """Only a server that has waited long enough for its clients cancels their requests."""
    if _process is not None:
        _process.hurried = True


async def _answer(incoming: Incoming, send: Send) -> None:
    reply = await _reply(incoming)
    reply.headers += call_headers(incoming.call_id, incoming.caller)
    if reply.channel is None:
        await _send_whole(send, reply)
    else:
        await _send_stream(incoming, send, reply)


async def _reply(incoming: Incoming) -> Reply:
    """The answer to a request, refusals included."""
    try:
        return await _route(incoming)
    except Refusal as refusal:
        return _refused(incoming, refusal)
    except ClientGone:
        raise
    except asyncio.CancelledError:
        # Who hears nothing asks again, and pays again: SDKs take a closed connection for a call that was not made.
        _hurry()
        return _refused(incoming, _stopped(incoming))
    except Exception:
        # The outermost edge: whatever was held stays with its pump or is given back by the ledger.
        logger.exception("call %s failed", incoming.call_id)
        return Reply(500, [(b"content-type", b"application/json"), (b"x-should-retry", b"false")], _FAULT_BODY)


async def _route(incoming: Incoming) -> Reply:
    process = _process
    if process is None or process.stopping:
        raise Overloaded(hint=STOPPING_HINT)
    if selfservice.is_ours(incoming):
        return await selfservice.handle(process, incoming)
    route = registry.find_route(
        incoming.method, incoming.path, incoming.headers, query=incoming.query, base_url=f"{process.site_url}/proxy"
    )
    if route.endpoint.name in _MODELS:
        return await selfservice.handle_models(process, incoming, route)
    if route.endpoint.stored:
        return await stored.handle_stored(process, incoming, route)
    if route.endpoint.priced:
        return await call.handle_call(process, incoming, route)
    return await call.handle_free_call(process, incoming, route)


def _stopped(incoming: Incoming) -> Refusal:
    """What a client is told whose call this process has no more time for."""
    if _process is not None and _process.running.knows(incoming.call_id):
        return Interrupted()
    return Overloaded(hint=STOPPING_HINT)


def _refused(incoming: Incoming, refusal: Refusal) -> Reply:
    caller = incoming.caller
    if isinstance(refusal, ProviderNotConnected) and _process is not None:
        refusal.page = f"{_process.site_url}{PROVIDERS_PAGE}"
    if isinstance(refusal, UnpricedModel) and refusal.provider and not refusal.hint and _process is not None:
        refusal.hint = f"An admin can set a rate: {_process.site_url}{rates_page(refusal.provider, refusal.model)}"
    rendered = render(
        refusal,
        incoming.dialect,
        call_id=str(incoming.call_id),
        now=datetime.now(UTC),
        budget_status=caller.refusal_status if caller else 429,
    )
    headers = [*raw(rendered.headers), *refusal.beside]
    if refusal.ends_connection:
        headers.append((b"connection", b"close"))
    if isinstance(refusal, BudgetRefusal):
        headers += refusal_headers(refusal)
    return Reply(rendered.status, headers, rendered.body)


async def _send_whole(send: Send, reply: Reply) -> None:
    headers: RawHeaders = [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _send_stream(incoming: Incoming, send: Send, reply: Reply) -> None:
    """Send what the pump puts into the channel; a client that leaves or stops reading leaves the pump to itself."""
    channel, pump, process = reply.channel, reply.pump, _process
    assert channel is not None, "a streamed reply has a channel"
    assert pump is not None, "and a pump"
    assert process is not None, "of a process that runs"

    def leave() -> None:
        channel.abandon()
        process.drain(pump)

    # Whatever became of the pump, nothing comes after it; without this a fault in it would leave the client waiting.
    pump.add_done_callback(lambda _: channel.end())
    watcher = asyncio.create_task(incoming.gone())
    watcher.add_done_callback(lambda done: None if done.cancelled() else leave())
    try:
        headers = [*reply.headers, _UNBUFFERED]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        channel.connect(send, seconds_max=process.limits.slow_reader_seconds)
        while piece := await channel.get():
            await channel.send(piece)
        if not channel.abandoned:
            watcher.cancel()
            # Without its last message the server closes the connection, and no client takes the answer for whole.
            if not channel.broken:
                await send({"type": "http.response.body", "body": b""})
        if channel.stalled:
            logger.info("call %s: the client stopped reading", incoming.call_id)
    except asyncio.CancelledError:
        _hurry()
        await _end_early(send, channel, pump)
        raise
    finally:
        channel.close()
        watcher.cancel()
        if not pump.done():
            leave()


async def _end_early(send: Send, channel: Channel, pump: asyncio.Task[None]) -> None:
    """End a stream for which this process has no more time: its client hears why, if it reads that soon."""
    pump.cancel()
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            while piece := await channel.get():
                await channel.send(piece)
            if not channel.broken:
                await send({"type": "http.response.body", "body": b""})
