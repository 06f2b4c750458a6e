"""A CrewAI agent with one tool, and a crew whose roles name themselves in a header.

CREW_ROLES are their names, CREW_KEY is their bearer key, CREW_HEADERS (JSON) what they send besides.
"""

import json
import os
from typing import Any

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool as crew_tool
from told import ASK, ASK_TOOL, OPENAI_MODEL, OUTPUT_TOKENS, run


def model(**options: Any) -> LLM:
    return LLM(model=f"openai/{OPENAI_MODEL}", max_tokens=OUTPUT_TOKENS, **options)


def agent(role: str = "Greeter", **options: Any) -> Agent:
    given = {"llm": model(), "max_retry_limit": 0, **options}
    return Agent(role=role, goal="Say hello", backstory="You greet people.", **given)


def plain() -> Any:
    return {"text": agent().kickoff(ASK).raw}


def stream() -> Any:
    return {"text": agent(llm=model(stream=True)).kickoff(ASK).raw}


def tool() -> Any:
    called: list[Any] = []

    @crew_tool("look")
    def look(at: int) -> str:
        """Looks at something."""
        called.append({"tool": "look", "arguments": {"at": at}})
        return f"{at} seen"

    text = agent(tools=[look]).kickoff(ASK_TOOL).raw
    return called[0] | {"times": len(called), "text": text}


def task() -> Any:
    one = agent()
    return {"text": Crew(agents=[one], tasks=[_task(one)]).kickoff().raw}


def crew() -> Any:
    roles = [_role(name) for name in os.environ["CREW_ROLES"].split(",")]
    return {"text": Crew(agents=roles, tasks=[_task(role) for role in roles]).kickoff().raw}


def _task(of: Agent) -> Task:
    return Task(description=ASK, expected_output="A greeting", agent=of)


def _role(name: str) -> Agent:
    headers = {"X-AWX-Agent-ID": name, **json.loads(os.environ["CREW_HEADERS"])}
    return agent(name.title(), llm=model(default_headers=headers, api_key=os.environ["CREW_KEY"]))


run(
    "crewai", plain=plain, stream=stream, tool=tool, task_plain=task, crew=crew,
    refusal=plain, stream_refusal=stream, task_refusal=task, crew_refusal=crew,
)  # fmt: skip
