"""OpenAI's own client, with a loop of its own and without."""

import json
from typing import Any

from openai import AsyncOpenAI, OpenAI
from told import ASK, ASK_TOOL, LOOK, OPENAI_MODEL, OUTPUT_TOKENS, run

TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]
CALL: Any = {"model": OPENAI_MODEL, "max_completion_tokens": OUTPUT_TOKENS}


def messages(text: str) -> Any:
    return [{"role": "user", "content": text}]


def plain() -> Any:
    return {"text": OpenAI().chat.completions.create(messages=messages(ASK), **CALL).choices[0].message.content}


def stream() -> Any:
    chunks = list(OpenAI().chat.completions.create(messages=messages(ASK), stream=True, **CALL))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]  # an extra chunk without choices fails here
    return {"text": "".join(pieces), "pieces": len(list(filter(None, pieces)))}


def tool() -> Any:
    answer = OpenAI().chat.completions.create(messages=messages(ASK_TOOL), tools=TOOLS, **CALL)
    return _called((answer.choices[0].message.tool_calls or [])[0].function)


async def async_plain() -> Any:
    async with AsyncOpenAI() as client:
        answer = await client.chat.completions.create(messages=messages(ASK), **CALL)
    return {"text": answer.choices[0].message.content}


async def async_stream() -> Any:
    async with AsyncOpenAI() as client:
        chunks = [c async for c in await client.chat.completions.create(messages=messages(ASK), stream=True, **CALL)]
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    return {"text": "".join(pieces), "pieces": len(list(filter(None, pieces)))}


async def async_tool() -> Any:
    async with AsyncOpenAI() as client:
        answer = await client.chat.completions.create(messages=messages(ASK_TOOL), tools=TOOLS, **CALL)
    return _called((answer.choices[0].message.tool_calls or [])[0].function)


def _called(function: Any) -> Any:
    return {"tool": function.name, "arguments": json.loads(function.arguments)}


run(
    "openai", plain=plain, stream=stream, tool=tool, refusal=plain, stream_refusal=stream,
    async_plain=async_plain, async_stream=async_stream, async_tool=async_tool, async_refusal=async_plain,
)  # fmt: skip
