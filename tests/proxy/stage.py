"""A whole installation for the proxy's tests: web process, provider fake and people, all real but the provider."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import anthropic
import httpx
import openai
import orjson
from django.conf import settings
from django.db import transaction
from redis import Redis

from accounts import credentials
from agents import budgets, keys
from agents.models import Agent, Balance, Call, Guards, KeyMode, Reservation
from agents.money import parse_usd
from tests import cast
from tests.fakes.servers import ProviderFake, provider_fake
from tests.servers import ProxyServer, proxy_server

PROVIDER_KEY = "sk-fake-provider-key"
SETTLED_SECONDS_MAX = 15.0
KEPT_SECONDS_MAX = 10.0

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Worker:
    """An agent of a test's own with a budget and a live key."""

    agent: Agent
    key: str

    @property
    def spent_pico(self) -> int:
        return self._balance("spent")

    @property
    def held_pico(self) -> int:
        return self._balance("held")

    def guard(self, **fields: Any) -> None:
        """Set guards of the agent; they hold for the next call."""
        with transaction.atomic():
            Guards.objects.update_or_create(agent=self.agent, defaults=fields)
            budgets.touch_agent(self.agent.pk)

    def calls(self) -> list[Call]:
        """Its rows of the book, oldest first."""
        return list(Call.objects.filter(agent_id=self.agent.id).order_by("call_id", "seq"))

    def _balance(self, name: str) -> int:
        balance = Balance.objects.filter(budget__agent=self.agent, practice=False).first()
        return 0 if balance is None else int(getattr(balance, name))


@dataclass(frozen=True)
class Stage:
    server: ProxyServer
    fake: ProviderFake
    alice: cast.Person
    charlie: cast.Person

    def worker(self, daily_usd: str = "5", *, limit_pico: int | None = None) -> Worker:
        """A new agent of Alice's organisation; limit_pico sets its limit to the pico-dollar."""
        organization, user = self.alice.organization, self.alice.user
        name = f"worker-{next(_numbers)}"
        limit_pico = parse_usd(daily_usd) if limit_pico is None else limit_pico
        agent = budgets.create_agent(organization, name, daily_limit_pico=limit_pico, by=user)
        return Worker(agent, keys.issue(agent, KeyMode.LIVE, by=user)[1])

    def openai_client(self, key: str, **options: object) -> openai.OpenAI:
        """The real client, set up as the documentation says."""
        return openai.OpenAI(base_url=self.server.openai_base_url, api_key=key, **options)  # type: ignore[arg-type]

    def anthropic_client(self, key: str, **options: object) -> anthropic.Anthropic:
        """The real client, set up as the documentation says."""
        return anthropic.Anthropic(base_url=self.server.anthropic_base_url, api_key=key, **options)  # type: ignore[arg-type]

    def direct_openai(self) -> openai.OpenAI:
        """The same client without us."""
        return openai.OpenAI(base_url=self.fake.openai_base_url, api_key=PROVIDER_KEY)

    def direct_anthropic(self) -> anthropic.Anthropic:
        """The same client without us."""
        return anthropic.Anthropic(base_url=self.fake.anthropic_base_url, api_key=PROVIDER_KEY)

    def post(self, key: str, path: str = "/v1/chat/completions", **options: object) -> httpx.Response:
        """A bare request below /proxy."""
        headers = {"authorization": f"Bearer {key}"} | dict(options.pop("headers", {}))  # type: ignore[call-overload]
        url = f"{self.server.address}/proxy{path}"
        return httpx.post(url, headers=headers, timeout=60, **options)  # type: ignore[arg-type]

    def get(self, key: str, path: str) -> httpx.Response:
        """A bare GET below /proxy."""
        url = f"{self.server.address}/proxy{path}"
        return httpx.get(url, headers={"authorization": f"Bearer {key}"}, timeout=60)


@contextmanager
def stage(folder: Path, *, workers: int = 1, environment: Mapping[str, str] | None = None) -> Iterator[Stage]:
    """Set the stage; the caller has given it a database."""
    alice, charlie = cast.alice(), cast.charlie()
    connect_providers(alice)
    with provider_fake(folder, key=PROVIDER_KEY) as fake:
        variables = (
            upstreams(fake)
            | {"SHREDDER_PROXY_SECONDS": "store=5"}  # a busy machine is not what is tested
            | dict(environment or {})
        )
        with proxy_server(folder / "server.log", workers=workers, environment=variables) as server:
            yield Stage(server, fake, alice, charlie)


def connect_providers(person: cast.Person) -> None:
    """Give the person's organisation the provider fake's key for every dialect."""
    for provider in ("openai", "anthropic", "google"):
        credentials.connect(person.organization, provider, PROVIDER_KEY, by=person.user)


def upstreams(fake: ProviderFake) -> dict[str, str]:
    """The settings that lead a server's calls to the fake."""
    return {
        "SHREDDER_OPENAI_BASE_URL": fake.openai_base_url,
        "SHREDDER_ANTHROPIC_BASE_URL": fake.anthropic_base_url,
        "SHREDDER_GEMINI_BASE_URL": fake.url,
    }


def settled(call_id: str | UUID) -> Call:
    """The call's row, as soon as it is there."""
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while time.monotonic() < deadline:
        row = Call.objects.filter(call_id=str(call_id)).first()
        if row is not None:
            return row
        time.sleep(0.01)
    raise AssertionError(f"call {call_id} has no row; reserved: {Reservation.objects.count()}")


def kept[T](on: Stage, ask: Callable[[], T]) -> T:
    """Make a call, and wait until the cache keeps its answer: it is written after the client has it."""
    with Redis.from_url(settings.REDIS_URL) as store:
        ends = f"awx:cache:{{{on.alice.organization.id}}}:ends"
        before, answer, deadline = set(store.zrange(ends, 0, -1)), ask(), time.monotonic() + KEPT_SECONDS_MAX
        while before >= set(store.zrange(ends, 0, -1)):
            assert time.monotonic() < deadline, "the answer was not kept"
    return answer


def sent_body(on: Stage) -> dict[str, Any]:
    """The last body that the provider received."""
    found: dict[str, Any] = orjson.loads(on.fake.log()[-1]["body"])
    return found


def all_settled(seconds_max: float = SETTLED_SECONDS_MAX) -> None:
    """Wait until no call runs any more."""
    deadline = time.monotonic() + seconds_max
    while Reservation.objects.exists():
        assert time.monotonic() < deadline, f"{Reservation.objects.count()} reservations are still open"
        time.sleep(0.02)
