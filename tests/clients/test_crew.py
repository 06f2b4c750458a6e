"""A crew whose roles name themselves in a header, in each way of saying who calls (W6)."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent, Call
from tests.clients.callers import SPENT_LIMIT_USD, counted, organization_key, spent_worker, variables
from tests.clients.environments import FRAMEWORKS, run_program
from tests.proxy.stage import PROVIDER_KEY, Stage, Worker, all_settled

WAYS = ("agent key", "organisation key", "provider key", "key beside a provider key")
# In these the header names an agent of the organisation; in the others a sub-agent of the key's agent.
NAMES_AGENTS = ("organisation key", "provider key")
ANSWER = "word word word word word"


@dataclass(frozen=True)
class Crew:
    """How the roles call: their bearer key and the headers beside their name."""

    key: str
    headers: dict[str, str] = field(default_factory=dict)


def crew_of(on: Stage, way: str, worker: Worker) -> Crew:
    if way == "agent key":
        return Crew(worker.key)
    if way == "key beside a provider key":
        return Crew(PROVIDER_KEY, {"X-AWX-Key": worker.key})
    key = organization_key(on)
    return Crew(PROVIDER_KEY if way == "provider key" else key)


def drive(on: Stage, crew: Crew, step: str, roles: list[str], home: Path) -> dict[str, Any]:
    environment = {
        **variables(on.server, "not-used"),
        "CREW_KEY": crew.key,
        "CREW_HEADERS": json.dumps(crew.headers),
        "CREW_ROLES": ",".join(roles),
    }
    seen = run_program("crewai_crew.py", step, python=FRAMEWORKS, home=home, environment=environment)
    found: dict[str, Any] = seen[step]
    return found


@pytest.mark.parametrize("way", WAYS)
def test_each_role_is_counted_by_its_name(on: Stage, way: str, tmp_path: Path) -> None:
    """E8: roles share one program and one key, and each has its own sum."""
    worker = on.worker()
    roles = [f"{role}-{worker.agent.slug}" for role in ("researcher", "writer")]
    assert drive(on, crew_of(on, way, worker), "crew", roles, tmp_path).get("text") == ANSWER
    all_settled()
    if way in NAMES_AGENTS:
        agents = [Agent.objects.get(slug=role, organization=on.alice.organization) for role in roles]
        rows = [Call.objects.get(agent_id=agent.id) for agent in agents]
    else:
        rows = worker.calls()
        assert [row.sub_agent for row in rows] == roles
        assert worker.spent_pico == on.fake.billed_pico()
    assert [row.basis for row in rows] == ["usage"] * 2
    assert sum(row.cost_pico for row in rows) == on.fake.billed_pico() > 0
    assert on.fake.stats()["violations"] == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_ends_the_crew_after_one_request(on: Stage, way: str, tmp_path: Path) -> None:
    """J4: an agent set to 402, and roles that are told not to try again."""
    worker = spent_worker(on, refusal_status=402)
    role = worker.agent.slug if way in NAMES_AGENTS else "researcher"
    seen = drive(on, crew_of(on, way, worker), "crew_refusal", [role, "writer"], tmp_path)
    assert (seen.get("error"), seen.get("status")) == ("APIStatusError", 402), seen
    assert f"Agent {worker.agent.name}" in seen["message"]
    assert f"${SPENT_LIMIT_USD} spent" in seen["message"]
    assert "resets" in seen["message"]
    assert counted(on, worker) == 1
    assert on.fake.stats()["requests"] == 0
