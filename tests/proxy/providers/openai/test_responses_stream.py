"""A response's usage, tools and end are read wherever the network cuts; every byte passes as it came."""

import orjson
import pytest

from agents.pricing import Usage
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.openai import responses

USAGE = {
    "input_tokens": 40,
    "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 47,
}
ECHO = {"tools": [{"type": "function", "parameters": {"type": "response.completed", "usage": {"input_tokens": 1}}}]}
CALL = {"type": "function_call", "id": "fc_1", "arguments": '{"type":"error"}', "call_id": "c", "name": "f"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "q"}}
OPENED = {"type": "web_search_call", "id": "ws_2", "action": {"type": "open_page", "url": "u"}}


def response(**fields):
    known = {"id": "resp_1", "object": "response", "model": "gpt-4o-2024-08-06", "status": "in_progress"}
    return {**known, "output": [], "usage": None, "service_tier": "auto", **ECHO, **fields}


def event(kind, **fields):
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, **fields}) + b"\n\n"


def delta(text="hi"):
    return event("response.output_text.delta", delta=text, item_id="msg_1", output_index=0, content_index=0)


TRAP = delta('say "type":"response.completed" and "usage":{}')
BEGIN = [event("response.created", response=response()), event("response.in_progress", response=response()), TRAP]


def end(kind="completed", **fields):
    told = {"status": kind, "usage": USAGE, "service_tier": "default"}
    return event(f"response.{kind}", response=response(**told | fields))


def ask(**fields):
    body = {"model": "gpt-4o", "input": "hi"} | fields
    return responses.read_request(Route(responses.RESPONSES), orjson.dumps(body), {})


def meter(stream, request=None, cut=None):
    """Feed a stream, in two pieces where a cut is given; what passed and what was read."""
    watching = responses.stream_meter(request or ask(stream=True))
    pieces = [stream] if cut is None else [stream[:cut], stream[cut:]]
    passed = b"".join(watching.feed(piece) for piece in pieces) + watching.flush()
    return passed, watching.finish()


def test_a_stream_is_read_and_passes_unchanged_wherever_it_is_cut_in_two():
    item = event("response.output_item.done", output_index=0, item=CALL)
    stream = b"".join([*BEGIN, item, b": comment\n\n", end(output=[CALL])])
    for cut in range(len(stream)):
        passed, metered = meter(stream, cut=cut)
        assert passed == stream
        assert (metered.basis, metered.finished, metered.tool_call_count) == (Basis.USAGE, True, 1)
    assert metered.usage == Usage(input=30, cache_read=10, output=7, reasoning=3)
    assert (metered.provider_id, metered.served_model) == ("resp_1", "gpt-4o-2024-08-06")
    assert (metered.circumstances.tier, metered.finish_reason) == ("default", "completed")


def test_a_stream_that_is_cut_off_anywhere_tells_no_usage():
    stream = b"".join([*BEGIN, end()])
    last = len(stream) - len(end())
    for length in range(0, last + len(end()) - 4, 7):
        _, metered = meter(stream[:length])
        assert (metered.usage, metered.finished, metered.error) == (None, False, None)
    assert metered.provider_id == "resp_1"  # known from its beginning


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_carriage_returns_and_a_missing_last_line_end_do_not_matter(newline):
    stream = b"".join([*BEGIN, end()]).replace(b"\n", newline)
    assert meter(stream)[1].basis is Basis.USAGE
    assert meter(stream.rstrip())[1].basis is Basis.USAGE


@pytest.mark.parametrize("kind", ["completed", "incomplete"])
def test_an_end_without_usage_is_no_bill(kind):
    _, metered = meter(b"".join([*BEGIN, end(kind, usage=None)]))
    assert (metered.usage, metered.basis, metered.finished) == (None, Basis.NONE, True)
    assert metered.charged_usage(500) is None


def test_an_incomplete_answer_is_billed_and_says_why():
    """Worked case oai-resp-06: reasoning took the whole bound."""
    stream = b"".join([*BEGIN, end("incomplete", incomplete_details={"reason": "max_output_tokens"})])
    _, metered = meter(stream)
    assert (metered.basis, metered.finish_reason, metered.finished) == (Basis.USAGE, "max_output_tokens", True)


@pytest.mark.parametrize("usage", [None, USAGE])
def test_a_failed_answer_is_an_error_with_or_without_a_bill(usage):
    error = {"code": "server_error", "message": "The model failed."}
    _, metered = meter(b"".join([*BEGIN, end("failed", usage=usage, error=error)]))
    assert (metered.error, metered.finished) == ("The model failed.", False)
    assert (metered.usage is None) == (usage is None)


@pytest.mark.parametrize("fields", [{"code": "x", "message": "Broke."}, {"error": {"code": "x", "message": "Broke."}}])
def test_an_error_event_ends_the_stream(fields):
    _, metered = meter(b"".join([*BEGIN, event("error", **fields)]))
    assert (metered.error, metered.finished, metered.usage) == ("Broke.", False, None)


