"""What the door does with bad requests: a clear status, nothing forwarded, nothing held."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from agents import key_text, keys
from agents.models import AgentKey
from tests.proxy.stage import Stage, Worker, settled

BODY: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
MEGABYTE = 2**20
MANY_FIELDS = orjson.dumps(BODY | {f"field_{number}": 1 for number in range(1_000)})


@pytest.fixture
def worker(on: Stage) -> Worker:
    return on.worker()


@pytest.fixture(autouse=True)
def nothing_leaves(on: Stage, worker: Worker) -> Iterator[None]:
    """No test of this file forwards anything, charges anything or meets a fault of ours."""
    yield
    assert on.fake.stats()["requests"] == 0
    assert worker.spent_pico == worker.held_pico == 0
    assert '"level": "error"' not in on.server.log.read_text()


def raw_request(on: Stage, head: str, body: bytes = b"", *, to_the_end: bool = False) -> bytes:
    """Send exactly these bytes and return what comes back: its head at least, or all until the server closes."""
    with socket.create_connection(("127.0.0.1", on.server.port), timeout=10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        pieces = []
        while piece := connection.recv(65_536):
            pieces.append(piece)
            if b"\r\n\r\n" in b"".join(pieces) and not to_the_end:
                break
    return b"".join(pieces)


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b"[]", b"null", b'{"model":"gpt-4o-mini"}', b'{"model":7,"messages":[]}', b"\xff\xfe", b"{}" * 2,
     b'{"model":"gpt-4o-mini","messages":[],"max_tokens":NaN}', b'{"a":' * 100 + b"1" + b"}" * 100, MANY_FIELDS],
)  # fmt: skip
def test_a_malformed_body_is_a_400_that_is_not_worth_retrying(on: Stage, worker: Worker, content: bytes) -> None:
    answer = on.post(worker.key, content=content)
    assert answer.status_code == 400
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.headers["x-awx-call-id"]
    assert answer.headers["x-awx-agent"] == worker.agent.slug


def test_an_unknown_model_is_refused_by_name(on: Stage, worker: Worker) -> None:
    answer = on.post(worker.key, json=BODY | {"model": "gpt-99-nonsense"})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "unpriced_model"
    assert "gpt-99-nonsense" in answer.json()["error"]["message"]


def test_a_name_that_postgresql_cannot_keep_is_kept_without_what_it_cannot(on: Stage, worker: Worker) -> None:
    answer = on.post(worker.key, json=BODY | {"model": "gpt-99\0-nonsense", "user": "a\0b"})
    assert answer.status_code == 403
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.model, row.user_subject, row.reason) == ("gpt-99-nonsense", "ab", "unpriced_model")


def test_an_output_bound_beyond_all_reason_is_refused_and_does_not_break_anything(on: Stage, worker: Worker) -> None:
    answer = on.post(worker.key, json=BODY | {"model": "gpt-4o", "max_tokens": 10**9, "n": 8})
    assert answer.status_code in (400, 429)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "No API key"),
        ("nonsense", "not an AWX key"),
        ("sk-proj-1234", "not an AWX key"),
        ("awx_live_00000000_00000000000000000000000000000000000000", "not an AWX key"),
        ("' OR (SELECT pg_sleep(5))--", "not an AWX key"),
    ],
)
def test_a_key_that_is_none_says_so(on: Stage, key: str, says: str) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = httpx.post(f"{on.server.openai_base_url}/chat/completions", json=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert says in answer.json()["error"]["message"]


def test_a_key_with_the_right_form_that_nobody_has_is_unknown(on: Stage) -> None:
    body = "awx_live_" + "A" * 8 + "_" + "b" * 32
    answer = on.post(body + key_text._checksum(body), json=BODY)
    assert answer.status_code == 401
    assert "does not exist" in answer.json()["error"]["message"]


def test_a_revoked_key_is_refused_at_the_very_next_call(on: Stage, worker: Worker) -> None:
    assert on.get(worker.key, "/v1/budget").status_code == 200
    keys.revoke(AgentKey.objects.get(agent=worker.agent), by=on.alice.user)
    answer = on.post(worker.key, json=BODY)
    assert answer.status_code == 401
    assert "revoked" in answer.json()["error"]["message"]


def test_two_different_keys_in_one_request_are_refused(on: Stage, worker: Worker) -> None:
    answer = on.post(worker.key, json=BODY, headers={"x-api-key": on.worker().key})
    assert answer.status_code == 401


@pytest.mark.parametrize("size", [32 * MEGABYTE + 1, 33 * MEGABYTE])
def test_a_body_over_32_megabytes_is_too_large(on: Stage, worker: Worker, size: int) -> None:
    answer = on.post(worker.key, content=b'{"a":"' + b"x" * (size - 8) + b'"}')
    assert answer.status_code == 413
    assert answer.json()["error"]["awx"]["reason"] == "body_too_large"


def test_a_body_of_just_32_megabytes_is_read(on: Stage, worker: Worker) -> None:
    answer = on.post(worker.key, content=b'{"a":"' + b"x" * (32 * MEGABYTE - 8) + b'"}')
    assert answer.status_code == 400


def test_a_body_without_a_length_is_counted_while_it_arrives(on: Stage, worker: Worker) -> None:
    answer = on.post(worker.key, content=(b"x" * MEGABYTE for _ in range(33)))
    assert answer.status_code == 413


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd, gzip"])
def test_a_compressed_body_is_not_read(on: Stage, worker: Worker, encoding: str) -> None:
    answer = on.post(worker.key, content=b"\x1f\x8b", headers={"content-encoding": encoding})
    assert answer.status_code == 415


def test_a_header_that_is_there_twice_is_refused(on: Stage, worker: Worker) -> None:
    head = (
        f"POST /proxy/v1/chat/completions HTTP/1.1\nHost: x\nAuthorization: Bearer {worker.key}\n"
        f"Authorization: Bearer {worker.key}\nContent-Length: 2\n"
    )
    assert raw_request(on, head, b"{}").startswith(b"HTTP/1.1 400 ")


def test_a_body_that_the_server_took_for_another_protocol_is_not_called_bad_json(on: Stage, worker: Worker) -> None:
    body = orjson.dumps(BODY)
    head = (
        f"POST /proxy/v1/chat/completions HTTP/1.1\nHost: x\nAuthorization: Bearer {worker.key}\n"
        f"Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: x\nContent-Length: {len(body)}\n"
    )
    answer = raw_request(on, head, body, to_the_end=True)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"without the header Upgrade" in answer


@pytest.mark.parametrize(
    ("path", "headers", "base"),
    [
        ("/v1/nonsense", {}, "/proxy/v1"),
        ("/", {}, "/proxy/v1"),
        ("/chat/completions", {}, "/proxy/v1"),
        ("/messages", {"anthropic-version": "2023-06-01"}, "/proxy"),
        ("/v1//chat/completions", {}, "/proxy/v1"),
    ],
)
def test_an_unknown_path_names_the_right_base_url(
    on: Stage, worker: Worker, path: str, headers: dict[str, str], base: str
) -> None:
    answer = on.post(worker.key, path, json=BODY, headers=headers)
    assert answer.status_code == 404
    assert f"{on.server.address}{base}" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "path", ["/v1/files", "/v1/batches", "/v1/realtime", "/v1/assistants", "/v1/responses/compact"]
)
def test_a_known_endpoint_that_cannot_be_bounded_is_refused(on: Stage, worker: Worker, path: str) -> None:
    answer = on.post(worker.key, path, json=BODY)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "unsupported_endpoint"


@pytest.mark.parametrize(
    "ask", [("POST", "/v1/batches"), ("GET", "/v1/batches/batch_1"), ("POST", "/v1/messages/batches")]
)
def test_a_batch_is_neither_made_nor_polled(on: Stage, worker: Worker, ask: tuple[str, str]) -> None:
    """Scenarios B14 and B15: what would be charged on every poll, or on nobody's key, is refused."""
    method, path = ask
    headers = {"authorization": f"Bearer {worker.key}"}
    answer = httpx.request(method, f"{on.server.address}/proxy{path}", headers=headers, timeout=60)
    assert answer.status_code == 403
    assert "unsupported_endpoint" in answer.text
    assert on.fake.stats()["requests"] == 0


def test_a_wrong_method_is_an_unknown_path(on: Stage, worker: Worker) -> None:
    assert on.get(worker.key, "/v1/chat/completions").status_code == 404


def test_errors_speak_the_dialect_of_their_path(on: Stage) -> None:
    answer = httpx.post(f"{on.server.anthropic_base_url}/v1/messages", json={}, headers={"x-api-key": "nonsense"})
    assert answer.status_code == 401
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == "authentication_error"
