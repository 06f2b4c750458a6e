"""Gemini through the whole proxy: its own form, Google's compatible form, and what the ledger makes of both."""

from typing import Any

import httpx
import orjson
import pytest

from agents import keys
from agents.models import Call, KeyMode
from proxy.errors import TABLE
from tests.proxy.stage import Stage, Worker, kept, sent_body, settled

MODEL = "gemini-2.5-flash"
GENERATE, STREAM = f"{MODEL}:generateContent", f"{MODEL}:streamGenerateContent"
EMBEDDING = "gemini-embedding-001"
FORMS = [f"{STREAM}?alt=sse", STREAM]


def body_of(words: str, *, cap: int | None = 50, **config: Any) -> dict[str, Any]:
    named = {} if cap is None else {"maxOutputTokens": cap}
    contents = [{"role": "user", "parts": [{"text": f"Go {'.' * 1_000} [[{words}]]"}]}]
    return {"contents": contents, "generationConfig": named | config}


def ask(on: Stage, worker: Worker, path: str, body: dict[str, Any]) -> httpx.Response:
    """As Google's client calls us."""
    headers = {"x-goog-api-key": worker.key, "x-goog-api-client": "google-genai-sdk/3.6.1 gl-python/3.13"}
    return httpx.post(f"{on.server.address}/proxy/gemini/v1beta/models/{path}", json=body, headers=headers, timeout=60)


def compatible(on: Stage, worker: Worker, words: str, *, path: str = "/v1", **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": f"Go [[{words}]]"}]
    body = {"model": MODEL, "max_tokens": 50, "messages": messages} | fields
    return on.post(worker.key, f"{path}/chat/completions", json=body)


def row_of(answer: httpx.Response) -> Call:
    return settled(answer.headers["x-awx-call-id"])


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """What a stream said, in either form."""
    if answer.text.startswith("["):
        found: list[dict[str, Any]] = answer.json()
        return found
    return [orjson.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]


def test_a_plain_call_costs_what_google_bills(on: Stage) -> None:
    worker = on.worker()
    answer = ask(on, worker, GENERATE, body_of("tokens_in=1000 cached=400 tokens_out=40 reasoning=30"))
    assert answer.status_code == 200
    assert answer.json()["usageMetadata"]["thoughtsTokenCount"] == 30
    row = row_of(answer)
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens, row.reasoning_tokens) == (600, 400, 40, 30)
    assert worker.spent_pico == row.cost_pico == on.fake.billed_pico() == 292_000_000
    assert answer.headers["x-awx-call-cost"] == "0.000292"
    seen = on.fake.log()[-1]
    assert (seen["path"], seen["query"]) == (f"/v1beta/models/{GENERATE}", "")
    assert seen["headers"]["x-goog-api-client"].startswith("google-genai-sdk")
    assert not [name for name in answer.headers if "goog-fake" in name]


@pytest.mark.parametrize("path", FORMS)
def test_the_same_call_costs_the_same_streamed_and_not(on: Stage, path: str) -> None:
    """C1: nobody pays less, or more, for a stream."""
    words = "tokens_in=1000 cached=400 tokens_out=40 reasoning=30"
    whole, streamed = on.worker(), on.worker()
    ask(on, whole, GENERATE, body_of(words))
    answer = ask(on, streamed, path, body_of(words))
    kind = "text/event-stream" if "sse" in path else "application/json"
    assert answer.headers["content-type"].startswith(kind)
    assert row_of(answer).streamed
    assert streamed.spent_pico == whole.spent_pico == 292_000_000
    texts = [part["text"] for event in events(answer) for part in event["candidates"][0]["content"]["parts"]]
    assert "".join(texts) == "word word word word word"


@pytest.mark.parametrize("path", [GENERATE, *FORMS])
def test_a_call_that_was_served_at_another_tier_costs_what_that_one_does(on: Stage, path: str) -> None:
    """Google says in a header that it had no room at the dearer one; the hold was for that."""
    worker, words = on.worker(), "tokens_in=1000 cached=400 tokens_out=40 reasoning=30"
    row = row_of(ask(on, worker, path, body_of(words) | {"serviceTier": "priority"}))
    plain = row_of(ask(on, worker, path, body_of(words)))
    assert (row.cost_pico, "tier" in row.pricing) == (292_000_000, False)
    assert row.held_pico > plain.held_pico


@pytest.mark.parametrize("path", FORMS)
def test_a_stream_passes_byte_for_byte(on: Stage, path: str) -> None:
    body = body_of("chunks=3 drip=7")
    ours = ask(on, on.worker(), path, body).content
    direct = httpx.post(
        f"{on.fake.url}/v1beta/models/{path}", json=body, headers={"x-goog-api-key": "sk-fake-provider-key"}
    ).content

    def without_id(content: bytes) -> bytes:
        ids = {event["responseId"] for event in events(httpx.Response(200, content=content))}
        return content.replace(ids.pop().encode(), b"ID")

    assert without_id(ours) == without_id(direct)


