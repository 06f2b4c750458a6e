"""Every way in writes its row: an endpoint that answers and books nothing would be a budget's back door."""

import struct
from typing import Any

import pytest

from proxy.providers import registry
from proxy.providers.targets import BUILT_IN
from tests.proxy.closing import audit_is_green
from tests.proxy.providers.recordings import wav
from tests.proxy.stage import Stage, all_settled, settled

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 512, 512) + bytes(64)
CLAUDE = {"anthropic-version": "2023-06-01"}
SAY: Any = [{"role": "user", "content": "Say hello"}]

# A request for each endpoint, with how it asks for a stream (None: it has none). A new endpoint needs a line here.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "chat": ({"json": {"model": "gpt-4o-mini", "messages": SAY}}, {"stream": True}),
    "completions": ({"json": {"model": "davinci-002", "prompt": "Say hello"}}, {"stream": True}),
    "embeddings": ({"json": {"model": "text-embedding-3-small", "input": ["a", "b"]}}, None),
    "responses": ({"json": {"model": "gpt-5-mini", "input": "Say hello", "max_output_tokens": 50}}, {"stream": True}),
    "image_generations": (
        {"json": {"model": "gpt-image-1.5", "prompt": "A dot", "quality": "low", "partial_images": 2}},
        {"stream": True},
    ),
    "image_edits": (
        {"files": {"image": ("dot.png", PNG, "image/png")}, "data": {"model": "gpt-image-1-mini", "prompt": "Redder"}},
        {"stream": "true"},
    ),
    "speech": ({"json": {"model": "tts-1", "input": "Say hello", "voice": "alloy"}}, None),
    "transcriptions": (
        {"files": {"file": ("a.wav", wav(1.5), "audio/wav")}, "data": {"model": "gpt-transcribe"}},
        {"stream": "true"},
    ),
    "translations": ({"files": {"file": ("a.wav", wav(60), "audio/wav")}, "data": {"model": "whisper-1"}}, None),
    "messages": (
        {"json": {"model": "claude-haiku-4-5", "max_tokens": 20, "messages": SAY}, "headers": CLAUDE},
        {"stream": True},
    ),
}
for _name in ("generate_content", "stream_generate_content"):
    CASES[_name] = ({"json": {"contents": [{"role": "user", "parts": [{"text": "Say hello"}]}]}}, None)
CASES["embed_content"] = ({"json": {"content": {"parts": [{"text": "a"}]}}}, None)
CASES["batch_embed_contents"] = (
    {"json": {"requests": [{"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}}]}},
    None,
)
# The model of a provider that is not the one above.
MODELS = {("chat", "google"): "gemini-2.5-flash", ("embeddings", "google"): "gemini-embedding-001"}
PAIRS = [
    (endpoint, stream, provider)
    for endpoint in registry.endpoints()
    if endpoint.priced and endpoint.method == "POST"
    for provider in BUILT_IN.values()
    if provider.serves(endpoint)
    for stream in ([False] if CASES.get(endpoint.name, (0, None))[1] is None else [False, True])
]


def path_of(endpoint: Any) -> str:
    """Gemini's own form has the model in its path."""
    model = "gemini-embedding-001" if "embed" in endpoint.name else "gemini-2.5-flash"
    return str(endpoint.path.replace("{id}", model))


@pytest.mark.parametrize(("endpoint", "stream", "provider"), PAIRS, ids=lambda value: getattr(value, "name", value))
def test_an_answer_means_exactly_one_charged_row(on: Stage, endpoint: Any, stream: bool, provider: Any) -> None:
    """Scenarios B16 and B17: success through any endpoint writes exactly one row, with the provider's bill."""
    assert endpoint.name in CASES, f"{endpoint.name} is accepted and has no case here"
    request, as_stream = CASES[endpoint.name]
    where = "json" if "json" in request else "data"
    body = request[where] | (as_stream or {} if stream else {})
    if model := MODELS.get((endpoint.name, provider.name)):
        body |= {"model": f"{provider.name}/{model}"}
    worker = on.worker()
    answer = on.post(worker.key, path_of(endpoint), **request | {where: body})
    assert answer.status_code == 200, answer.text
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.endpoint, row.provider, row.status, row.basis) == (endpoint.name, provider.name, "settled", "usage")
    assert row.cost_pico == worker.spent_pico == on.fake.billed_pico() > 0
    assert len(worker.calls()) == 1
    assert worker.held_pico == 0


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in registry.endpoints() if endpoint.priced])
def test_a_test_key_is_answered_and_charged_on_every_endpoint(on: Stage, endpoint: Any) -> None:
    """Scenario B16, for practice calls."""
    request, _ = CASES[endpoint.name]
    answer = on.post(on.alice.test_key, path_of(endpoint), **request)
    assert answer.status_code == 200, answer.text
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.endpoint, row.status, row.practice) == (endpoint.name, "settled", True)
    assert row.cost_pico > 0
    assert on.fake.stats()["requests"] == 0


def test_the_audit_prices_every_one_of_these_calls_again_and_agrees(on: Stage) -> None:
    all_settled()
    audit_is_green()
