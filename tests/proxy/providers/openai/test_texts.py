"""Everything a tokenizer reads is counted: only the base64 of an image, which is bounded apart, is not."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken.model import encoding_name_for_model

from proxy.bounds import NODE_TOKENS
from proxy.counter import count_tokens
from proxy.providers.endpoints import Route
from proxy.providers.openai import chat
from proxy.providers.openai.texts import PART_TOKENS, texts_of
from tests.fakes import counting
from tests.proxy.providers.openai.test_chat import png

FAR_AWAY = float("inf")


def read(body):
    return chat.read_request(Route(chat.CHAT), orjson.dumps(body), {})


def body_of(content, **fields):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]} | fields


def test_every_string_and_key_is_there_once():
    strings = texts_of(body_of("Hello", user="u-1", seed=7)).strings
    wanted = ["model", "gpt-4o", "messages", "role", "user", "content", "Hello", "user", "u-1", "seed", "7"]
    assert sorted(strings) == sorted(wanted)


def test_messages_and_parts_are_framed_and_nodes_counted():
    one, two = (texts_of(body_of([{"type": "text", "text": ""}] * parts)).framing_tokens for parts in (1, 2))
    assert two - one == PART_TOKENS + 3 * NODE_TOKENS


def test_tools_count_as_json_and_by_their_nodes():
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"é": 1}}}]
    plain, found = texts_of(body_of("x")), texts_of(body_of("x", tools=tools))
    assert orjson.dumps(tools).decode() in found.strings
    assert found.framing_tokens - plain.framing_tokens == 7 * NODE_TOKENS + 2 * 2  # é, written as \u00e9


def image(url, **extra):
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}} | extra


def test_the_data_of_an_image_is_not_text():
    url = png(10, 10, padding=3_000)
    assert not any(url in text for text in texts_of(body_of([image(url)])).strings)


def test_what_else_stands_in_an_image_is_text():
    strings = texts_of(body_of([image(png(10, 10), text="read me")])).strings
    assert {"read me", "low", "text"} <= set(strings)


@pytest.mark.parametrize("where", ["text", "user", "url"])
def test_base64_that_is_not_an_image_of_the_call_is_text(where):
    url = png(10, 10, padding=3_000)
    body = body_of([{"type": "text", "text": url if where == "text" else ""}])
    if where == "user":
        body["metadata"] = image(url)
    if where == "url":
        url = "https://example.com/a.png"
        body["messages"][0]["content"].append(image(url))
    assert url in texts_of(body).strings


words = st.sampled_from(["the", "budget", "naïve", "預算", "🙂", "3.14159", "\n\n", "    ", "x" * 70, "{}", "I'll"])
prose = st.lists(words | st.text(max_size=12), max_size=30).map(" ".join)
properties = st.dictionaries(
    st.text(max_size=12),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer"]), "description": prose},
        optional={"enum": st.lists(prose, max_size=4)},
    ),
    max_size=5,
)
functions = st.fixed_dictionaries(
    {
        "name": st.text(min_size=1, max_size=20),
        "description": prose,
        "parameters": st.fixed_dictionaries({"type": st.just("object"), "properties": properties}),
    }
)
calls = st.fixed_dictionaries(
    {
        "id": st.text(max_size=20),
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {"name": prose, "arguments": properties.map(lambda p: orjson.dumps(p).decode())}
        ),
    }
)
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool", "developer"]),
        "content": prose | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": prose}), max_size=3),
    },
    optional={"name": prose, "tool_calls": st.lists(calls, max_size=2)},
)
chats = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["gpt-4o", "gpt-5-mini", "gpt-4.1", "gpt-3.5-turbo", "gpt-4"]),
        "messages": st.lists(messages, min_size=1, max_size=6),
    },
    optional={
        "tools": st.lists(functions.map(lambda function: {"type": "function", "function": function}), max_size=3),
    },
)


def is_bounded(body):
    encoding = encoding_name_for_model(body["model"])
    return count_tokens(read(body), encoding, FAR_AWAY) >= counting.input_tokens(body)


@settings(max_examples=150, deadline=None)
@given(chats)
def test_no_count_is_below_what_openai_bills_by_its_own_rules(body):
    assert is_bounded(body)


TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look a word up in the dictionary of a language, and say where it comes from.",
        "parameters": {
            "type": "object",
            "properties": {
                "word": {"type": "string", "description": "The word as it was written."},
                "language": {"type": "string", "enum": ["English", "Deutsch", "日本語"]},
            },
        },
    },
}


# What is counted too low in one place shows only where many make up for the constant.
@pytest.mark.parametrize(
    "many",
    [
        {"messages": [{"role": "user", "content": "hi"}] * 1_000},
        {"messages": [{"role": "user", "content": "hi", "name": "ann"}] * 1_000},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}] * 1_000}]},
        {"messages": [{"role": "user", "content": "hi"}], "tools": [TOOL] * 300},
    ],
    ids=["messages", "names", "parts", "tools"],
)
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_a_thousand_of_one_kind_are_bounded(many, model):
    assert is_bounded({"model": model} | many)
