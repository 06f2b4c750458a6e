"""The snippets of the dashboard, run as they are shown: whoever pastes one gets an answer."""

from pathlib import Path

import pytest

from agents.views.snippets import snippets
from tests.clients.environments import FRAMEWORKS, NODE_MODULES, SDKS, node, run
from tests.proxy.stage import Stage, all_settled

ANSWER = "word word word word word"
PYTHONS = {
    "python-openai": SDKS,
    "python-anthropic": SDKS,
    "langchain": SDKS,
    "litellm": SDKS,
    "llama-index": FRAMEWORKS,
    "crewai": FRAMEWORKS,
}
OTHERS = ("node", "curl")


def command_of(slug: str, text: str, folder: Path) -> list[str]:
    """How a person would run the snippet."""
    if slug == "curl":
        return ["sh", "-c", text]
    # Node looks for packages beside the file.
    place = NODE_MODULES.parent if slug == "node" else folder
    file = place / ("snippet.mjs" if slug == "node" else "snippet.py")
    file.write_text(text)
    return [node() if slug == "node" else str(PYTHONS[slug]), str(file)]


@pytest.mark.parametrize("slug", [*PYTHONS, *OTHERS])
def test_a_snippet_of_the_page_is_answered_and_paid(on: Stage, tmp_path: Path, slug: str) -> None:
    worker = on.worker()
    shown = {one.slug: one.text for one in snippets(f"{on.server.address}/proxy", worker.key)}
    ended = run(*command_of(slug, shown[slug], tmp_path), home=tmp_path, environment={})
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ANSWER in ended.stdout
    all_settled()
    assert worker.spent_pico == on.fake.billed_pico() > 0


def test_every_snippet_of_the_page_is_run() -> None:
    shown = {one.slug for one in snippets("http://127.0.0.1/proxy", "awx_live_x")}
    assert shown - {"environment"} == {*PYTHONS, *OTHERS}
