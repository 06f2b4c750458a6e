"""Agents with guards on a stage, and their calls."""

import time

import httpx

from agents.budgets import touch_agent
from agents.models import GuardEvent, Guards
from tests.proxy.load import chat_body
from tests.proxy.stage import Stage, Worker

# Without the time-out of a busy machine's blink, which would make a process count alone.
PATIENT = {"SHREDDER_PROXY_SECONDS": "guards=10"}

# For so long a process may go by what it knew before a limit was raised or an agent resumed (product.md B5).
LOOSENED_SECONDS = 0.3


def guarded(on: Stage, daily_usd: str = "5", **guards: object) -> Worker:
    """A new agent with these guards."""
    worker = on.worker(daily_usd)
    Guards.objects.create(agent=worker.agent, **guards)
    return worker


def change_guards(worker: Worker, **guards: object) -> None:
    """As the agent's page does."""
    Guards.objects.filter(agent=worker.agent).update(**guards)
    touch_agent(worker.agent.id)


def loosen_guards(worker: Worker, **guards: object) -> None:
    """The same, and wait until every process goes by it."""
    change_guards(worker, **guards)
    time.sleep(LOOSENED_SECONDS)


def chat(on: Stage, worker: Worker, words: str = "tokens_out=5", *, session: str = "") -> httpx.Response:
    """One call; the words make its message."""
    headers = {"content-type": "application/json"} | ({"x-awx-session-id": session} if session else {})
    return on.post(worker.key, content=chat_body(words), headers=headers)


def statuses(on: Stage, worker: Worker, count: int) -> list[int]:
    """So many calls with different messages, one after the other."""
    return [chat(on, worker, f"text=word{number}").status_code for number in range(count)]


def awx(response: httpx.Response) -> dict[str, str]:
    """The `awx` object of a refusal."""
    found: dict[str, str] = response.json()["error"]["awx"]
    return found


def events(worker: Worker) -> list[GuardEvent]:
    """What its guards stopped, oldest first."""
    return list(GuardEvent.objects.filter(agent=worker.agent).order_by("id"))
