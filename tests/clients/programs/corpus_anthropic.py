"""Every kind of request that Anthropic's client for Python sends, to RECORDER; the first segment names each."""

import asyncio
import os
from typing import Any

from anthropic import Anthropic, AsyncAnthropic
from corpus_parts import PIXEL, SCHEMA, WEATHER, Weather, drive

MODEL = "claude-haiku-4-5"
ASK: Any = [{"role": "user", "content": "Say hello — in Norwegian, «hei», or with a wave 👋"}]
TOOLS: Any = [{"name": "weather", "description": "Tells it", "input_schema": WEATHER}]
CONVERSATION: Any = [
    {"role": "user", "content": [{"type": "text", "text": "Weather?", "cache_control": {"type": "ephemeral"}}]},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": "Oslo", "unit": "C"}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "-3.5"}]},
]
PICTURE: Any = [
    {
        "role": "user",
        "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            {"type": "text", "text": "What is it?"},
        ],
    }
]
SYSTEM: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
FORMAT: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}


def messages(**fields: Any) -> Any:
    return lambda client: client.messages.create(**{"model": MODEL, "max_tokens": 64, "messages": ASK, **fields})


CALLS = {
    "messages-plain": messages(),
    "messages-stream": messages(stream=True),
    "messages-stream-helper": lambda client: _enter(
        client.messages.stream(model=MODEL, max_tokens=64, messages=ASK)
    ),
    "messages-tools": messages(tools=TOOLS, tool_choice={"type": "auto", "disable_parallel_tool_use": True}),
    "messages-conversation": messages(messages=CONVERSATION, tools=TOOLS),
    "messages-image": messages(messages=PICTURE),
    "messages-system": messages(system=SYSTEM),
    "messages-structured": messages(output_config=FORMAT),
    "messages-parsed": lambda client: client.messages.parse(
        model=MODEL, max_tokens=64, messages=ASK, output_format=Weather
    ),
    "messages-thinking": messages(
        model="claude-sonnet-4-5", max_tokens=4096, thinking={"type": "enabled", "budget_tokens": 1024}
    ),
    "messages-effort": messages(model="claude-opus-4-8", output_config={"effort": "low"}),
    "messages-knobs": messages(
        stop_sequences=["END"], metadata={"user_id": "user-7"}, service_tier="standard_only",
        extra_body={"temperature": 0.2, "top_k": 40, "top_p": 0.9},
    ),
    "messages-extra": messages(extra_body={"novelty": [1, 2.5, None, {"deep": True}]}),
    "count_tokens-plain": lambda client: client.messages.count_tokens(model=MODEL, messages=ASK, tools=TOOLS),
}  # fmt: skip


def _enter(manager: Any) -> None:
    with manager as running:
        list(running)


def client_of(name: str) -> Anthropic:
    return Anthropic(base_url=f"{os.environ['RECORDER']}/{name}", api_key="none", max_retries=0)


async def asynchronous() -> None:
    url = f"{os.environ['RECORDER']}/messages-async"
    async with AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        await client.messages.create(model=MODEL, max_tokens=64, messages=ASK, tools=TOOLS, stream=True)


drive(CALLS, client_of)
asyncio.run(asynchronous())