@pytest.mark.parametrize("path", [GENERATE, *FORMS])
def test_an_output_bound_is_added_where_google_reads_it(on: Stage, path: str) -> None:
    answer = ask(on, on.worker(), path, body_of("tokens_out=9", cap=None, topK=3))
    assert sent_body(on)["generationConfig"] == {"topK": 3, "maxOutputTokens": 16_384}
    assert answer.headers["x-awx-max-output-tokens"] == "16384"
    row = row_of(answer)
    assert row.held_pico >= row.cost_pico == on.fake.billed_pico()


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("chunks", [0, 2])
def test_a_stream_that_breaks_off_ends_with_an_error_and_the_ceiling(on: Stage, path: str, chunks: int) -> None:
    worker = on.worker()
    answer = ask(on, worker, path, body_of(f"cut_after={chunks}"))
    assert answer.status_code == 200
    assert events(answer)[-1]["error"]["awx"]["reason"] == "provider_cut"
    row = row_of(answer)
    assert (row.basis, row.cost_pico) == ("worst_case", row.held_pico)
    assert worker.spent_pico >= on.fake.billed_pico() > 0


@pytest.mark.parametrize("path", FORMS)
def test_an_error_of_google_inside_a_stream_passes_through_once(on: Stage, path: str) -> None:
    answer = ask(on, on.worker(), path, body_of("error_after=2"))
    assert answer.text.count("overloaded") == 1
    assert answer.text.count('"error"') == 1
    assert row_of(answer).cost_pico == row_of(answer).held_pico


@pytest.mark.parametrize("path", FORMS)
def test_a_client_that_leaves_is_charged_what_google_bills(on: Stage, path: str) -> None:
    worker = on.worker()
    url = f"{on.server.address}/proxy/gemini/v1beta/models/{path}"
    body = body_of("chunks=6 chunk_ms=30 tokens_out=40")
    with httpx.stream("POST", url, json=body, headers={"x-goog-api-key": worker.key}) as response:
        next(response.iter_raw())
    row = row_of(response)
    assert (row.status, row.basis) == ("settled", "usage")
    assert worker.spent_pico == on.fake.billed_pico() > 0


def test_a_blocked_prompt_costs_its_tokens(on: Stage) -> None:
    worker = on.worker()
    for path in (GENERATE, *FORMS):
        answer = ask(on, worker, path, body_of("blocked=1 tokens_in=100"))
        assert (row_of(answer).basis, row_of(answer).output_tokens) == ("usage", 0)
    assert worker.spent_pico == on.fake.billed_pico() > 0


def test_a_refusal_is_googles_error_before_anything_was_forwarded(on: Stage) -> None:
    worker = on.worker("0.00001")
    answer = ask(on, worker, GENERATE, body_of("x", cap=5_000))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (429, 429, "RESOURCE_EXHAUSTED")
    assert error["details"][0]["reason"] == error["awx"]["reason"].upper() == "CALL_TOO_EXPENSIVE"
    assert worker.agent.name in error["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert on.fake.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        (GENERATE, body_of("x") | {"tools": [{"googleSearch": {}}]}, "unpriced_feature"),
        (GENERATE, body_of("x") | {"cachedContent": "cachedContents/1"}, "unbounded_call"),
        ("gemini-2.5-flash-image:generateContent", body_of("x"), "unpriced_feature"),
        ("gemini-99:generateContent", body_of("x"), "unpriced_model"),
        (f"{MODEL}:batchGenerateContent", {}, "unsupported_endpoint"),
        (f"{STREAM}?alt=proto", body_of("x"), "malformed"),
    ],
)
def test_what_cannot_be_bounded_is_refused_in_googles_words(
    on: Stage, path: str, body: dict[str, Any], reason: str
) -> None:
    answer = ask(on, on.worker(), path, body)
    error = answer.json()["error"]
    assert error["awx"]["reason"] == reason
    assert (answer.status_code, error["status"]) == (TABLE[reason].status, TABLE[reason].gemini_status)
    assert on.fake.stats()["requests"] == 0


def test_the_key_in_the_query_never_leaves(on: Stage) -> None:
    worker = on.worker()
    url = f"{on.server.address}/proxy/gemini/v1beta/models/{STREAM}?alt=sse&key={worker.key}&fields=candidates"
    answer = httpx.post(url, json=body_of("x"), timeout=60)
    assert answer.status_code == 200
    assert on.fake.log()[-1]["query"] == "alt=sse"
    assert on.fake.stats()["violations"] == 0


