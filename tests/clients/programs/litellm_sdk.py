"""LiteLLM's SDK in both dialects: the first argument says which."""

import json
import sys
from typing import Any

import litellm
from told import ANTHROPIC_MODEL, ASK, ASK_TOOL, LOOK, OPENAI_MODEL, OUTPUT_TOKENS, run

DIALECT = sys.argv.pop(1)
MODEL = f"openai/{OPENAI_MODEL}" if DIALECT == "openai" else f"anthropic/{ANTHROPIC_MODEL}"
CALL: Any = {"model": MODEL, "max_tokens": OUTPUT_TOKENS}
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]


def messages(text: str) -> Any:
    return [{"role": "user", "content": text}]


def plain() -> Any:
    return {"text": litellm.completion(messages=messages(ASK), **CALL).choices[0].message.content}


def stream() -> Any:
    chunks = list(litellm.completion(messages=messages(ASK), stream=True, **CALL))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def tool() -> Any:
    answer = litellm.completion(messages=messages(ASK_TOOL), tools=TOOLS, **CALL)
    function = answer.choices[0].message.tool_calls[0].function
    return {"tool": function.name, "arguments": json.loads(function.arguments)}


async def async_plain() -> Any:
    return {"text": (await litellm.acompletion(messages=messages(ASK), **CALL)).choices[0].message.content}


run(
    "litellm", plain=plain, stream=stream, tool=tool, refusal=plain, stream_refusal=stream,
    async_plain=async_plain, async_refusal=async_plain,
)  # fmt: skip
