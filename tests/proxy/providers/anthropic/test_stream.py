"""A message stream passes untouched; its bill is the last cumulative report, or the first one and the whole bound."""

import orjson
import pytest

from agents.pricing import Usage
from proxy.providers.anthropic import messages
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis


def event(kind, **facts):
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, **facts}) + b"\n\n"


FIRST_USAGE = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 9,
    "cache_read_input_tokens": 3,
    "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
    "output_tokens": 1,
}
START = event("message_start", message={"id": "msg_1", "model": "claude-opus-5-5", "content": [], "usage": FIRST_USAGE})
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TOOL = event("content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "f", "input": {}})
TRAP = 'data: {"type":"message_delta","usage":{"output_tokens":9000}}\n\n'
TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": TRAP})
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 15, "input_tokens": None})
STOP = event("message_stop")
INPUT = Usage(input=25, cache_read=3, cache_write=4, cache_write_long=5, output=1)


def request(**fields):
    body = {"model": "claude-opus-5-5", "max_tokens": 500, "stream": True}
    body |= {"messages": [{"role": "user", "content": "hi"}]} | fields
    return messages.read_request(Route(messages.MESSAGES), orjson.dumps(body), {})


def run(*pieces, **fields):
    meter = messages.stream_meter(request(**fields))
    seen = b"".join(map(meter.feed, pieces)) + meter.flush()
    assert seen == b"".join(pieces)
    return meter.finish()


def test_usage_is_read_wherever_the_stream_is_cut():
    sent = START + BLOCK + event("ping") + TEXT + TOOL + END + STOP
    for at in range(len(sent) + 1):
        metered = run(sent[:at], sent[at:])
        assert metered.usage == Usage(input=25, cache_read=3, cache_write=4, cache_write_long=5, output=15), at
        assert (metered.basis, metered.finished, metered.tool_call_count) == (Basis.USAGE, True, 1)
    assert run(*(sent[at : at + 1] for at in range(len(sent)))).usage.output == 15
    assert run(sent.replace(b"\n", b"\r\n")).usage.output == 15


def test_a_cut_stream_is_charged_its_input_and_the_whole_output_bound():
    metered = run(START, BLOCK, TEXT)
    assert (metered.basis, metered.usage, metered.finished) == (Basis.INPUT_ONLY, INPUT, False)
    charged = metered.charged_usage(500)
    assert (charged.output, charged.input, charged.cache_write_long) == (500, 25, 5)


def test_a_stream_without_its_start_says_nothing():
    assert run(event("ping"), TEXT).basis is Basis.NONE


def test_an_error_event_is_noted():
    metered = run(START, event("error", error={"type": "overloaded_error", "message": "Overloaded"}))
    assert (metered.error, metered.basis) == ("Overloaded", Basis.INPUT_ONLY)


def test_a_refusal_before_any_output_is_not_billed_and_a_later_one_is():
    refusal = event("message_delta", delta={"stop_reason": "refusal"}, usage={"output_tokens": 0})
    assert not run(START, refusal, STOP).circumstances.billed
    assert run(START, BLOCK, TEXT, refusal, STOP).circumstances.billed


def test_the_report_says_where_and_how_fast_it_ran():
    start = {"id": "m", "usage": FIRST_USAGE | {"speed": "fast", "inference_geo": "us", "service_tier": "standard"}}
    circumstances = run(event("message_start", message=start), END, STOP).circumstances
    assert (circumstances.speed, circumstances.geo, circumstances.tier) == ("fast", "us", "default")
    assert run(START, END, STOP, inference_geo="us").circumstances.geo == "us"


@pytest.mark.parametrize("usage", [{"output_tokens": -1}, {"output_tokens": 10**15}, {"output_tokens": "5"}])
def test_an_impossible_report_is_no_report(usage):
    metered = run(START, event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage), STOP)
    assert (metered.basis, metered.usage) == (Basis.NONE, None)


@pytest.mark.parametrize("content", [None, 1, True, "x", {}, [1]])
def test_a_content_that_is_none_does_not_hide_the_bill(content):
    message = {"id": "msg_1", "content": content, "stop_reason": "end_turn", "usage": FIRST_USAGE}
    assert messages.read_answer(request(), orjson.dumps(message)).usage == INPUT
    assert run(event("message_start", message=message), END, STOP).basis is Basis.USAGE


def test_a_whole_message_is_metered():
    body = {"id": "m", "model": "x", "content": [{"type": "tool_use"}], "stop_reason": "tool_use", "usage": FIRST_USAGE}
    metered = messages.read_answer(request(), orjson.dumps(body))
    assert (metered.usage, metered.basis, metered.tool_call_count) == (INPUT, Basis.USAGE, 1)
    refused = body | {"content": [], "stop_reason": "refusal"}
    assert not messages.read_answer(request(), orjson.dumps(refused)).circumstances.billed
    assert messages.read_answer(request(), b"oops").basis is Basis.NONE
