"""The snippets of the dashboard, run as they are shown: whoever pastes one gets an answer."""

from pathlib import Path

import pytest

from agents.models import Agent
from agents.views.snippets import named_snippets, snippets
from tests.clients.callers import organization_key
from tests.clients.environments import FRAMEWORKS, NODE_MODULES, SDKS, node, run
from tests.proxy.stage import Stage, all_settled

ANSWER = "word word word word word"
PYTHONS = {
    "python-openai": SDKS,
    "python-anthropic": SDKS,
    "python-gemini": SDKS,
    "langchain": SDKS,
    "litellm": SDKS,
    "llama-index": FRAMEWORKS,
    "crewai": FRAMEWORKS,
    "named-crewai": FRAMEWORKS,
    "named-python": SDKS,
}
OWN_KEY = (
    "python-openai",
    "python-anthropic",
    "python-gemini",
    "langchain",
    "litellm",
    "llama-index",
    "crewai",
    "node",
    "curl",
)
NAMED = ("named-crewai", "named-python", "named-curl")


def command_of(slug: str, text: str, folder: Path) -> list[str]:
    """How a person would run the snippet."""
    if slug.endswith("curl"):
        return ["sh", "-c", text]
    # Node looks for packages beside the file.
    place = NODE_MODULES.parent if slug == "node" else folder
    file = place / ("snippet.mjs" if slug == "node" else "snippet.py")
    file.write_text(text)
    return [node() if slug == "node" else str(PYTHONS[slug]), str(file)]


@pytest.mark.parametrize("slug", OWN_KEY)
def test_a_snippet_of_the_page_is_answered_and_paid(on: Stage, tmp_path: Path, slug: str) -> None:
    worker = on.worker()
    shown = {one.slug: one.text for one in snippets(f"{on.server.address}/proxy", worker.key)}
    ended = run(*command_of(slug, shown[slug], tmp_path), home=tmp_path, environment={})
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ANSWER in ended.stdout
    all_settled()
    assert worker.spent_pico == on.fake.billed_pico() > 0


@pytest.mark.parametrize("slug", NAMED)
def test_a_snippet_that_names_its_agent_makes_it(on: Stage, tmp_path: Path, slug: str) -> None:
    Agent.objects.filter(slug="researcher").delete()
    text = {one.slug: one.text for one in named_snippets(f"{on.server.address}/proxy", organization_key(on))}[slug]
    if slug == "named-crewai":
        text += '\nprint(researcher.kickoff("Say hello.").raw)'  # the snippet leaves the crew's work to its reader
    ended = run(*command_of(slug, text, tmp_path), home=tmp_path, environment={})
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ANSWER in ended.stdout
    assert Agent.objects.get(slug="researcher").organization == on.alice.organization


def test_every_snippet_of_the_pages_is_run() -> None:
    shown = [*snippets("http://127.0.0.1/proxy", "awx_live_x"), *named_snippets("http://127.0.0.1/proxy", "awx_live_x")]
    assert {one.slug for one in shown} - {"environment"} == {*OWN_KEY, *NAMED}
