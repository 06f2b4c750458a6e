"""LlamaIndex's OpenAI class; it tries again by itself unless it is told not to: the first argument says how often."""

import os
import sys
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from told import ASK, ASK_TOOL, OPENAI_MODEL, OUTPUT_TOKENS, run

MAX_RETRIES = int(sys.argv.pop(1))


def model() -> OpenAI:
    # It knows OPENAI_API_BASE, and not the variable that OpenAI's own client reads.
    api_base = os.environ["OPENAI_BASE_URL"]
    return OpenAI(model=OPENAI_MODEL, max_tokens=OUTPUT_TOKENS, api_base=api_base, max_retries=MAX_RETRIES)


def look(at: int) -> str:
    """Looks at something."""
    return f"{at} seen"


def plain() -> Any:
    return {"text": model().chat([ChatMessage(content=ASK)]).message.content}


def stream() -> Any:
    pieces = [chunk.delta for chunk in model().stream_chat([ChatMessage(content=ASK)]) if chunk.delta]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def tool() -> Any:
    llm = model()
    answer = llm.chat_with_tools([FunctionTool.from_defaults(fn=look)], user_msg=ASK_TOOL)
    call = llm.get_tool_calls_from_response(answer)[0]
    return {"tool": call.tool_name, "arguments": call.tool_kwargs}


async def async_plain() -> Any:
    return {"text": (await model().achat([ChatMessage(content=ASK)])).message.content}


run(
    "llama-index-llms-openai", plain=plain, stream=stream, tool=tool, refusal=plain, stream_refusal=stream,
    async_plain=async_plain, async_refusal=async_plain,
)  # fmt: skip
