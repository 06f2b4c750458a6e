"""What one process of the proxy holds: its ledger, its client, its keys, its prices and the calls that run."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from agents.ledger import Ledger, StopListener
from agents.models import PriceBookVersion
from agents.pricebook import BOOK_PATH, current_book
from proxy.authenticate import Authenticator
from proxy.counter import TokenCounter
from proxy.guards import ANSWER_SECONDS, Gate
from proxy.guards.cache import AnswerCache
from proxy.prices import Prices
from proxy.reading import RequestReader
from proxy.running import Running
from proxy.upstream import TimeOuts, Upstream

logger = logging.getLogger(__name__)

VERSION_RETRY_SECONDS = 2.0
LEDGER_STOP_SECONDS = 10.0
HURRIED_SECONDS = 1.0
PROVIDERS_PAGE = "/settings/providers/"
PROVIDER_BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com",
}


def rates_page(provider: str, model: str) -> str:
    """Where a model gets a rate of the organisation's own."""
    return f"/settings/rates/?{urlencode({'provider': provider, 'model': model})}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds in time and number of one process.

    drain_seconds: how long a provider is read on for the bill alone after its client left; stop_seconds: how long
    running calls may end by themselves at a stop; guards_seconds, store_seconds: how long a call waits for Valkey to
    count it, or to find its answer.
    """

    time_outs: TimeOuts = field(default_factory=TimeOuts)
    drain_seconds: float = 600.0
    slow_reader_seconds: float = 30.0
    stop_seconds: float = 120.0
    store_seconds: float = 0.05
    drains_max: int = 1_000
    guards_seconds: float = ANSWER_SECONDS


class Process:
    """Made and stopped with the server's lifespan; all calls share it."""

    def __init__(
        self, *, ledger: Ledger, upstream: Upstream, prices: Prices, cache: AnswerCache, base_urls: Mapping[str, str],
        site_url: str, limits: Limits, guards: Gate,
    ) -> None:  # fmt: skip
        self.ledger = ledger
        self.guards = guards
        self.upstream = upstream
        self.prices = prices
        self.cache = cache
        self.keys = Authenticator()
        self.counter = TokenCounter()
        self.reader = RequestReader()
        self.base_urls = base_urls
        self.site_url = site_url
        self.limits = limits
        self.stopping = False
        self.hurried = False  # the server has waited for running calls already
        self.running = Running()
        self._pumps: set[asyncio.Task[None]] = set()
        self._draining: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the ledger; the database may still be away, then calls are refused until it is there."""
        await self.ledger.start()
        self.guards.start()
        self._keeper = asyncio.create_task(self._keep_price_book())
        self._listener = asyncio.create_task(self._hear_of_stops())

    async def stop(self) -> None:
        """Let running calls end, charge the rest at their ceilings, hand every end to the ledger."""
        self.stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=HURRIED_SECONDS if self.hurried else self.limits.stop_seconds)
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._listener is not None:
            self._listener.cancel()  # not sooner: calls that are given time to end can be stopped all the same
            await asyncio.wait({self._listener}, timeout=HURRIED_SECONDS)
        await self.guards.stop()
        await self.ledger.stop(grace_seconds=LEDGER_STOP_SECONDS)
        await self.upstream.close()
        await self.cache.close()
        self.keys.close()
        self.counter.close()
        self.reader.close()

    def run_pump(self, pump: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run a call's pump as a task of the process, which outlives the client; it begins at once, not in its turn."""
        task = asyncio.Task(pump, loop=asyncio.get_running_loop(), eager_start=True)
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        return task

    def drain(self, pump: asyncio.Task[None]) -> None:
        """The client of this pump left: it may go on for the bill alone, within bounds of time and number."""
        if pump.done():
            return
        if len(self._draining) >= self.limits.drains_max:
            pump.cancel()
            return
        self._draining.add(pump)
        bound = asyncio.get_running_loop().call_later(self.limits.drain_seconds, pump.cancel)
        pump.add_done_callback(lambda _: bound.cancel())
        pump.add_done_callback(self._draining.discard)

    async def _hear_of_stops(self) -> None:
        try:
            await StopListener(self.running.calls).run()
        except Exception:
            # The outermost edge of a task that nobody awaits; without a word stops would no longer cut anything.
            logger.critical("this process no longer hears of stops", exc_info=True)
            raise

    async def _keep_price_book(self) -> None:
        """Keep the content of the book by which this process prices; tries until the database takes it."""
        content = BOOK_PATH.read_text()
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as thread:
            while not await loop.run_in_executor(thread, _keep_version, self.prices.version, content):  # noqa: ASYNC110
                await asyncio.sleep(VERSION_RETRY_SECONDS)


def process_from_settings() -> Process:
    """The process as the operator configured it; needs a running event loop."""
    overrides = {
        "openai": settings.SHREDDER_OPENAI_BASE_URL,
        "anthropic": settings.SHREDDER_ANTHROPIC_BASE_URL,
        "google": settings.SHREDDER_GEMINI_BASE_URL,
    }
    limits = _limits(settings.SHREDDER_PROXY_SECONDS)
    ledger = Ledger()
    return Process(
        ledger=ledger,
        upstream=Upstream(allow_private=settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS, time_outs=limits.time_outs),
        prices=Prices(current_book()),
        cache=AnswerCache(settings.REDIS_URL, seconds_max=limits.store_seconds),
        base_urls={name: (overrides[name] or url).rstrip("/") for name, url in PROVIDER_BASE_URLS.items()},
        site_url=settings.SITE_URL.rstrip("/"),
        limits=limits,
        guards=Gate(settings.REDIS_URL, seconds=limits.guards_seconds, tell=ledger.note_degraded),
    )


def _limits(seconds: Mapping[str, float]) -> Limits:
    """Time-outs by name where the operator's differ: those of Limits and TimeOuts without `_seconds`."""
    return replace(_changed(Limits(), seconds), time_outs=_changed(TimeOuts(), seconds))


def _changed[T: (Limits, TimeOuts)](usual: T, seconds: Mapping[str, float]) -> T:
    given: dict[str, Any] = {f"{name}_seconds": value for name, value in seconds.items()}
    return replace(usual, **{field.name: given[field.name] for field in fields(usual) if field.name in given})


def _keep_version(version: str, content: str) -> bool:
    """Runs in a thread; False while the database is away."""
    try:
        if not PriceBookVersion.objects.filter(version=version).exists():
            # Processes that start together all find it missing, and only one of them can be the first.
            PriceBookVersion.objects.bulk_create(
                [PriceBookVersion(version=version, content=content)], ignore_conflicts=True
            )
    except DatabaseError:
        logger.warning("the price book's version is not stored yet: the database does not answer")
        return False
    finally:
        connection.close()
    return True
