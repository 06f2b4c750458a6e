"""Every reason has one row, and each dialect's own client understands it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anthropic
import httpx2
import openai
import orjson
import pytest

from proxy import errors
from proxy.errors import TABLE, Dialect, Refusal, render, render_stream_error

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
RESET = NOW + timedelta(hours=14)
FACTS = {
    "agent": "researcher",
    "scope": "agent",
    "name": "Daily",
    "window": "day",
    "limit": 5 * 10**12,
    "spent": 4_870_000_000_000,
    "held": 100_000_000_000,
    "asked": 61_120_000_000,
    "resets_at": RESET,
}
# One of each, with the status, the retry flag and whether a wait is told.
CASES: list[tuple[Refusal, int, str, bool]] = [
    (errors.BudgetExceeded(**FACTS, affordable_output_tokens=1200), 429, "false", True),
    (errors.CallTooExpensive(**FACTS), 429, "false", False),
    (errors.HeldInFlight(**FACTS), 429, "true", True),
    (errors.RateLimited(agent="a", limit="60 calls a minute", retry_after_seconds=7), 429, "true", True),
    (errors.SessionLimit(session="s", limit="5 calls"), 429, "false", False),
    (errors.TooManySubjects(kind="users", limit="100"), 429, "false", False),
    (errors.LoopDetected(agent="a", rule="the same message 20 times in 5 minutes"), 429, "false", False),
    (errors.AgentPaused(agent="a"), 403, "false", False),
    (errors.AgentUnknown(agent="a"), 403, "false", False),
    (errors.ModelNotAllowed(agent="a", model="m"), 403, "false", False),
    (errors.UnpricedModel(model="m"), 403, "false", False),
    (errors.UnsupportedEndpoint(endpoint="POST /v1/files"), 403, "false", False),
    (errors.ProviderNotConnected(provider="openai", page="https://h/providers"), 403, "false", False),
    (errors.UnboundedCall(what="a file named by id", param="messages[0]"), 400, "false", False),
    (errors.UnpricedFeature(feature="web search", param="tools"), 400, "false", False),
    (errors.OutputTooLong(agent="a", asked_tokens=900, max_tokens=100), 400, "false", False),
    (errors.AgentRequired(param="X-AWX-Agent-ID"), 400, "false", False),
    (errors.Malformed(problem="'n' must be an integer", param="n"), 400, "false", False),
    (errors.KeyMissing(), 401, "false", False),
    (errors.KeyMalformed(), 401, "false", False),
    (errors.KeyAmbiguous(), 401, "false", False),
    (errors.KeyUnknown(), 401, "false", False),
    (errors.KeyRevoked(shown="awx_live_ab12…"), 401, "false", False),
    (errors.KeyExpired(shown="awx_live_ab12…"), 401, "false", False),
    (errors.UnknownPath(method="GET", path="/x", base_url="https://h/proxy/v1"), 404, "false", False),
    (errors.NotFound(what="call x"), 404, "false", False),
    (errors.BodyTooLarge(max_bytes=32), 413, "false", False),
    (errors.EncodingUnsupported(encoding="gzip"), 415, "false", False),
    (errors.UpstreamUnreachable(provider="openai"), 502, "true", False),
    (errors.UpstreamUnreachable(provider="openai", sent=True), 502, "false", False),
    (errors.UpstreamKeyRejected(provider="openai", page="https://h/p"), 502, "false", False),
    (errors.UpstreamCut(provider="openai"), 502, "false", False),
    (errors.Interrupted(), 502, "false", False),
    (errors.UpstreamTimeout(provider="openai", waited_seconds=600), 504, "false", False),
    (errors.LedgerAway(), 503, "true", True),
    (errors.Overloaded(), 503, "true", True),
]
QUOTA = ("insufficient_quota", "insufficient_quota")
OPENAI_NAMES = {"budget_exceeded": QUOTA, "call_too_expensive": QUOTA}


def rendered(error, dialect, **options):
    answer = render(error, dialect, call_id="01JCALL", now=NOW, **options)
    return answer, dict(answer.headers), orjson.loads(answer.body)


def test_every_row_of_the_table_is_tested_and_every_class_has_a_row():
    assert {case[0].reason for case in CASES} == set(TABLE)


@pytest.mark.parametrize(("error", "status", "retry", "waits"), CASES, ids=lambda value: getattr(value, "reason", None))
@pytest.mark.parametrize("dialect", Dialect)
def test_each_row_speaks_each_dialect(dialect, error, status, retry, waits):
    answer, headers, body = rendered(error, dialect)
    assert (answer.status, headers["x-should-retry"]) == (status, retry)
    assert ("retry-after" in headers) is waits
    inner = body["error"]
    assert inner["message"]
    assert "{" not in inner["message"]
    assert inner["awx"]["reason"] == error.reason
    assert inner["awx"]["call_id"] == "01JCALL"
    if dialect is Dialect.ANTHROPIC:
        assert (body["type"], inner["type"]) == ("error", TABLE[error.reason].anthropic_type)
    elif dialect is Dialect.GEMINI:
        assert (inner["code"], inner["status"]) == (status, TABLE[error.reason].gemini_status)
        assert inner["details"][0]["reason"] == error.reason.upper()
        fields = [violation["field"] for detail in inner["details"] for violation in detail.get("fieldViolations", [])]
        assert fields == ([error.param] if error.param else [])
    else:
        assert {"message", "type", "code", "param"} <= inner.keys()
        assert inner["param"] == error.param


def test_openai_names_are_those_that_clients_look_for():
    wanted = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "invalid_request_error",
        413: "invalid_request_error",
        415: "invalid_request_error",
        429: "rate_limit_exceeded",
    }
    for error, status, _, _ in CASES:
        inner = rendered(error, Dialect.OPENAI)[2]["error"]
        if error.reason in OPENAI_NAMES:
            assert (inner["type"], inner["code"]) == OPENAI_NAMES[error.reason]
        else:
            assert inner["type"] == wanted.get(status, "server_error")
            assert inner["code"] == ("invalid_api_key" if status == 401 else error.reason)


def test_a_budget_refusal_carries_exact_amounts_and_a_sentence_for_people():
    _, headers, body = rendered(CASES[0][0], Dialect.OPENAI)
    awx = body["error"]["awx"]
    assert {name: awx[name] for name in ("limit", "spent", "held", "asked", "available")} == {
        "limit": "5.000000",
        "spent": "4.870000",
        "held": "0.100000",
        "asked": "0.061120",
        "available": "0.030000",
    }
    assert (awx["scope"], awx["name"], awx["unit"], awx["window"]) == ("agent", "Daily", "usd", "day")
    assert awx["resets_at"] == RESET.isoformat()
    assert headers["retry-after"] == str(14 * 3600)
    for fact in ("researcher", "Daily", "$4.87", "$5.00", "$0.061", RESET.isoformat(), "1200"):
        assert fact in body["error"]["message"], fact


def test_402_is_for_budgets_only_where_the_agent_says_so():
    for error, status, _, _ in CASES:
        answer, _, _ = rendered(error, Dialect.OPENAI, budget_status=402)
        assert answer.status == (402 if error.reason in OPENAI_NAMES else status)


def test_a_total_budget_tells_no_time():
    error = errors.BudgetExceeded(**FACTS | {"resets_at": None})
    _, headers, body = rendered(error, Dialect.OPENAI)
    assert "retry-after" not in headers
    assert body["error"]["awx"]["resets_at"] is None


def test_other_units_are_plain_numbers():
    error = errors.BudgetExceeded(**FACTS | {"unit": "calls", "limit": 10, "spent": 10, "held": 2, "asked": 1})
    awx = rendered(error, Dialect.OPENAI)[2]["error"]["awx"]
    assert (awx["limit"], awx["available"]) == ("10", "0")


def test_short_waits_spread_from_one_to_five_seconds():
    waits = set()
    for number in range(200):
        answer = render(errors.LedgerAway(), Dialect.OPENAI, call_id=str(number), now=NOW)
        waits.add(int(dict(answer.headers)["retry-after"]))
    assert waits == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("error", [case[0] for case in CASES if case[2] == "false"], ids=lambda error: error.reason)
def test_the_real_sdks_raise_an_error_with_our_facts_after_one_request(error):
    seen = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        dialect = Dialect.ANTHROPIC if request.url.path.endswith("messages") else Dialect.OPENAI
        made = render(error, dialect, call_id="c", now=NOW)
        return httpx2.Response(made.status, headers=made.headers, content=made.body)

    transport = httpx2.MockTransport(answer)
    gpt = openai.OpenAI(api_key="k", base_url="http://h/v1", http_client=httpx2.Client(transport=transport))
    with pytest.raises(openai.APIStatusError) as caught:
        gpt.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert caught.value.code == (TABLE[error.reason].openai_code or error.reason)
    assert caught.value.body["awx"]["reason"] == error.reason
    claude = anthropic.Anthropic(api_key="k", base_url="http://h", http_client=httpx2.Client(transport=transport))
    with pytest.raises(anthropic.APIStatusError) as raised:
        claude.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}])
    assert raised.value.body["awx"]["reason"] == error.reason
    assert len(seen) == 2


def test_an_error_inside_a_stream_is_an_event_of_the_dialect():
    error = errors.UpstreamCut(provider="openai")
    assert render_stream_error(error, Dialect.OPENAI, call_id="c").startswith(b'data: {"error":')
    assert render_stream_error(error, Dialect.ANTHROPIC, call_id="c").startswith(b"event: error\ndata: {")
    for dialect in Dialect:
        assert render_stream_error(error, dialect, call_id="c").endswith(b"}\n\n")


@pytest.mark.parametrize(("begun", "before"), [(True, b'[{"candidates":[]}'), (False, b"")])
def test_an_error_inside_an_array_is_its_last_element(begun, before):
    error = errors.UpstreamCut(provider="google")
    ended = before + errors.render_array_error(error, Dialect.GEMINI, call_id="c", begun=begun)
    assert orjson.loads(ended)[-1]["error"]["awx"]["reason"] == "provider_cut"


def test_the_amounts_add_up():
    error = CASES[0][0]
    facts = error.facts()
    available = Decimal(facts["limit"]) - Decimal(facts["spent"]) - Decimal(facts["held"])
    assert Decimal(facts["available"]) == available
