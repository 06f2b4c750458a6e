"""Where a key may stand, by dialect."""

import pytest

from accounts.ids import uuid7
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
    assert incoming(GEMINI, query, **headers).key == "k"


@pytest.mark.parametrize(
    ("query", "headers"),
    [(b"key=k", {"x_goog_api_key": "other"}), (b"key=k&key=other", {}), (b"key=k", {"x_api_key": "o"})],
)
def test_two_keys_that_differ_are_no_key(query, headers):
    with pytest.raises(KeyMalformed):
        _ = incoming(GEMINI, query, **headers).key


@pytest.mark.parametrize(
    "path", ["/proxy/v1/chat/completions", "/proxy/v1/messages", "/proxy/gemini/v1beta/openai/models"]
)
def test_other_clients_keys_are_not_looked_for_where_google_has_them(path):
    with pytest.raises(KeyMissing):
        _ = incoming(path, b"key=k", x_goog_api_key="k").key
