"""A stream of content passes untouched in both forms; its bill is the last report, once every candidate has ended."""

import orjson
import pytest

from agents.pricing import Usage
from proxy.providers.endpoints import Route
from proxy.providers.gemini import generate
from proxy.providers.gemini.array import Elements
from proxy.providers.metered import Basis

TRAP = 'say "finishReason": "STOP" }]{[ \\ " and {"usageMetadata":{"promptTokenCount":9}} \u00e4'


def event(text="word", *, finish=None, index=0, usage=None):
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": index}
    told = {"promptTokenCount": 25, "totalTokenCount": 26, "candidatesTokenCount": 1} if usage is None else usage
    candidates = [candidate | ({"finishReason": finish} if finish else {})]
    return {
        "candidates": candidates,
        "usageMetadata": told,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r",
    }


TOTAL = {
    "promptTokenCount": 25,
    "cachedContentTokenCount": 5,
    "candidatesTokenCount": 10,
    "thoughtsTokenCount": 30,
    "toolUsePromptTokenCount": 4,
    "totalTokenCount": 69,
}
CALL = event()
CALL["candidates"][0]["content"]["parts"].append({"functionCall": {"name": "f", "args": {"finishReason": "x"}}})
EVENTS = [event(), event(TRAP), CALL, event("", finish="STOP", usage=TOTAL)]
USAGE = Usage(input=24, cache_read=5, output=40, reasoning=30)


def sse(*events):
    return b"".join(b"data: " + orjson.dumps(one) + b"\r\n\r\n" for one in events)


def array(*events):
    return b"[" + b"\n,\r\n".join(orjson.dumps(one, option=orjson.OPT_INDENT_2) for one in events) + b"\n]\n"


FORMS = {"alt=sse": sse, "": array}


def request(query="alt=sse", **config):
    body = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 500} | config}
    return generate.read_request(Route(generate.STREAM[0], "gemini-2.5-flash", query), orjson.dumps(body), {})


def run(query, *pieces, whole=True, **config):
    meter = generate.stream_meter(request(query, **config))
    seen = b"".join(map(meter.feed, pieces))
    assert seen == b"".join(pieces)
    assert not whole or meter.flush() == b""
    return meter.finish()


@pytest.mark.parametrize("query", FORMS)
def test_usage_is_read_wherever_the_stream_is_cut_into_chunks(query):
    sent = FORMS[query](*EVENTS)
    for at in range(len(sent) + 1):
        metered = run(query, sent[:at], sent[at:])
        assert (metered.usage, metered.basis, metered.finished) == (USAGE, Basis.USAGE, True), at
        assert (metered.tool_call_count, metered.served_model, metered.provider_id) == (1, "gemini-2.5-flash", "r")
    assert run(query, *(sent[at : at + 1] for at in range(len(sent)))).usage == USAGE


@pytest.mark.parametrize("query", FORMS)
def test_a_stream_that_breaks_off_tells_nothing_before_its_last_report(query):
    sent = FORMS[query](*EVENTS)
    last = len(sent) - len(FORMS[query](EVENTS[-1]))
    for at in range(last):
        metered = run(query, sent[:at], whole=False)
        assert (metered.basis, metered.usage, metered.finished) == (Basis.NONE, None, False), at
    assert run(query, sent, whole=False).usage == USAGE


@pytest.mark.parametrize("query", FORMS)
def test_a_stream_that_ends_without_a_reason_is_not_whole(query):
    metered = run(query, FORMS[query](*EVENTS[:-1]))
    assert (metered.basis, metered.finished, metered.charged_usage(500)) == (Basis.NONE, False, None)
    assert metered.problem


@pytest.mark.parametrize("query", FORMS)
def test_two_candidates_are_awaited_unless_the_stream_is_whole(query):
    begun = FORMS[query](event("", finish="STOP", usage=TOTAL))
    assert run(query, begun, whole=False, candidateCount=2).basis is Basis.NONE
    assert run(query, begun, candidateCount=2).usage == USAGE
    both = FORMS[query](event("", finish="STOP"), event("", finish="SAFETY", index=1, usage=TOTAL))
    assert run(query, both, whole=False, candidateCount=2).usage == USAGE


