"""What leaves for a provider and what comes back, in the form that the relay reads; the sandbox answers test keys."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

from proxy import headers
from proxy.errors import Refusal, UpstreamCut, UpstreamTimeout, UpstreamUnreachable
from proxy.planning import Plan
from proxy.process import Process
from proxy.providers import registry, sandbox
from proxy.reply import RawHeaders, raw
from proxy.upstream import Draft, NoAnswer, NothingSent, TimeOuts, UpstreamFailed

_REQUEST_ID_HEADERS = ("x-request-id", "request-id")
REQUEST_ID_LENGTH_MAX = 128


class ProviderAnswer(Protocol):
    """An answer that arrives in pieces: proxy.upstream's, or the sandbox's."""

    status: int
    headers: Mapping[str, str]
    raw_headers: Iterable[tuple[bytes, bytes]]

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def read_some(self) -> bytes:
        """The next bytes, empty at the end; raises proxy.upstream.CutOff."""
        ...

    async def read_all(self, bytes_max: int) -> bytes:
        """The whole body; raises proxy.upstream.CutOff."""
        ...


class PracticeAnswer:
    """What the sandbox said, behind the face of a provider's answer."""

    def __init__(self, answer: sandbox.SandboxAnswer) -> None:
        self.status = answer.status
        self.headers: Mapping[str, str] = dict(answer.headers)
        self.raw_headers: Iterable[tuple[bytes, bytes]] = raw(answer.headers)
        self._chunks: Iterator[bytes] = iter(answer.chunks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def read_some(self) -> bytes:
        return next(self._chunks, b"")

    async def read_all(self, bytes_max: int) -> bytes:
        return b"".join(self._chunks)


class ProviderRequest:
    """A planned call on its way to its provider: it can be made ready before it may leave."""

    def __init__(self, process: Process, plan: Plan, client_headers: Mapping[str, str]) -> None:
        self.plan = plan
        self._process = process
        self._client_headers = client_headers
        self._draft: Draft | None = None

    def prepare(self) -> None:
        """Do all that can be done while the ledger still decides; what is wrong with the request, `send` says."""
        if not self.plan.caller.practice:
            with suppress(NothingSent):
                self._draft = self._drafted()

    async def send(self) -> ProviderAnswer:
        """Send it, once; raises proxy.upstream.NothingSent or NoAnswer."""
        plan = self.plan
        if plan.caller.practice:
            return PracticeAnswer(sandbox.answer(plan.request, plan.target, plan.body))
        draft, self._draft = self._draft or self._drafted(), None
        answer = await self._process.upstream.send(draft)
        plan.outgoing.release()
        return answer

    def _drafted(self) -> Draft:
        plan = self.plan
        credential = plan.caller.credentials[plan.target.provider]
        return self._process.upstream.draft(
            plan.route.endpoint.method,
            url_of(base_url_of(self._process, plan), plan),
            headers.to_provider(
                self._client_headers, key_headers(plan, credential.api_key), plan.outgoing.content_type,
                dialect=plan.route.endpoint.dialect,
            ),
            None if plan.route.is_read else plan.body,
        )  # fmt: skip


def key_headers(plan: Plan, api_key: str) -> list[tuple[str, str]]:
    """The headers that show the provider its key; none for one that takes calls without."""
    if not api_key:
        return []
    if own := plan.target.traits.key_header:
        return [(own, api_key)]
    return registry.manners_of(plan.route.endpoint.dialect).key_headers(api_key)


def url_of(base_url: str, plan: Plan) -> str:
    """The address of a planned request at its provider."""
    path = plan.route.upstream_path if plan.outgoing.path is None else plan.outgoing.path
    query = "&".join([part for part in (plan.target.query, plan.route.query) if part])
    return f"{base_url}{plan.target.base_path}{path}{'?' if query else ''}{query}"


def base_url_of(process: Process, plan: Plan) -> str:
    """Where the provider's API is: the credential's own address, or the usual one; not for practice calls."""
    return plan.caller.credentials[plan.target.provider].base_url or process.base_urls[plan.target.provider]


def headers_for_client(answer: ProviderAnswer) -> RawHeaders:
    """The provider's headers that a client may see."""
    passed = headers.to_client(answer.raw_headers)
    if encoding := answer.headers.get("content-encoding"):
        # It was asked for plain bytes and sent others: they cannot be metered, but the client must know.
        passed += raw([("content-encoding", encoding)])
    return passed


def request_id(answer: ProviderAnswer) -> str:
    """The provider's own name for the call, empty where it gave none."""
    for name in _REQUEST_ID_HEADERS:
        if found := answer.headers.get(name):
            return found[:REQUEST_ID_LENGTH_MAX]
    return ""


def failure(failed: UpstreamFailed, plan: Plan, time_outs: TimeOuts) -> Refusal:
    """What the client is told when its provider failed."""
    provider = plan.target.provider
    if isinstance(failed, NothingSent):
        return UpstreamUnreachable(provider=provider, sent=False)
    if failed.timed_out:
        waited = time_outs.first_byte_seconds if isinstance(failed, NoAnswer) else time_outs.between_bytes_seconds
        return UpstreamTimeout(provider=provider, waited_seconds=round(waited))
    return (
        UpstreamUnreachable(provider=provider, sent=True)
        if isinstance(failed, NoAnswer)
        else UpstreamCut(provider=provider)
    )
