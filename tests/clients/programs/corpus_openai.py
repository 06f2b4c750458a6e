"""Every kind of request that OpenAI's client for Python sends, to RECORDER; the first segment names each."""

import asyncio
import os
from typing import Any

from corpus_parts import PIXEL, SCHEMA, WEATHER, Weather, drive
from openai import AsyncOpenAI, OpenAI

MODEL = "gpt-4o-mini"
ASK: Any = [{"role": "user", "content": "Say hello — in Norwegian, «hei», or with a wave 👋"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "Tells it", "parameters": WEATHER, "strict": True},
    }
]
FLAT_TOOLS: Any = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}]
CALLED: Any = [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Oslo"}'}}]
CONVERSATION: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
    {"role": "assistant", "content": None, "tool_calls": CALLED},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"degrees": -3.5}'},
]
PICTURE: Any = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
        ],
    }
]
SEEN: Any = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is it?"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"},
        ],
    }
]
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True}}


def chat(**fields: Any) -> Any:
    return lambda client: client.chat.completions.create(**{"model": MODEL, "messages": ASK, **fields})


def responses(**fields: Any) -> Any:
    return lambda client: client.responses.create(**{"model": MODEL, "input": "Say hello.", **fields})


def embeddings(**fields: Any) -> Any:
    return lambda client: client.embeddings.create(**{"model": "text-embedding-3-small", **fields})


CALLS = {
    "chat-plain": chat(),
    "chat-capped": chat(max_completion_tokens=50),
    "chat-old-cap": chat(max_tokens=50),
    "chat-stream": chat(stream=True),
    "chat-stream-usage": chat(stream=True, stream_options={"include_usage": True}),
    "chat-stream-helper": lambda client: _enter(client.chat.completions.stream(model=MODEL, messages=ASK)),
    "chat-tools": chat(tools=TOOLS, tool_choice="auto", parallel_tool_calls=False),
    "chat-tool-named": chat(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "weather"}}),
    "chat-conversation": chat(messages=CONVERSATION, tools=TOOLS),
    "chat-image": chat(messages=PICTURE),
    "chat-structured": chat(response_format=FORMAT),
    "chat-parsed": lambda client: client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Weather),
    "chat-json": chat(response_format={"type": "json_object"}),
    "chat-choices": chat(n=2, logprobs=True, top_logprobs=3, max_completion_tokens=20),
    "chat-knobs": chat(
        temperature=0.2, top_p=0.9, frequency_penalty=-0.5, presence_penalty=1, seed=2**40, stop=["\n\n", "END"],
        logit_bias={"50256": -100}, user="user-7", metadata={"run": "7"}, store=False,
    ),
    "chat-reasoning": chat(
        model="gpt-5-mini", reasoning_effort="low", verbosity="low", prompt_cache_key="greeting",
        messages=[{"role": "developer", "content": "Be brief."}, *ASK],
    ),
    "chat-prediction": chat(prediction={"type": "content", "content": "Hello there"}),
    "chat-tier": chat(service_tier="flex", model="gpt-5-mini"),
    "chat-extra": chat(extra_body={"novelty": [1, 2.5, None, {"deep": True}]}),
    "responses-plain": responses(),
    "responses-capped": responses(max_output_tokens=64, instructions="Be brief."),
    "responses-stream": responses(stream=True),
    "responses-tools": responses(tools=FLAT_TOOLS, tool_choice="auto", parallel_tool_calls=False),
    "responses-conversation": responses(
        input=[
            {"role": "user", "content": "Weather?"},
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"place": "Oslo"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": '{"degrees": -3.5}'},
        ],
        tools=FLAT_TOOLS,
    ),
    "responses-image": responses(input=SEEN),
    "responses-parsed": lambda client: client.responses.parse(model=MODEL, input="Weather?", text_format=Weather),
    "responses-reasoning": responses(
        model="gpt-5-mini", reasoning={"effort": "low"}, text={"verbosity": "low"}, store=False,
        include=["reasoning.encrypted_content"],
    ),
    "embeddings-plain": embeddings(input="Say hello."),
    "embeddings-many": embeddings(input=["one", "two", "três"], dimensions=256),
    "embeddings-floats": embeddings(input="Say hello.", encoding_format="float", user="user-7"),
    "embeddings-tokens": embeddings(input=[[9906, 11], [1917]]),
}  # fmt: skip


def _enter(manager: Any) -> None:
    with manager as running:
        list(running)


def client_of(name: str) -> OpenAI:
    return OpenAI(base_url=f"{os.environ['RECORDER']}/{name}/v1", api_key="none", max_retries=0)


async def asynchronous() -> None:
    async with AsyncOpenAI(base_url=f"{os.environ['RECORDER']}/chat-async/v1", api_key="none", max_retries=0) as client:
        await client.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS, stream=True)


drive(CALLS, client_of)
asyncio.run(asynchronous())
