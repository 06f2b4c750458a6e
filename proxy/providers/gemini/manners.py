"""What all of Gemini's surfaces share: where they are, how a key is shown and how models are listed."""

from typing import Any
from urllib.parse import parse_qsl

import orjson

from proxy.errors import Dialect, Malformed
from proxy.providers.endpoints import Endpoint
from proxy.providers.model_request import ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.targets import Target

DIALECT = Dialect.GEMINI
VERSIONS = ("v1beta", "v1")
MODELS = tuple(
    Endpoint("models", DIALECT, "GET", f"/gemini/{version}/models", f"/{version}/models", priced=False)
    for version in VERSIONS
)
MODEL = tuple(
    Endpoint("model", DIALECT, "GET", f"/gemini/{version}/models/{{id}}", f"/{version}/models/{{id}}", priced=False)
    for version in VERSIONS
)
ENDPOINTS = (*MODELS, *MODEL)


def methods(name: str, method: str, *, priced: bool = True) -> tuple[Endpoint, ...]:
    """A method of a model, such as ":generateContent", in each version of the API."""
    return tuple(
        Endpoint(
            name,
            DIALECT,
            "POST",
            f"/gemini/{version}/models/{{id}}:{method}",
            f"/{version}/models/{{id}}:{method}",
            priced,
        )
        for version in VERSIONS
    )


def path_of(request: ModelRequest, target: Target) -> str:
    """Where the target answers: the model is in the path."""
    return request.endpoint.upstream_path.replace("{id}", target.model.removeprefix("models/"))


def form_of(query: str) -> str | None:
    """The form of the answer that the query asks for: "sse", or None for the usual one. query: of the route."""
    if not query:
        return None
    asked = {value for name, value in parse_qsl(query) if name == "alt"} - {"json"}
    if asked - {"sse"}:
        raise Malformed(problem="'alt' must be sse or json", param="alt")
    return "sse" if asked else None


def check_model(body: JsonObject, model: str) -> None:
    """Refuse a body that names another model than the path. body: by its canonical names."""
    if body.get("model") not in (None, model, f"models/{model}"):
        raise Malformed(problem="'model' is not the model of the path", param="model")


def with_model(body: JsonObject, target: Target) -> JsonObject:
    """The body with the target's model, where it names one."""
    return body | {"model": f"models/{target.model}"} if body.get("model") is not None else body


def key_headers(key: str) -> list[tuple[str, str]]:
    """The header that carries the provider's key."""
    return [("x-goog-api-key", key)]


def render_models(models: list[str], item: str = "") -> bytes | None:
    """The models in Gemini's form."""
    if item:
        return orjson.dumps(_model(item)) if item in models else None
    return orjson.dumps({"models": [_model(name) for name in models]})


def _model(name: str) -> dict[str, Any]:
    embeds = "embedding" in name
    methods = ["embedContent", "batchEmbedContents"] if embeds else ["generateContent", "countTokens"]
    return {"name": f"models/{name}", "version": "", "displayName": name, "supportedGenerationMethods": methods}