def test_what_the_answer_repeats_of_the_request_is_not_believed():
    """The client's own tool schema stands in the answer as it was sent."""
    lie = {"tools": [{"type": "response.completed", "response": response(usage=USAGE)}]}
    _, metered = meter(event("response.created", response=response(**lie, usage=USAGE)))
    assert (metered.usage, metered.finished) == (None, False)


def test_searches_are_those_that_are_billed():
    told = {"web_search": {"num_requests": 2}, "image_gen": {"input_tokens": 0, "output_tokens": 0}}
    _, summed = meter(end(output=[SEARCH, OPENED], tool_usage=told))
    assert dict(summed.usage.tools) == {"web_search": 2}
    _, counted = meter(end(output=[SEARCH, OPENED, {"type": "file_search_call"}]))
    assert dict(counted.usage.tools) == {"web_search": 1, "file_search": 1}
    assert counted.usage.unknown_keys == ()


def test_items_count_from_their_events_where_the_end_leaves_them_out():
    events = [event("response.output_item.done", output_index=at, item=one) for at, one in enumerate([SEARCH, CALL])]
    _, metered = meter(b"".join([*BEGIN, *events, end(output=[])]))
    assert (dict(metered.usage.tools), metered.tool_call_count) == ({"web_search": 1}, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_usage": {"image_gen": {"output_tokens": 5}, "web_search": {"num_requests": 0}}},
        {"tool_usage": {"file_search": {"num_requests": 2}, "code_interpreter": {"num_requests": 2}}},
        {"tool_usage": {"video_seconds": 4.5}},
        {"output": [{"type": "code_interpreter_call"}]},
        {"output": [{"type": "image_generation_call"}]},
    ],
)
def test_work_without_a_price_is_named_so_that_the_hold_is_charged(fields):
    _, metered = meter(end(**fields))
    assert len(metered.usage.unknown_keys) == 1
    assert metered.raw_usage == USAGE


@pytest.mark.parametrize(
    "usage",
    [USAGE | {"input_tokens": -1}, USAGE | {"output_tokens": "7"}, {"total_tokens": 5}, USAGE | {"input_tokens": 5}],
)
def test_impossible_usage_is_no_usage(usage):
    _, metered = meter(end(usage=usage))
    assert (metered.usage, metered.basis, metered.raw_usage) == (None, Basis.NONE, usage)
    assert metered.problem


def test_types_that_are_no_words_are_passed_over():
    odd = [{"type": []}, {"type": {"a": 1}}, {"type": "web_search_call", "action": {"type": []}}, 5, None]
    _, metered = meter(event("response.created", response=response(output=odd)) + end(output=odd))
    assert (metered.tool_call_count, dict(metered.usage.tools)) == (0, {"web_search": 1})
    _, metered = meter(b'data: {"type":"response.completed","response":{},"type":[]}\n\n')
    assert (metered.finished, metered.error) == (False, None)


def test_long_cache_writes_are_told_apart_by_the_answer_or_by_the_request():
    details = {"cached_tokens": 0, "cache_write_tokens": 30}
    split = {"ttl_12h_tokens": 20, "ttl_30m_tokens": 10}
    _, told = meter(end(usage=USAGE | {"input_tokens_details": details | {"cache_write_tokens_details": split}}))
    assert (told.usage.cache_write_long, told.usage.cache_write) == (20, 10)
    asked = ask(stream=True, prompt_cache_options={"ttl": "12h"})
    _, unsplit = meter(end(usage=USAGE | {"input_tokens_details": details}), asked)
    assert (unsplit.usage.cache_write_long, unsplit.usage.cache_write) == (30, 0)


def test_a_whole_answer_is_read_as_its_stream_is():
    told = {"status": "completed", "usage": USAGE, "service_tier": "flex", "output": [CALL]}
    metered = responses.read_answer(ask(service_tier="priority"), orjson.dumps(response(**told)))
    assert metered.usage == Usage(input=30, cache_read=10, output=7, reasoning=3)
    assert (metered.circumstances.tier, metered.tool_call_count, metered.finished) == ("flex", 1, True)
    assert metered.provider_id == "resp_1"
    for body in (b"", b"[]", b"null", b"{", b"<html>"):
        assert responses.read_answer(ask(), body).basis is Basis.NONE


def test_the_tier_that_was_asked_for_prices_an_answer_that_names_none():
    told = {"status": "completed", "usage": USAGE, "service_tier": None}
    metered = responses.read_answer(ask(service_tier="flex"), orjson.dumps(response(**told)))
    assert metered.circumstances.tier == "flex"


def test_a_count_is_free():
    request = responses.read_request(Route(responses.INPUT_TOKENS), b'{"model":"gpt-4o","input":"hi"}', {})
    metered = responses.read_answer(request, b'{"object":"response.input_tokens","input_tokens":9}')
    assert (metered.basis, metered.finished, metered.usage) == (Basis.USAGE, True, None)
