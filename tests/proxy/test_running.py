"""A stop that meets a call between its admission and its first byte: nothing is forwarded, or it is cut at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from accounts import credentials
from accounts.ids import uuid7
from agents import budgets, callers, keys
from agents.ledger import Ledger, Stop
from agents.ledger.connection import conninfo_of_django
from agents.models import AgentKey, Call, KeyMode, Reservation
from proxy import admission, call, narrowing, planning, relay
from proxy.admission import Admission
from proxy.errors import AgentPaused, KeyRevoked, Overloaded
from proxy.incoming import Incoming
from proxy.names import Names
from proxy.process import Limits, Process
from proxy.providers import registry
from proxy.reply import Reply
from proxy.sending import ProviderRequest
from tests import cast
from tests.agents.ledger_house import in_thread
from tests.fakes.servers import ProviderFake, provider_fake
from tests.faults.tcp_proxy import TcpProxy
from tests.proxy.in_process import bare_process
from tests.proxy.load import chat_body
from tests.proxy.stage import Worker

pytestmark = pytest.mark.django_db(transaction=True)

PROVIDER_KEY = "sk-fake-provider-key"
SECONDS_MAX = 10.0
CHAT = registry.find_route("POST", "/v1/chat/completions", {}, base_url="")


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[ProviderFake]:
    with provider_fake(tmp_path, key=PROVIDER_KEY) as fake:
        yield fake


@pytest.fixture
def alice(transactional_db: None) -> cast.Person:
    alice = cast.alice()
    credentials.connect(alice.organization, "openai", PROVIDER_KEY, by=alice.user)
    return alice


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    """What lies between the ledger and PostgreSQL; stops are heard on another way."""
    proxy = TcpProxy(conninfo_of_django())
    yield proxy
    await proxy.stop()


@pytest_asyncio.fixture
async def process(alice: cast.Person, fake: ProviderFake, proxy: TcpProxy) -> AsyncIterator[Process]:
    process = bare_process(Ledger(await proxy.start()), fake.openai_base_url, Limits(stop_seconds=5.0))
    await process.start()
    async with asyncio.timeout(SECONDS_MAX):
        while not process.ledger.ready:
            await asyncio.sleep(0.01)
    yield process
    await process.stop()


def chat(alice: cast.Person, words: str) -> Incoming:
    """A chat completion with Alice's live key, as it arrives."""
    headers = [(b"authorization", f"Bearer {alice.live_key}".encode()), (b"content-type", b"application/json")]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": chat_body(words)}

    return Incoming({"method": "POST", "path": "/proxy/v1/chat/completions", "headers": headers}, receive, uuid7())


async def admitted(process: Process, alice: cast.Person, words: str = "hang=1") -> Admission:
    """A call of Alice's agent as far as its admission, in the order of proxy.call."""
    caller = await in_thread(callers.caller_for, alice.live_key)
    request = registry.surface_of(CHAT.endpoint).read_request(CHAT, chat_body(words), {})
    plan = planning.make_plan(process.prices, caller, CHAT, request, now=datetime.now(UTC), seconds_max=SECONDS_MAX)
    call_id = uuid7()
    with process.running.entered(call_id, caller):
        narrow = partial(narrowing.narrow, process)
        return await admission.admit(process.ledger, call_id, plan, Names(), narrow=narrow, seconds_max=SECONDS_MAX)


async def waiting_at_the_provider(
    process: Process, alice: cast.Person, fake: ProviderFake
) -> tuple[Admission, asyncio.Future[Reply]]:
    """A call that the provider has billed and not answered."""
    admission = await admitted(process, alice)
    forwarding = relay.forward(process, admission, ProviderRequest(process, admission.plan, {}))
    async with asyncio.timeout(SECONDS_MAX):
        while (await in_thread(fake.stats))["billed"] < 1:
            await asyncio.sleep(0.02)
    return admission, forwarding