@pytest.mark.parametrize("query", FORMS)
def test_what_comes_after_the_reason_overrules_it(query):
    late = {"usageMetadata": TOTAL}
    assert run(query, FORMS[query](event("", finish="STOP"), late)).usage == USAGE


@pytest.mark.parametrize("query", FORMS)
def test_usage_told_before_a_candidate_ended_is_no_bill(query):
    """The last report is the bill; an event with a function call is read, and so is its report."""
    ends = [event("", finish="STOP", index=index) for index in (0, 1)]
    for end in ends:
        del end["usageMetadata"]
    assert run(query, FORMS[query](CALL, ends[0])).basis is Basis.NONE
    both = FORMS[query](event("", finish="STOP", usage=TOTAL), ends[1])
    assert run(query, both, candidateCount=2).basis is Basis.NONE


@pytest.mark.parametrize("query", FORMS)
def test_a_blocked_prompt_is_billed_what_it_tells(query):
    feedback = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m"}
    told = run(query, FORMS[query](feedback | {"usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}}))
    assert (told.usage, told.finish_reason, told.finished) == (Usage(input=7), "SAFETY", True)
    untold = run(query, FORMS[query](feedback))
    assert (untold.usage, untold.basis) == (Usage(), Basis.USAGE)


@pytest.mark.parametrize("query", FORMS)
def test_an_error_inside_the_stream_is_noted_and_ends_nothing(query):
    failed = run(query, FORMS[query](event(), {"error": {"code": 503, "message": "Overloaded"}}))
    assert (failed.error, failed.finished, failed.basis) == ("Overloaded", False, Basis.NONE)


@pytest.mark.parametrize(
    "usage",
    [
        {"promptTokenCount": -1},
        {"promptTokenCount": 10**15},
        {"promptTokenCount": "5"},
        {"candidatesTokenCount": 5},
        {"promptTokenCount": 5, "cachedContentTokenCount": 6},
        {"promptTokenCount": 5, "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 9}]},
    ],
)
def test_an_impossible_report_is_no_report(usage):
    metered = run("alt=sse", sse(event("", finish="STOP", usage=usage)))
    assert (metered.basis, metered.usage, metered.finished) == (Basis.NONE, None, True)


def test_an_unknown_count_of_tokens_is_named():
    metered = run("", array(event("", finish="STOP", usage=TOTAL | {"warpTokenCount": 3, "serviceTier": "standard"})))
    assert metered.usage.unknown_keys == ("warpTokenCount",)
    assert metered.raw_usage["warpTokenCount"] == 3


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ({}, "flex"),
        ({"serviceTier": "standard"}, "default"),
        ({"serviceTier": "UNSPECIFIED"}, "default"),
        ({"trafficType": "ON_DEMAND_FLEX"}, "flex"),
    ],
)
def test_the_tier_is_the_one_that_served(told, tier):
    body = {"contents": [{"parts": [{"text": "hi"}]}], "serviceTier": "flex"}
    asked = generate.read_request(Route(generate.GENERATE[0], "gemini-2.5-flash"), orjson.dumps(body), {})
    metered = generate.read_answer(asked, orjson.dumps(event("", finish="STOP", usage=TOTAL | told)))
    assert metered.circumstances.tier == tier


def test_a_whole_answer_is_metered_whatever_its_form():
    for body in (orjson.dumps(EVENTS[-1]), array(*EVENTS), sse(*EVENTS)):
        assert generate.read_answer(request(), body).usage == USAGE
    for body in (b"oops", b"5", b"[5]", b"{}", b'{"candidates":{},"usageMetadata":5,"promptFeedback":[]}'):
        assert generate.read_answer(request(), body).basis is Basis.NONE


def test_elements_are_found_in_hostile_arrays_without_end():
    assert Elements().feed(b"]]]}}}") == []
    assert Elements().feed(b'[1,"x",[{}],{"a":{"b":[1]}}]') == [b"[{}]", b'{"a":{"b":[1]}}']
    elements = Elements()
    for _ in range(9):
        assert elements.feed(b'[{"x":"' + b"y" * 1_048_576 if _ == 0 else b"y" * 1_048_576) == []
    assert elements.feed(b'"},{"a":1}]') == [b'{"a":1}']
    assert elements.closed
