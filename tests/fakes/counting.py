"""How OpenAI tells people to count a chat's input tokens (its cookbook, "How to count tokens with tiktoken").

The tokenizers are made as tiktoken itself makes them, but for the download, and with the special tokens.
"""

import gzip
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from tiktoken import Encoding
from tiktoken.model import encoding_name_for_model
from tiktoken_ext import openai_public

RANKS = Path(__file__).resolve().parents[2] / "proxy" / "data"
MESSAGE_TOKENS, NAME_TOKENS, REPLY_TOKENS = 3, 1, 3
# A function, its properties, each property, an enum and each of its items, the end.
FUNCTION, PROPERTIES, PROPERTY, ENUM, ITEM, END = 7, 3, 3, -3, 3, 12
FUNCTION_CL100K = 10


def input_tokens(body: dict[str, Any]) -> int:
    """The input of a chat completion without images."""
    name = encoding_name_for_model(str(body["model"]))
    tokens = REPLY_TOKENS + sum(_message(message, name) for message in body["messages"])
    tools = [tool["function"] for tool in body.get("tools") or []]
    return tokens + sum(_function(function, name) for function in tools) + (END if tools else 0)


def _message(message: dict[str, Any], name: str) -> int:
    tokens = MESSAGE_TOKENS + (NAME_TOKENS if "name" in message else 0)
    return tokens + sum(_tokens(value, name) for value in message.values())


def _tokens(value: Any, name: str) -> int:
    if isinstance(value, str):
        return len(encoding(name).encode_ordinary(value))
    if isinstance(value, dict):
        return sum(_tokens(item, name) for item in value.values())
    return sum(_tokens(item, name) for item in value) if isinstance(value, list) else 0


def _function(function: dict[str, Any], name: str) -> int:
    described = f"{function['name']}:{function.get('description', '').rstrip('.')}"
    properties = function.get("parameters", {}).get("properties", {})
    tokens = (FUNCTION_CL100K if name == "cl100k_base" else FUNCTION) + _tokens(described, name)
    tokens += PROPERTIES if properties else 0
    for key, schema in properties.items():
        described = f"{key}:{schema.get('type', '')}:{schema.get('description', '').rstrip('.')}"
        items = schema.get("enum", [])
        tokens += PROPERTY + _tokens(described, name) + (ENUM if items else 0)
        tokens += sum(ITEM + _tokens(item, name) for item in items)
    return tokens


@cache
def encoding(name: str) -> Encoding:
    """tiktoken's own encoding, with the ranks that lie beside the proxy."""
    lines = gzip.decompress((RANKS / f"{name}.tiktoken.gz").read_bytes()).splitlines()
    ranks = {b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
    with mock.patch.object(openai_public, "load_tiktoken_bpe", return_value=ranks):
        return Encoding(**openai_public.ENCODING_CONSTRUCTORS[name]())