async def row_of(call_id: UUID) -> Call:
    """The call's row, as soon as it is there."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            if rows := await in_thread(list, Call.objects.filter(call_id=call_id)):
                return rows[0]
            await asyncio.sleep(0.02)


def stop_agent(alice: cast.Person) -> None:
    budgets.stop_now(alice.agent, by=alice.user)


def stop_all(alice: cast.Person) -> None:
    budgets.stop_all(alice.organization, by=alice.user)


def revoke(alice: cast.Person) -> None:
    keys.revoke(AgentKey.objects.get(agent=alice.agent, mode=KeyMode.LIVE), by=alice.user)


@pytest.mark.parametrize(
    ("stop", "refusal", "reason"),
    [(stop_agent, AgentPaused, "agent_stopped"), (stop_all, AgentPaused, "agent_stopped"),
     (revoke, KeyRevoked, "key_revoked")],
)  # fmt: skip
async def test_a_call_that_was_admitted_just_before_the_stop_is_not_forwarded(
    process: Process, alice: cast.Person, fake: ProviderFake,
    stop: Callable[[cast.Person], None], refusal: type[Exception], reason: str,
) -> None:  # fmt: skip
    admission = await admitted(process, alice)
    (running,) = process.running.calls()
    await in_thread(stop, alice)
    async with asyncio.timeout(1):
        while not running.cut_reason:
            await asyncio.sleep(0.01)
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(refusal):
            await relay.forward(process, admission, ProviderRequest(process, admission.plan, {}))
    row = await row_of(admission.call_id)
    assert (row.status, row.cost_pico, row.reason) == ("voided", 0, reason)
    assert fake.stats()["requests"] == 0
    assert process.running.calls() == []


async def test_a_call_that_is_stopped_while_the_answer_to_its_ask_is_under_way_is_not_forwarded(
    process: Process, alice: cast.Person, fake: ProviderFake, proxy: TcpProxy
) -> None:
    await call.handle_call(process, chat(alice, "tokens_out=1"), CHAT)  # opens balances and connections
    await process.ledger.drain()
    proxy.answers_pass.clear()
    incoming = chat(alice, "hang=1")
    calling = asyncio.create_task(call.handle_call(process, incoming, CHAT))
    async with asyncio.timeout(SECONDS_MAX):
        while not await in_thread(Reservation.objects.filter(call_id=incoming.call_id).exists):
            await asyncio.sleep(0.01)
    await in_thread(stop_agent, alice)
    async with asyncio.timeout(1):
        while not any(running.cut_reason for running in process.running.calls()):
            await asyncio.sleep(0.01)
    proxy.answers_pass.set()
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(AgentPaused):
            await calling
    row = await row_of(incoming.call_id)
    assert (row.status, row.cost_pico, row.reason) == ("voided", 0, "agent_stopped")
    assert fake.stats()["requests"] == 1


async def test_a_stop_that_comes_as_soon_as_a_call_is_forwarded_ends_its_hold_and_answers_its_client(
    process: Process, alice: cast.Person
) -> None:
    """The pump has begun when forward returns: a task that is cancelled before its first step would never run."""
    admission = await admitted(process, alice)
    (running,) = process.running.calls()
    forwarding = relay.forward(process, admission, ProviderRequest(process, admission.plan, {}))
    running.cut(Stop("agent", alice.agent.id))
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(AgentPaused):
            await forwarding
    row = await row_of(admission.call_id)
    assert (row.status, row.basis, row.cost_pico) == ("settled", "worst_case", admission.plan.ceiling_pico)
    assert process.running.calls() == []


async def test_a_call_that_waits_for_its_first_byte_is_cut_and_charged_its_ceiling(
    process: Process, alice: cast.Person, fake: ProviderFake
) -> None:
    admission, forwarding = await waiting_at_the_provider(process, alice, fake)
    await in_thread(stop_agent, alice)
    async with asyncio.timeout(1):
        with pytest.raises(AgentPaused, match="agent_paused"):
            await forwarding
    row = await row_of(admission.call_id)
    assert (row.status, row.basis, row.cost_pico) == ("settled", "worst_case", admission.plan.ceiling_pico)
    assert process.running.calls() == []


async def test_a_call_that_was_refused_leaves_nothing_behind(process: Process, alice: cast.Person) -> None:
    caller = await in_thread(callers.caller_for, alice.live_key)
    with pytest.raises(Overloaded), process.running.entered(uuid7(), caller):
        raise Overloaded
    assert process.running.calls() == []


async def test_a_call_that_the_cache_answered_leaves_nothing_behind(process: Process, alice: cast.Person) -> None:
    await in_thread(Worker(alice.agent, alice.live_key).guard, cache_seconds=60)
    async with asyncio.timeout(SECONDS_MAX):
        while True:  # an answer is kept after its client has it
            reply = await call.handle_call(process, chat(alice, f"text={alice.agent.id}"), CHAT)
            if (b"x-awx-cache", b"hit") in reply.headers:
                break
            await asyncio.sleep(0.02)
    async with asyncio.timeout(SECONDS_MAX):
        while process.running.calls():
            await asyncio.sleep(0.01)


async def test_the_first_of_two_stops_is_the_one_that_is_told(process: Process, alice: cast.Person) -> None:
    caller = await in_thread(callers.caller_for, alice.live_key)
    running = process.running.enter(uuid7(), caller)
    running.cut(Stop("key", caller.key_id, shown="awx_live_ab12cd34…"))
    running.cut(Stop("agent", caller.agent_id))
    assert running.cut_reason == "key_revoked"
    assert "awx_live_ab12cd34…" in str(running.refusal())


async def test_a_process_that_is_stopping_still_hears_of_stops(
    process: Process, alice: cast.Person, fake: ProviderFake
) -> None:
    admission, forwarding = await waiting_at_the_provider(process, alice, fake)
    stopping = asyncio.create_task(process.stop())
    await asyncio.sleep(0)
    await in_thread(stop_agent, alice)
    async with asyncio.timeout(5):
        with pytest.raises(AgentPaused):
            await forwarding
        await stopping
    assert (await row_of(admission.call_id)).reason == "agent_stopped"


async def test_a_call_lets_go_of_its_texts_as_soon_as_its_answer_begins(process: Process, alice: cast.Person) -> None:
    admission = await admitted(process, alice, "tokens_out=1")
    assert admission.plan.outgoing.body
    await relay.forward(process, admission, ProviderRequest(process, admission.plan, {}))
    assert admission.plan.outgoing.body == b""
    assert admission.plan.request.body == {}
