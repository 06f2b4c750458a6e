"""What goes over the wire, to the byte: recorded requests to a provider, and its answers back to the client."""

from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from tests import cast
from tests.fakes.recorder import Answer, Recorder, recorder
from tests.proxy.corpus import Recorded, documented, recorded
from tests.proxy.stage import PROVIDER_KEY, connect_providers, settled
from tests.servers import ProxyServer, proxy_server

ASK = {"model": "gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
SPLIT_BYTES = 41
EVENTS = "text/event-stream; charset=utf-8"


@pytest.fixture(scope="module")
def alice(committed_database: str) -> cast.Person:
    alice = cast.alice()
    connect_providers(alice)
    return alice


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recorder]:
    with recorder() as running:
        yield running


@pytest.fixture(scope="module")
def server(alice: cast.Person, upstream: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    environment = {
        "SHREDDER_OPENAI_BASE_URL": f"{upstream.url}/v1",
        "SHREDDER_ANTHROPIC_BASE_URL": upstream.url,
        "SHREDDER_GEMINI_BASE_URL": upstream.url,
    }
    with proxy_server(tmp_path_factory.mktemp("wire") / "server.log", environment=environment) as running:
        yield running


class Wire:
    """A client's side of the wire, and the provider's."""

    def __init__(self, server: ProxyServer, upstream: Recorder, key: str, client: httpx.Client) -> None:
        self._root, self._client = f"{server.address}/proxy", client
        self.upstream, self.key = upstream, key

    def send(self, path: str, body: str | bytes, **headers: str) -> httpx.Response:
        self.upstream.received.clear()
        own = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        return self._client.post(f"{self._root}{path}", content=body, headers={**own, **headers})

    def chat(self, answer: Answer, **fields: object) -> httpx.Response:
        self.upstream.answer = answer
        return self.send("/v1/chat/completions", httpx.Request("POST", "http://x", json=ASK | fields).content)

    def get(self, path: str) -> httpx.Response:
        return self._client.get(f"{self._root}{path}", headers={"authorization": f"Bearer {self.key}"})


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def wire(server: ProxyServer, upstream: Recorder, alice: cast.Person, client: httpx.Client) -> Wire:
    return Wire(server, upstream, alice.live_key, client)


def upstream_answer(one: Recorded) -> Answer:
    content_type = EVENTS if one.streams else "application/json"
    return Answer(one.answer(upstream=True), content_type, split=SPLIT_BYTES)


@pytest.mark.parametrize("one", recorded(), ids=lambda one: f"{one.sdk}-{one.name}")
def test_an_sdks_request_passes_both_ways_but_for_the_documented_changes(wire: Wire, one: Recorded) -> None:
    """J11, J1, J2: the same JSON upstream, in the same order; the same bytes down."""
    wire.upstream.answer = upstream_answer(one)
    prefix = "/gemini" if one.sdk.startswith("google") else ""
    answer = wire.send(f"{prefix}{one.path}", one.body, **one.headers)
    assert answer.status_code == 200, answer.text
    assert answer.content == one.answer(upstream=False)
    assert answer.headers["content-type"] == wire.upstream.answer.content_type

    (received,) = wire.upstream.received
    cap = answer.headers.get("x-awx-max-output-tokens")
    expected = documented(one, None if cap is None else int(cap))
    sent = httpx.Response(200, content=received.body).json()
    assert sent == expected
    assert list(sent) == list(expected)
    assert (received.method, received.path) == (one.method, one.path)
    assert {name: received.headers.get(name) for name in one.headers} == one.headers


def test_the_corpus_holds_every_sdk_and_kind_of_request() -> None:
    """J11: tools, images, structured output, streams and asynchronous clients, of both languages."""
    names = {(one.sdk.partition("_")[2], one.endpoint, one.name.partition("-")[2]) for one in recorded()}
    for language in ("python", "node"):
        for endpoint in ("chat", "messages"):
            for kind in ("plain", "stream", "tools", "image", "structured", "conversation"):
                assert (language, endpoint, kind) in names
    assert ("python", "chat", "async") in names
    assert ("python", "messages", "async") in names


def test_a_chunk_without_choices_passes_where_the_provider_sends_it_unasked(wire: Wire) -> None:
    """J3: a filter's chunk comes before, one with usage beside choices is no extra chunk; neither is ours to hide."""
    frame = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini",'
    filtered = frame + b'"choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n'
    word = frame + b'"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}\n\n'
    usage = b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}\n\n'
    last = frame + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],' + usage
    extra = frame + b'"choices":[],' + usage
    done = b"data: [DONE]\n\n"
    answer = wire.chat(Answer(filtered + word + last + extra + done, EVENTS, split=SPLIT_BYTES), stream=True)
    assert answer.content == filtered + word.replace(b',"usage":null', b"") + last + done
    assert settled(answer.headers["x-awx-call-id"]).basis == "usage"


def test_usage_is_asked_for_and_metered_when_the_client_did_not(wire: Wire) -> None:
    """J2."""
    one = next(one for one in recorded() if one.name == "chat-stream")
    wire.upstream.answer = upstream_answer(one)
    answer = wire.send(one.path, one.body)
    assert b"usage" not in answer.content.replace(b'\\"usage\\"', b"")
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.basis, row.input_tokens, row.output_tokens) == ("usage", 19, 10)


@pytest.mark.parametrize("stream", [False, True])
def test_the_cost_is_told_outside_of_the_body(wire: Wire, stream: bool) -> None:
    """J10: in a header of a whole answer, after a stream where its call is asked about; no field of ours in either."""
    one = next(one for one in recorded() if one.name == ("chat-stream" if stream else "chat-plain"))
    wire.upstream.answer = upstream_answer(one)
    answer = wire.send(one.path, one.body)
    row = settled(answer.headers["x-awx-call-id"])
    told = wire.get(f"/v1/calls/{row.call_id}").json()["cost"]
    assert Decimal(told) == Decimal(row.cost_pico) / 10**12 > 0
    assert answer.headers.get("x-awx-call-cost") == (None if stream else told)
    assert b"awx" not in answer.content


def test_keys_stay_on_their_side(wire: Wire) -> None:
    """J12: no trace of ours, nor of our account at the provider, crosses over."""
    secrets = (("openai-organization", "org-acme"), ("set-cookie", "a=b"), ("x-awx-agent", "forged"), ("x-other", "1"))
    wire.upstream.answer = Answer(b'{"usage":{"prompt_tokens":3,"completion_tokens":1}}', headers=secrets)
    answer = wire.send(
        "/v1/chat/completions", httpx.Request("POST", "http://x", json=ASK).content, cookie="session=1",
        **{"x-awx-session-id": "run-7", "x-awx-tags": "a=b", "x-forwarded-for": "10.1.1.1"},
    )  # fmt: skip
    (received,) = wire.upstream.received
    assert wire.key not in repr(received)
    assert received.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert [name for name in received.headers if name.startswith(("x-awx", "cookie", "x-forwarded"))] == []
    assert PROVIDER_KEY not in repr(answer.headers) + answer.text
    assert not {"openai-organization", "set-cookie", "x-other"} & set(answer.headers)
    assert answer.headers["x-awx-agent"] != "forged"
