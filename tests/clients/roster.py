"""The clients: which program drives each, in whose environment, and what it makes of a refusal."""

from dataclasses import dataclass
from pathlib import Path

from tests.clients.environments import FRAMEWORKS, SDKS

STEPS = ("plain", "stream", "tool")
ASYNC_STEPS = ("async_plain", "async_stream", "async_tool")
RESPONSES = ("responses_plain", "responses_stream", "responses_tool")
REFUSALS = ("refusal", "stream_refusal")


@dataclass(frozen=True)
class Client:
    """One client in one dialect.

    refusal_class: of the exception that it raises over a spent budget; refusal_status: what the agent is set to.
    tool_requests: how many it takes to call a tool and, in frameworks, to tell the model what came of it.
    """

    name: str
    program: str
    refusal_class: str
    arguments: tuple[str, ...] = ()
    python: Path = SDKS
    steps: tuple[str, ...] = STEPS
    refusals: tuple[str, ...] = (*REFUSALS, "async_refusal")
    tool_requests: int = 1
    refusal_status: int = 429

    @property
    def requests(self) -> int:
        """How many calls its steps make."""
        tools = [step for step in self.steps if step.endswith("tool")]
        return len(self.steps) + len(tools) * (self.tool_requests - 1) - self.steps.count("count")


_LANGCHAIN, _LITELLM, _PYDANTIC = "langchain_chat.py", "litellm_sdk.py", "pydantic_ai_agent.py"
_ONE_ASYNC = (*STEPS, "async_plain")

CLIENTS = (
    Client(
        "openai-python", "openai_sdk.py", "openai.RateLimitError", steps=(*STEPS, *ASYNC_STEPS, *RESPONSES),
        refusals=(*REFUSALS, "async_refusal", "responses_refusal"),
    ),
    Client(
        "anthropic-python", "anthropic_sdk.py", "anthropic.RateLimitError", steps=(*STEPS, "count", *ASYNC_STEPS)
    ),
    Client(
        "openai-node", "openai_node.cjs", "RateLimitError", steps=(*STEPS, *RESPONSES),
        refusals=(*REFUSALS, "responses_refusal"),
    ),
    Client("anthropic-node", "anthropic_node.cjs", "RateLimitError", refusals=REFUSALS),
    Client("google-python", "google_genai_sdk.py", "google.ClientError", steps=(*STEPS, "count", *ASYNC_STEPS)),
    Client("google-node", "google_genai_node.cjs", "ApiError", refusals=REFUSALS),
    Client("langchain-openai", _LANGCHAIN, "openai.RateLimitError", ("openai",), steps=_ONE_ASYNC),
    Client("langchain-anthropic", _LANGCHAIN, "anthropic.RateLimitError", ("anthropic",), steps=_ONE_ASYNC),
    Client("litellm-openai", _LITELLM, "litellm.RateLimitError", ("openai",), steps=_ONE_ASYNC),
    Client("litellm-anthropic", _LITELLM, "litellm.RateLimitError", ("anthropic",), steps=_ONE_ASYNC),
    Client(
        "pydantic-ai-openai", _PYDANTIC, "pydantic_ai.ModelHTTPError", ("openai",), steps=_ONE_ASYNC, tool_requests=2
    ),
    Client(
        "pydantic-ai-responses", _PYDANTIC, "pydantic_ai.ModelHTTPError", ("responses",), steps=_ONE_ASYNC,
        tool_requests=2,
    ),
    Client(
        "pydantic-ai-anthropic", _PYDANTIC, "pydantic_ai.ModelHTTPError", ("anthropic",), steps=_ONE_ASYNC,
        tool_requests=2,
    ),
    Client(
        "llama-index", "llama_index_llm.py", "openai.RateLimitError", ("0",), python=FRAMEWORKS, steps=_ONE_ASYNC
    ),
    # These two try a 429 again by themselves, whatever the answer says of it; a 402 they do not.
    Client(
        "llama-index-402", "llama_index_llm.py", "openai.APIStatusError", ("3",), python=FRAMEWORKS, steps=_ONE_ASYNC,
        refusal_status=402,
    ),
    Client(
        "crewai", "crewai_crew.py", "openai.APIStatusError", python=FRAMEWORKS, tool_requests=2, refusal_status=402,
        refusals=(*REFUSALS, "task_refusal"), steps=(*STEPS, "task_plain"),
    ),
)  # fmt: skip
