"""Anthropic's own client, with a loop of its own and without."""

from typing import Any

from anthropic import Anthropic, AsyncAnthropic
from told import ANTHROPIC_MODEL, ASK, ASK_TOOL, LOOK, OUTPUT_TOKENS, run

TOOLS: Any = [{"name": "look", "input_schema": LOOK}]
CALL: Any = {"model": ANTHROPIC_MODEL, "max_tokens": OUTPUT_TOKENS}


def messages(text: str) -> Any:
    return [{"role": "user", "content": text}]


def plain() -> Any:
    return _text(Anthropic().messages.create(messages=messages(ASK), **CALL))


def stream() -> Any:
    with Anthropic().messages.stream(messages=messages(ASK), **CALL) as running:
        pieces = list(running.text_stream)
        tokens = running.get_final_message().usage.output_tokens
    return {"text": "".join(pieces), "pieces": len(pieces), "output_tokens": tokens}


def tool() -> Any:
    return _called(Anthropic().messages.create(messages=messages(ASK_TOOL), tools=TOOLS, **CALL))


def count() -> Any:
    return {
        "input_tokens": Anthropic().messages.count_tokens(model=ANTHROPIC_MODEL, messages=messages(ASK)).input_tokens
    }


async def async_plain() -> Any:
    async with AsyncAnthropic() as client:
        return _text(await client.messages.create(messages=messages(ASK), **CALL))


async def async_stream() -> Any:
    async with AsyncAnthropic() as client, client.messages.stream(messages=messages(ASK), **CALL) as running:
        pieces = [piece async for piece in running.text_stream]
    return {"text": "".join(pieces), "pieces": len(pieces)}


async def async_tool() -> Any:
    async with AsyncAnthropic() as client:
        return _called(await client.messages.create(messages=messages(ASK_TOOL), tools=TOOLS, **CALL))


def _text(message: Any) -> Any:
    return {"text": "".join(block.text for block in message.content if block.type == "text")}


def _called(message: Any) -> Any:
    use = next(block for block in message.content if block.type == "tool_use")
    return {"tool": use.name, "arguments": use.input}


run(
    "anthropic", plain=plain, stream=stream, tool=tool, count=count, refusal=plain, stream_refusal=stream,
    async_plain=async_plain, async_stream=async_stream, async_tool=async_tool, async_refusal=async_plain,
)  # fmt: skip
