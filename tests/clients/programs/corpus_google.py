"""Every kind of request that Google's client for Python sends, to RECORDER; the first segment names each."""

import asyncio
import base64
import contextlib
import os
from typing import Any

from corpus_parts import PIXEL, SCHEMA, WEATHER, Weather, drive
from google import genai
from google.genai import types

MODEL = "gemini-2.5-flash"
ASK = "Say hello — in Norwegian, «hei», or with a wave 👋"
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="weather", description="Tells it", parameters_json_schema=WEATHER)
    ]
)
CONVERSATION = [
    types.Content(role="user", parts=[types.Part(text="Weather?")]),
    types.Content(role="model", parts=[types.Part.from_function_call(name="weather", args={"place": "Oslo"})]),
    types.Content(role="user", parts=[types.Part.from_function_response(name="weather", response={"degrees": -3.5})]),
]
PICTURE = [types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png"), "What is it?"]


def generate(contents: Any = ASK, **config: Any) -> Any:
    given = types.GenerateContentConfig(**config) if config else None
    return lambda client: client.models.generate_content(model=MODEL, contents=contents, config=given)


CALLS = {
    "generate-plain": generate(),
    "generate-capped": generate(max_output_tokens=64, temperature=0.2, top_p=0.9, top_k=40, stop_sequences=["END"]),
    "generate-tools": generate(
        tools=[TOOL],
        tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode="ANY")),
    ),
    "generate-conversation": generate(CONVERSATION, tools=[TOOL]),
    "generate-image": generate(PICTURE),
    "generate-system": generate(system_instruction="Be brief."),
    "generate-structured": generate(response_mime_type="application/json", response_json_schema=SCHEMA),
    "generate-typed": generate(response_mime_type="application/json", response_schema=Weather),
    "generate-thinking": generate(thinking_config=types.ThinkingConfig(thinking_budget=128), max_output_tokens=512),
    "generate-choices": generate(candidate_count=2, seed=7),
    "generate-safety": generate(
        safety_settings=[
            types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_ONLY_HIGH")
        ]
    ),
    "generate-stream": lambda client: list(client.models.generate_content_stream(model=MODEL, contents=ASK)),
    "generate_count-plain": lambda client: client.models.count_tokens(model=MODEL, contents=ASK),
    "embed-plain": lambda client: client.models.embed_content(model="gemini-embedding-001", contents=ASK),
    "embed-many": lambda client: client.models.embed_content(
        model="gemini-embedding-001", contents=["one", "two"],
        config=types.EmbedContentConfig(output_dimensionality=256),
    ),
}  # fmt: skip


def client_of(name: str) -> genai.Client:
    url = f"{os.environ['RECORDER']}/{name}"
    return genai.Client(api_key="none", http_options=types.HttpOptions(base_url=url))


async def asynchronous() -> None:
    models = client_of("generate-async").aio.models
    config = types.GenerateContentConfig(tools=[TOOL])
    with contextlib.suppress(Exception):
        async for _ in await models.generate_content_stream(model=MODEL, contents=ASK, config=config):
            pass


drive(CALLS, client_of)
asyncio.run(asynchronous())
