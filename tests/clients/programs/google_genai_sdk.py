"""Google's own client, with a loop of its own and without. API_VERSION is which form it speaks, where not its own."""

import os
from typing import Any

from google import genai
from google.genai import types
from told import ASK, ASK_TOOL, GEMINI_MODEL, LOOK, OUTPUT_TOKENS, run

PLAIN = types.GenerateContentConfig(max_output_tokens=OUTPUT_TOKENS)
DECLARATION = types.FunctionDeclaration(name="look", description="Looks", parameters_json_schema=LOOK)
WITH_TOOL = types.GenerateContentConfig(
    max_output_tokens=OUTPUT_TOKENS, tools=[types.Tool(function_declarations=[DECLARATION])]
)


def client_of() -> genai.Client:
    version = os.environ.get("API_VERSION")
    return genai.Client(http_options=types.HttpOptions(api_version=version) if version else None)


def plain() -> Any:
    client = client_of()  # what it makes may not outlive it
    return {"text": client.models.generate_content(model=GEMINI_MODEL, contents=ASK, config=PLAIN).text}


def stream() -> Any:
    client = client_of()
    chunks = client.models.generate_content_stream(model=GEMINI_MODEL, contents=ASK, config=PLAIN)
    pieces = [chunk.text for chunk in chunks if chunk.text]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def tool() -> Any:
    client = client_of()
    return _called(client.models.generate_content(model=GEMINI_MODEL, contents=ASK_TOOL, config=WITH_TOOL))


def count() -> Any:
    client = client_of()
    return {"input_tokens": client.models.count_tokens(model=GEMINI_MODEL, contents=ASK).total_tokens}


async def async_plain() -> Any:
    client = client_of()
    answer = await client.aio.models.generate_content(model=GEMINI_MODEL, contents=ASK, config=PLAIN)
    return {"text": answer.text}


async def async_stream() -> Any:
    client = client_of()
    chunks = await client.aio.models.generate_content_stream(model=GEMINI_MODEL, contents=ASK, config=PLAIN)
    pieces = [chunk.text async for chunk in chunks if chunk.text]
    return {"text": "".join(pieces), "pieces": len(pieces)}


async def async_tool() -> Any:
    client = client_of()
    return _called(await client.aio.models.generate_content(model=GEMINI_MODEL, contents=ASK_TOOL, config=WITH_TOOL))


def _called(answer: Any) -> Any:
    call = answer.function_calls[0]
    return {"tool": call.name, "arguments": call.args}


run(
    "google-genai", plain=plain, stream=stream, tool=tool, count=count, refusal=plain, stream_refusal=stream,
    async_plain=async_plain, async_stream=async_stream, async_tool=async_tool, async_refusal=async_plain,
)  # fmt: skip
