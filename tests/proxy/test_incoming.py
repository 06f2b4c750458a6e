"""Where a key may stand, by dialect."""

import pytest

from accounts.ids import uuid7
from agents.callers import OwnKey
from proxy.errors import KeyMalformed, KeyMissing
from proxy.incoming import Incoming

GEMINI = "/proxy/gemini/v1beta/models/m:generateContent"


async def nothing():
    raise AssertionError("nothing is read")


def incoming(path, query=b"", **headers):
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"method": "POST", "path": path, "query_string": query, "headers": raw}
    return Incoming(scope, nothing, uuid7())


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (b"", {"x_goog_api_key": "k"}),
        (b"", {"authorization": "Bearer k"}),
        (b"alt=sse&key=k", {}),
        (b"key=k", {"x_goog_api_key": "k"}),
    ],
)
def test_a_gemini_client_sends_its_key_as_to_google(query, headers):
    assert incoming(GEMINI, query, **headers).claim.key == "k"


@pytest.mark.parametrize(
    ("query", "headers"),
    [(b"key=k", {"x_goog_api_key": "other"}), (b"key=k&key=other", {}), (b"key=k", {"x_api_key": "o"})],
)
def test_two_keys_that_differ_are_no_key(query, headers):
    with pytest.raises(KeyMalformed):
        _ = incoming(GEMINI, query, **headers).claim.key


@pytest.mark.parametrize(
    "query",
    [
        b"key=awx_live_k%0Awriter",
        b"key=k%0D%0Ax-evil:%201",
        b"key=k%00",
        b"key=a%20b",
        b"key=%7F",
        "key=ключ".encode(),
        b"key=%FF",
    ],
)
@pytest.mark.parametrize("headers", [{}, {"x_awx_key": "awx_live_k"}])
def test_a_key_of_the_query_holds_only_what_a_header_could(query, headers):
    with pytest.raises(KeyMalformed):
        _ = incoming(GEMINI, query, **headers).claim


@pytest.mark.parametrize("path", ["/proxy/v1/chat/completions", "/proxy/v1/messages"])
def test_other_clients_keys_are_not_looked_for_in_the_query(path):
    with pytest.raises(KeyMissing):
        _ = incoming(path, b"key=k").claim


@pytest.mark.parametrize("path", [GEMINI, "/proxy/gemini/v1beta/openai/chat/completions"])
@pytest.mark.parametrize(
    ("query", "headers"),
    [(b"", {"x_goog_api_key": "own"}), (b"key=own", {}), (b"", {"authorization": "Bearer own"})],
)
def test_a_key_of_the_callers_own_is_googles_in_both_forms(path, query, headers):
    claim = incoming(path, query, x_awx_key="awx_live_k", **headers).claim
    assert (claim.key, claim.own_key) == ("awx_live_k", OwnKey("google", "own"))
