"""OpenAI's own client, with a loop of its own and without."""

import json
from typing import Any

from openai import AsyncOpenAI, OpenAI
from told import ASK, ASK_TOOL, LOOK, OPENAI_MODEL, OUTPUT_TOKENS, run

TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]
FLAT_TOOLS: Any = [{"type": "function", "name": "look", "parameters": LOOK, "strict": False}]
RESPONSE: Any = {"model": OPENAI_MODEL, "max_output_tokens": OUTPUT_TOKENS}
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


def responses_plain() -> Any:
    return {"text": OpenAI().responses.create(input=ASK, **RESPONSE).output_text}


def responses_stream() -> Any:
    events = list(OpenAI().responses.create(input=ASK, stream=True, **RESPONSE))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def responses_tool() -> Any:
    output = OpenAI().responses.create(input=ASK_TOOL, tools=FLAT_TOOLS, **RESPONSE).output
    return _called(next(item for item in output if item.type == "function_call"))


def _called(function: Any) -> Any:
    return {"tool": function.name, "arguments": json.loads(function.arguments)}


run(
    "openai", plain=plain, stream=stream, tool=tool, refusal=plain, stream_refusal=stream,
    async_plain=async_plain, async_stream=async_stream, async_tool=async_tool, async_refusal=async_plain,
    responses_plain=responses_plain, responses_stream=responses_stream, responses_tool=responses_tool,
    responses_refusal=responses_plain,
)  # fmt: skip
