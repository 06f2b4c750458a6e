"""Only listed headers pass, in either direction, and what two parsers may read differently is refused."""

import pytest

from proxy import headers
from proxy.errors import Dialect, EncodingUnsupported, Malformed, UnpricedFeature


def test_names_are_folded_and_repeated_values_joined():
    raw = [(b"Accept", b"a"), (b"ACCEPT", b"b"), (b"X-Tags", b" k=v ")]
    assert headers.read_headers(raw) == {"accept": "a, b", "x-tags": "k=v"}


@pytest.mark.parametrize(
    "raw",
    [
        [(b"x-a", b"a\rb")],
        [(b"x-a", b"a\nb")],
        [(b"x-a", b"a\0")],
        [(b"x-a", "ä".encode())],
        [(b"x a", b"b")],
        [(b"", b"b")],
        [(b"authorization", b"Bearer a"), (b"Authorization", b"Bearer a")],
        [(b"x-api-key", b"a"), (b"x-api-key", b"b")],
        [(b"content-length", b"1"), (b"content-length", b"2")],
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
    ],
)
def test_ambiguous_headers_are_malformed(raw):
    with pytest.raises(Malformed):
        headers.read_headers(raw)


def test_a_header_that_holds_what_it_must_not_is_named():
    with pytest.raises(Malformed) as caught:
        headers.read_headers([(b"X-AWX-User-ID", "Jörg".encode())])
    assert (caught.value.param, "x-awx-user-id" in caught.value.problem) == ("x-awx-user-id", True)


def test_more_headers_than_a_client_needs_are_malformed():
    most = [(b"x-%d" % n, b"1") for n in range(headers.HEADERS_MAX)]
    assert len(headers.read_headers(most)) == headers.HEADERS_MAX
    with pytest.raises(Malformed):
        headers.read_headers([*most, (b"x-more", b"1")])


def test_one_byte_of_headers_over_the_bound_is_malformed():
    value = b"v" * (headers.HEADER_BYTES_MAX - 1)
    assert headers.read_headers([(b"x", value)])
    with pytest.raises(Malformed):
        headers.read_headers([(b"x", value + b"v")])


@pytest.mark.parametrize("name", ["x-awx-daily-budget", "x-awx-session-budget", "x-awx-agent-id", "x-awx-session-id"])
def test_a_name_or_budget_that_is_there_twice_is_refused(name):
    with pytest.raises(Malformed) as caught:
        headers.read_headers([(name.upper().encode(), b"0.01"), (name.encode(), b"0.02")])
    assert caught.value.param == name


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate, identity"])
def test_compressed_bodies_are_refused(encoding):
    with pytest.raises(EncodingUnsupported):
        headers.read_headers([(b"content-encoding", encoding)])
    assert headers.read_headers([(b"content-encoding", b"identity")])


def test_our_headers_and_the_callers_keys_never_reach_a_provider():
    client = headers.read_headers(
        [
            (b"authorization", b"Bearer awx_live_x"),
            (b"x-api-key", b"awx_live_x"),
            (b"x-awx-agent-id", b"a"),
            (b"x-agent-id", b"a"),
            (b"cookie", b"s=1"),
            (b"host", b"h"),
            (b"x-forwarded-for", b"1.2.3.4"),
            (b"openai-organization", b"org"),
            (b"openai-project", b"p"),
            (b"anthropic-user-profile-id", b"p"),
            (b"accept-encoding", b"gzip"),
            (b"content-length", b"5"),
            (b"connection", b"close, X-Stainless-Os"),
            (b"x-stainless-os", b"for the next hop alone"),
            (b"user-agent", b"OpenAI/Python"),
            (b"x-stainless-lang", b"python"),
            (b"anthropic-version", b"2023-06-01"),
        ]
    )
    sent = headers.to_provider(client, [("x-api-key", "sk-real")], dialect=Dialect.ANTHROPIC)
    assert dict(sent) == {
        "user-agent": "OpenAI/Python",
        "x-stainless-lang": "python",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "x-api-key": "sk-real",
    }


def test_a_client_learns_limits_and_request_ids_but_not_our_account():
    raw = [
        (b"Content-Type", b"application/json"),
        (b"x-request-id", b"req_1"),
        (b"x-ratelimit-remaining-requests", b"5"),
        (b"anthropic-ratelimit-tokens-limit", b"5"),
        (b"retry-after", b"3"),
        (b"openai-organization", b"org-secret"),
        (b"anthropic-organization-id", b"secret"),
        (b"set-cookie", b"a=b"),
        (b"content-length", b"12"),
        (b"transfer-encoding", b"chunked"),
        (b"server", b"cloudflare"),
        (b"openai-version", b"bad\nvalue"),
    ]
    assert [name for name, _ in headers.to_client(raw)] == [
        b"content-type",
        b"x-request-id",
        b"x-ratelimit-remaining-requests",
        b"anthropic-ratelimit-tokens-limit",
        b"retry-after",
    ]


def test_a_beta_reaches_those_alone_for_whom_it_was_checked():
    client = {"anthropic-beta": "context-1m-2025-08-07", "openai-beta": "responses=experimental"}
    for dialect, name in ((Dialect.ANTHROPIC, "anthropic-beta"), (Dialect.OPENAI, "openai-beta")):
        passed = dict(headers.to_provider(client, [], dialect=dialect))
        assert {one for one in passed if one.endswith("beta")} == {name}
        assert passed[name] == client[name]
    assert not [name for name, _ in headers.to_provider(client, [], dialect=Dialect.GEMINI) if name.endswith("beta")]


def test_betas_are_checked_by_name():
    headers.check_betas({"openai-beta": "assistants=v2, responses=experimental"}, Dialect.OPENAI)
    headers.check_betas({"anthropic-beta": "prompt-caching-2024-07-31, pdfs-2024-09-25"}, Dialect.ANTHROPIC)
    headers.check_betas({"openai-beta": "anything"}, Dialect.ANTHROPIC)
    headers.check_betas({}, Dialect.OPENAI)
    for name, value, dialect in (
        ("anthropic-beta", "pdfs-2024-09-25,skills-2025-10-02", Dialect.ANTHROPIC),
        ("openai-beta", "realtime=v1", Dialect.OPENAI),
    ):
        with pytest.raises(UnpricedFeature) as caught:
            headers.check_betas({name: value}, dialect)
        assert value.split(",")[-1] in caught.value.feature
