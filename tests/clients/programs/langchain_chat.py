"""LangChain's chat models of both dialects: the first argument says whose."""

import sys
from typing import Any

from told import ANTHROPIC_MODEL, ASK, ASK_TOOL, OPENAI_MODEL, OUTPUT_TOKENS, run

DIALECT = sys.argv.pop(1)


def model() -> Any:
    if DIALECT == "openai":
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model=OPENAI_MODEL, max_tokens=OUTPUT_TOKENS)
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(model=ANTHROPIC_MODEL, max_tokens=OUTPUT_TOKENS)


def look(at: int) -> str:
    """Looks at something."""
    return f"{at} seen"


def plain() -> Any:
    return {"text": model().invoke(ASK).text}


def stream() -> Any:
    chunks = list(model().stream(ASK))
    pieces = [chunk.text for chunk in chunks if chunk.text]
    told = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    return {"text": "".join(pieces), "pieces": len(pieces), "output_tokens": sum(one["output_tokens"] for one in told)}


def tool() -> Any:
    call = model().bind_tools([look]).invoke(ASK_TOOL).tool_calls[0]
    return {"tool": call["name"], "arguments": call["args"]}


async def async_plain() -> Any:
    return {"text": (await model().ainvoke(ASK)).text}


run(
    f"langchain-{DIALECT}", plain=plain, stream=stream, tool=tool, refusal=plain, stream_refusal=stream,
    async_plain=async_plain, async_refusal=async_plain,
)  # fmt: skip
