"""A field in another spelling reaches no provider: one written in Go would read it, and we did not."""

from typing import Any

import orjson
import pytest

from proxy.errors import Malformed
from proxy.providers.endpoints import Route
from proxy.providers.openai import chat, completions, embeddings, image_checks, images, responses, transcriptions
from tests.proxy.providers.recordings import mp3

HEAD = "multipart/form-data; boundary=b"
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": [IMAGE]}], "max_tokens": 9}
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
RESPONSE: dict[str, Any] = {"model": "gpt-5", "input": [ITEM], "max_output_tokens": 16}
LEGACY: dict[str, Any] = {"model": "davinci-002", "prompt": "hi"}


def read(module, endpoint, body):
    return module.read_request(Route(endpoint), orjson.dumps(body), {})


def in_message(**more: Any) -> dict[str, Any]:
    return CHAT | {"messages": [CHAT["messages"][0] | more]}


def in_part(**more: Any) -> dict[str, Any]:
    return CHAT | {"messages": [{"role": "user", "content": [IMAGE | more]}]}


@pytest.mark.parametrize(
    ("module", "endpoint", "body", "name"),
    [
        (chat, chat.CHAT, CHAT | {"Max_Tokens": 90_000}, "Max_Tokens"),
        (chat, chat.CHAT, CHAT | {"maxTokens": 90_000}, "maxTokens"),
        (chat, chat.CHAT, CHAT | {"maxCompletionTokens": 90_000}, "maxCompletionTokens"),
        (chat, chat.CHAT, CHAT | {"N": 8}, "N"),
        (chat, chat.CHAT, CHAT | {"ſtream": True}, "ſtream"),
        (chat, chat.CHAT, CHAT | {"extraBody": {"google": {"cached_content": "x"}}}, "extraBody"),
        (chat, chat.CHAT, CHAT | {"tools": [{"type": "function", "Type": "web_search"}]}, "tools.Type"),
        (chat, chat.CHAT, in_message(Content=[IMAGE] * 9), "messages[0].Content"),
        (chat, chat.CHAT, in_part(Type="file"), "messages[0].content[0].Type"),
        (chat, chat.CHAT, in_part(imageUrl={"url": "https://example.com/b.png"}), "messages[0].content[0].imageUrl"),
        (
            chat,
            chat.CHAT,
            in_part(image_url={"url": "https://example.com/b.png", "detail": "low", "Detail": "high"}),
            "messages[0].content[0].image_url.Detail",
        ),
        (completions, completions.COMPLETIONS, LEGACY | {"maxTokens": 9_000}, "maxTokens"),
        (embeddings, embeddings.EMBEDDINGS, {"model": "m", "input": "hi", "Input": ["a"] * 9}, "Input"),
        (images, images.GENERATIONS, {"model": "gpt-image-1.5", "prompt": "hi", "n[]": "10"}, "n[]"),
        (responses, responses.RESPONSES, RESPONSE | {"maxOutputTokens": 90_000}, "maxOutputTokens"),
        (responses, responses.RESPONSES, RESPONSE | {"Background": True}, "Background"),
        (responses, responses.RESPONSES, RESPONSE | {"Prompt": {"id": "pmpt_1"}}, "Prompt"),
        (responses, responses.RESPONSES, RESPONSE | {"input": [ITEM | {"Content": "x"}]}, "input[0].Content"),
        (responses, responses.RESPONSES, RESPONSE | {"tools": [{"type": "function", "TYPE": "mcp"}]}, "tools.TYPE"),
    ],
)
def test_a_field_in_another_spelling_is_refused_by_its_name(module, endpoint, body, name):
    with pytest.raises(Malformed) as refused:
        read(module, endpoint, body)
    assert refused.value.param == name
    assert "write '" in refused.value.problem


@pytest.mark.parametrize("name", ["n[]", "n[0]", "size[]", "N", "outputFormat", "stream[]"])
def test_a_form_has_no_brackets_where_none_belong(name):
    with pytest.raises(Malformed) as refused:
        image_checks.check_fields({"prompt": "a cat", name: "10"})
    assert refused.value.param == name


def test_a_form_may_name_a_list_with_and_without_brackets():
    for name in ("include", "include[]", "timestamp_granularities[]", "timestamp_granularities"):
        parts = {"model": "whisper-1", name: "word"}
        fields = "".join(f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in parts.items())
        file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + mp3(2)
        body = fields.encode() + file + b"\r\n--b--\r\n"
        assert transcriptions.read_request(Route(transcriptions.TRANSCRIPTIONS), body, {"content-type": HEAD})


def test_what_nobody_reads_as_one_of_ours_passes():
    assert read(chat, chat.CHAT, CHAT | {"thinking": {"type": "disabled"}, "Seedling": 1})
    thinking = {"enable_thinking": False, "thinking": True, "reasoning_effort": "low", "documents": None}
    assert read(chat, chat.CHAT, CHAT | {"chat_template_kwargs": thinking})
    assert read(chat, chat.CHAT, in_message(reasoning_content="hm", refusal=None, annotations=[]))
