"""What all of Anthropic's surfaces share: how a key is shown and how models are listed."""

from typing import Any

import orjson

from proxy.errors import Dialect
from proxy.providers.endpoints import Endpoint

DIALECT = Dialect.ANTHROPIC
MODELS = Endpoint("models", DIALECT, "GET", "/v1/models", "/v1/models", priced=False)
MODEL = Endpoint("model", DIALECT, "GET", "/v1/models/{id}", "/v1/models/{id}", priced=False)
ENDPOINTS = (MODELS, MODEL)


def key_headers(key: str) -> list[tuple[str, str]]:
    """The header that carries the provider's key."""
    return [("x-api-key", key)]


def render_models(models: list[str], item: str = "") -> bytes | None:
    """The models in Anthropic's form."""
    if item:
        return orjson.dumps(_model(item)) if item in models else None
    ends = {"first_id": models[0], "last_id": models[-1]} if models else {"first_id": None, "last_id": None}
    return orjson.dumps({"data": [_model(name) for name in models], "has_more": False, **ends})


def _model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