def test_googles_400_about_our_key_becomes_a_502_without_its_words(on: Stage) -> None:
    worker = on.worker()
    on.fake.script(key_invalid=1)
    answer = ask(on, worker, GENERATE, body_of("x"))
    assert answer.status_code == 502
    assert "/settings/providers/" in answer.json()["error"]["message"]
    assert (row_of(answer).reason, row_of(answer).status) == ("provider_key_rejected", "voided")
    counted = ask(on, worker, f"{MODEL}:countTokens", body_of("x"))
    assert counted.status_code == 502
    on.fake.script(status=400)
    assert ask(on, worker, GENERATE, body_of("x")).status_code == 400


def test_counts_are_free_and_models_are_those_with_a_price(on: Stage) -> None:
    worker = on.worker()
    assert ask(on, worker, f"{MODEL}:countTokens", {"contents": []}).json()["totalTokens"] > 0
    assert worker.calls() == []
    listed = on.get(worker.key, "/gemini/v1beta/models?pageSize=5").json()["models"]
    assert {"name": f"models/{MODEL}"}.items() <= next(one for one in listed if MODEL in one["name"]).items()
    assert all("gemini" in one["name"] or "banana" in one["name"] for one in listed)
    one = on.get(worker.key, f"/gemini/v1beta/models/{MODEL}").json()
    assert one["supportedGenerationMethods"] == ["generateContent", "countTokens"]
    missing = on.get(worker.key, "/gemini/v1beta/models/gpt-4o")
    assert (missing.status_code, missing.json()["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("many", [False, True])
def test_embeddings_cost_their_prompt_and_the_ceiling_where_they_tell_none(on: Stage, many: bool) -> None:
    worker = on.worker()
    one = {"content": {"role": "user", "parts": [{"text": "hi"}]}, "model": f"models/{EMBEDDING}"}
    path = f"{EMBEDDING}:batchEmbedContents" if many else f"{EMBEDDING}:embedContent"
    answer = ask(on, worker, path, {"requests": [one, one]} if many else one)
    assert row_of(answer).output_tokens == 0
    assert worker.spent_pico == on.fake.billed_pico() > 0
    on.fake.script(no_usage=1)
    untold = row_of(ask(on, worker, path, {"requests": [one]} if many else one))
    assert (untold.basis, untold.cost_pico) == ("estimated", untold.held_pico)
    poor = ask(on, on.worker("0.000001"), path, {"requests": [one]} if many else one)
    assert poor.json()["error"]["awx"]["reason"] == "call_too_expensive"


@pytest.mark.parametrize("path", ["/v1", "/gemini/v1beta/openai"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_compatible_form_is_billed_with_what_was_thought(on: Stage, path: str, stream: bool) -> None:
    worker = on.worker()
    answer = compatible(on, worker, "tokens_in=20 tokens_out=40 reasoning=30", path=path, stream=stream)
    assert answer.status_code == 200
    assert row_of(answer).output_tokens == 40
    assert worker.spent_pico == on.fake.billed_pico() == 20 * 300_000 + 40 * 2_500_000
    seen = on.fake.log()[-1]
    assert seen["path"] == "/v1beta/openai/chat/completions"
    assert seen["headers"]["authorization"] == "Bearer sk-fake-provider-key"


@pytest.mark.parametrize(
    "fields",
    [
        {"extra_body": {"google": {"cached_content": "cachedContents/1"}}},
        {"google": {"cached_content": "cachedContents/1"}},
        {"model": "gemini-2.5-flash-image"},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]},
    ],
)
def test_the_compatible_form_hides_nothing_either(on: Stage, fields: dict[str, Any]) -> None:
    answer = compatible(on, on.worker(), "x", **fields)
    assert answer.json()["error"]["awx"]["reason"] in ("unpriced_feature", "unbounded_call")
    assert on.fake.stats()["requests"] == 0


def test_the_compatible_form_thinks_as_google_lets_it(on: Stage) -> None:
    extra = {"google": {"thinking_config": {"include_thoughts": True}}}
    assert compatible(on, on.worker(), "x", extra_body=extra).status_code == 200
    assert sent_body(on)["extra_body"] == extra


def test_a_test_key_is_answered_by_the_sandbox_in_both_forms(on: Stage) -> None:
    worker = on.worker()
    practice = Worker(worker.agent, keys.issue(worker.agent, KeyMode.TEST, by=on.alice.user)[1])
    for path in (GENERATE, *FORMS):
        answer = ask(on, practice, path, body_of("x"))
        assert row_of(answer).practice
        assert "practice" in answer.text
    assert on.fake.stats()["requests"] == 0


def test_an_answer_is_kept_for_the_form_it_was_asked_in(on: Stage) -> None:
    worker = on.worker()
    worker.guard(cache_seconds=60)
    for path in (GENERATE, *FORMS):
        first = kept(on, lambda path=path: ask(on, worker, path, body_of("cache me")))  # type: ignore[misc]
        second = ask(on, worker, path, body_of("cache me"))
        assert (first.headers["x-awx-cache"], second.headers["x-awx-cache"]) == ("miss", "hit")
        assert second.content == first.content
    assert on.fake.stats()["billed"] == 3
