"""Loops that are known to have cost their owners much, played again with hours that pass in a moment.

Two agents that answered each other for days brought a bill of 47,000 dollars; nobody saw it before the invoice.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pytest_django import Settings

from accounts import credentials
from agents import budgets, keys
from agents.models import Agent, GuardEvent, Guards, KeyMode
from tests import cast
from tests.fakes.servers import ProviderFake, provider_fake
from tests.proxy.guards.inside import Inside, inside
from tests.proxy.stage import PROVIDER_KEY, all_settled

MINUTES_BETWEEN = 2


@pytest.fixture(scope="module")
def people(committed_database: str) -> cast.Person:
    alice = cast.alice(daily_limit_pico=None)
    credentials.connect(alice.organization, "openai", PROVIDER_KEY, by=alice.user)
    return alice


@pytest.fixture
def fake(tmp_path: Path, settings: Settings) -> Iterator[ProviderFake]:
    settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS = True
    with provider_fake(tmp_path, key=PROVIDER_KEY) as running:
        yield running


def an_agent(of: cast.Person, name: str, **guards: object) -> tuple[Agent, str]:
    agent = budgets.create_agent(of.organization, name, daily_limit_pico=None, by=of.user)
    Guards.objects.create(agent=agent, **guards)
    return agent, keys.issue(agent, KeyMode.LIVE, by=of.user)[1]


def base_urls(fake: ProviderFake) -> dict[str, str]:
    return {"openai": fake.openai_base_url}


def test_two_agents_that_answer_each_other_are_stopped_when_their_hours_are_over(
    people: cast.Person, fake: ProviderFake
) -> None:
    """The messages differ and grow, nothing fails, no rate is reached: only that nobody ever pauses gives it away."""
    writer, writer_key = an_agent(people, "writer", busy_mode="block", busy_hours=3, cool_down_minutes=60)
    critic, critic_key = an_agent(people, "critic", busy_mode="block", busy_hours=3, cool_down_minutes=60)

    async def replay() -> tuple[int, list[httpx.Response]]:
        async with inside(base_urls(fake)) as proxy:
            said, minutes = "Please improve this text.", 0
            while minutes < 24 * 60:
                answers = [await proxy.chat(key, said) for key in (writer_key, critic_key)]
                if all(answer.status_code == 429 for answer in answers):
                    await _nothing_more_passes(proxy, fake, writer_key)
                    return minutes, answers
                assert {answer.status_code for answer in answers} == {200}
                said += f" Round {minutes}: thank you, could you go deeper on that?"
                proxy.clock.pass_by(minutes=MINUTES_BETWEEN)
                minutes += MINUTES_BETWEEN
            raise AssertionError("a day went by and nobody stopped them")

    minutes, answers = asyncio.run(replay())
    assert minutes == 3 * 60
    assert fake.stats()["requests"] == 2 * 3 * 60 / MINUTES_BETWEEN + 1
    for answer in answers:
        assert answer.json()["error"]["awx"]["rule"] == "loop_busy"
        assert "no pause of five minutes for 3 hours" in answer.json()["error"]["message"]
    all_settled()
    seen = GuardEvent.objects.filter(agent__in=[writer, critic])
    assert sorted((event.agent.name, event.rule, event.facts["hours"]) for event in seen) == [
        ("critic", "loop_busy", 3), ("writer", "loop_busy", 3),
    ]  # fmt: skip


async def _nothing_more_passes(proxy: Inside, fake: ProviderFake, key: str) -> None:
    before = fake.stats()["requests"]
    proxy.clock.pass_by(minutes=59)
    assert (await proxy.chat(key, "Are you still there?")).status_code == 429
    assert fake.stats()["requests"] == before
    proxy.clock.pass_by(minutes=2)
    assert (await proxy.chat(key, "A new day.")).status_code == 200, "the cool-down has an end"
    assert fake.stats()["requests"] == before + 1


def test_an_agent_that_retries_a_failure_with_other_parameters_is_slowed_down(
    people: cast.Person, fake: ProviderFake
) -> None:
    """No two bodies are alike, so nothing repeats; that each follows a failure gives it away."""
    _, key = an_agent(people, "retrier", retry_mode="block")

    async def replay() -> list[httpx.Response]:
        async with inside(base_urls(fake)) as proxy:
            answers = []
            for number in range(600):
                message = f"Try number {number} [[status=400]]"
                answers.append(await proxy.chat(key, message, temperature=number / 600, max_tokens=16 + number))
                proxy.clock.pass_by(seconds=1)
            return answers

    answers = asyncio.run(replay())
    forwarded = [at for at, answer in enumerate(answers) if answer.status_code == 400]
    assert forwarded == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483, 543]
    assert fake.stats()["requests"] == len(forwarded)
    held = answers[2].json()["error"]["awx"]
    assert (held["reason"], held["rule"]) == ("rate_limited", "retry_storm")


def test_an_agent_that_sends_one_message_for_ever_is_stopped_at_once(people: cast.Person, fake: ProviderFake) -> None:
    """With the rule as it comes, but on block: ten in five minutes."""
    _, key = an_agent(people, "parrot", repeat_mode="block")

    async def replay() -> list[int]:
        async with inside(base_urls(fake)) as proxy:
            statuses = []
            for _ in range(100):
                statuses.append((await proxy.chat(key, "What next?")).status_code)
                proxy.clock.pass_by(seconds=7)
            return statuses

    assert asyncio.run(replay()) == [200] * 10 + [429] * 90
    assert fake.stats()["requests"] == 10
