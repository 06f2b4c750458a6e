"""Google's own client, with a loop of its own and without."""

from typing import Any

from google import genai
from google.genai import types
from told import ASK, ASK_TOOL, GEMINI_MODEL, LOOK, OUTPUT_TOKENS, run

PLAIN = types.GenerateContentConfig(max_output_tokens=OUTPUT_TOKENS)
DECLARATION = types.FunctionDeclaration(name="look", description="Looks", parameters_json_schema=LOOK)
WITH_TOOL = types.GenerateContentConfig(
    max_output_tokens=OUTPUT_TOKENS, tools=[types.Tool(function_declarations=[DECLARATION])]
)


def plain() -> Any:
    return {"text": genai.Client().models.generate_content(model=GEMINI_MODEL, contents=ASK, config=PLAIN).text}


def stream() -> Any:
    client = genai.Client()
    chunks = client.models.generate_content_stream(model=GEMINI_MODEL, contents=ASK, config=PLAIN)
    pieces = [chunk.text for chunk in chunks if chunk.text]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def tool() -> Any:
    client = genai.Client()
    return _called(client.models.generate_content(model=GEMINI_MODEL, contents=ASK_TOOL, config=WITH_TOOL))


def count() -> Any:
    return {"input_tokens": genai.Client().models.count_tokens(model=GEMINI_MODEL, contents=ASK).total_tokens}


async def async_plain() -> Any:
    answer = await genai.Client().aio.models.generate_content(model=GEMINI_MODEL, contents=ASK, config=PLAIN)
    return {"text": answer.text}


async def async_stream() -> Any:
    models = genai.Client().aio.models
    chunks = await models.generate_content_stream(model=GEMINI_MODEL, contents=ASK, config=PLAIN)
    pieces = [chunk.text async for chunk in chunks if chunk.text]
    return {"text": "".join(pieces), "pieces": len(pieces)}


async def async_tool() -> Any:
    models = genai.Client().aio.models
    return _called(await models.generate_content(model=GEMINI_MODEL, contents=ASK_TOOL, config=WITH_TOOL))


def _called(answer: Any) -> Any:
    call = answer.function_calls[0]
    return {"tool": call.name, "arguments": call.args}


run(
    "google-genai", plain=plain, stream=stream, tool=tool, count=count, refusal=plain, stream_refusal=stream,
    async_plain=async_plain, async_stream=async_stream, async_tool=async_tool, async_refusal=async_plain,
)  # fmt: skip
