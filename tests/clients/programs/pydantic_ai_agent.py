"""Pydantic AI's agent in each dialect: the first argument says which."""

import sys
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.settings import ModelSettings
from told import ANTHROPIC_MODEL, ASK, ASK_TOOL, OPENAI_MODEL, OUTPUT_TOKENS, run

DIALECT = sys.argv.pop(1)
MODELS = {
    "openai": f"openai-chat:{OPENAI_MODEL}",
    "responses": f"openai-responses:{OPENAI_MODEL}",
    "anthropic": f"anthropic:{ANTHROPIC_MODEL}",
}
MODEL = MODELS[DIALECT]
SETTINGS = ModelSettings(max_tokens=OUTPUT_TOKENS)


def plain() -> Any:
    return {"text": Agent(MODEL, model_settings=SETTINGS).run_sync(ASK).output}


async def stream() -> Any:
    async with Agent(MODEL, model_settings=SETTINGS).run_stream(ASK) as running:
        pieces = [piece async for piece in running.stream_text(delta=True, debounce_by=None)]
        tokens = running.usage.output_tokens
    return {"text": "".join(pieces), "pieces": len(list(filter(None, pieces))), "output_tokens": tokens}


def tool() -> Any:
    called: list[Any] = []
    agent = Agent(MODEL, model_settings=SETTINGS)

    @agent.tool_plain
    def look(at: int) -> str:
        called.append({"tool": "look", "arguments": {"at": at}})
        return f"{at} seen"

    text = agent.run_sync(ASK_TOOL).output
    return called[0] | {"times": len(called), "text": text}


async def async_plain() -> Any:
    return {"text": (await Agent(MODEL, model_settings=SETTINGS).run(ASK)).output}


run(
    "pydantic-ai-slim", plain=plain, stream=stream, tool=tool, refusal=plain, stream_refusal=stream,
    async_plain=async_plain, async_refusal=async_plain,
)  # fmt: skip
