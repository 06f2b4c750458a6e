"""Practice moderations: nothing is ever flagged."""

import orjson

from proxy.providers.model_request import ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.sandbox.words import text_of
from proxy.providers.targets import Target

CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The body of the answer, as one piece."""
    value = orjson.loads(sent)["input"]
    texts = value if isinstance(value, list) and all(isinstance(item, str) for item in value) else [value]
    result: JsonObject = {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.0),
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
    named = {"id": f"modr-{text_of(request, sent, 0).id}", "model": target.model}
    return [orjson.dumps({**named, "results": [result] * len(texts)})]
