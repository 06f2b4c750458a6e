"""What all of OpenAI's surfaces share: how a key is shown and how models are listed."""

from typing import Any

import orjson

from proxy.errors import Dialect
from proxy.providers.endpoints import Endpoint

DIALECT = Dialect.OPENAI
MODELS = Endpoint("models", DIALECT, "GET", "/v1/models", "/models", priced=False)
MODEL = Endpoint("model", DIALECT, "GET", "/v1/models/{id}", "/models/{id}", priced=False)
ENDPOINTS = (MODELS, MODEL)


def key_headers(key: str) -> list[tuple[str, str]]:
    """The header that carries the provider's key."""
    return [("authorization", f"Bearer {key}")]


def render_models(models: list[str], item: str = "") -> bytes | None:
    """The models in OpenAI's form."""
    if item:
        return orjson.dumps(_model(item)) if item in models else None
    return orjson.dumps({"object": "list", "data": [_model(name) for name in models]})


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "system"}
