"""A client that did not ask for usage sees none, wherever the network cuts; everything else passes byte for byte."""

import time

import orjson
import pytest

from agents.pricing import Usage
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.openai import chat

HEAD = b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-2024-08-06",'
USAGE = b'{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}'
DONE = b"data: [DONE]\n\n"


def chunk(content=b'{"content":"hi"}', tail=b"", finish=b"null", head=HEAD):
    choices = b'"choices":[{"index":0,"delta":' + content + b',"logprobs":null,"finish_reason":' + finish + b"}]"
    return b"data: " + head + choices + tail + b"}\n\n"


def no_choices(tail, head=HEAD):
    return b"data: " + head + b'"choices":[]' + tail + b"}\n\n"


NULL, TOLD = b',"usage":null', b',"usage":' + USAGE
OBFUSCATED = b',"obfuscation":"a9"'
TRAP = b'{"content":"say \\"usage\\":null, \\",\\"usage\\":null}\\" and {\\"choices\\":[]}"}'
GROQ = b',"x_groq":{"id":"req_1","usage":' + USAGE + b"}"
AZURE = b',"prompt_filter_results":[{"prompt_index":0}]'

# What the provider sends, and what the client must see.
SHAPES = {
    "openai": (
        [chunk(tail=NULL), chunk(b"{}", NULL, b'"stop"'), no_choices(TOLD), DONE],
        [chunk(), chunk(b"{}", finish=b'"stop"'), DONE],
    ),
    "openai obfuscated": (
        [chunk(tail=NULL + OBFUSCATED), no_choices(TOLD + OBFUSCATED), DONE],
        [chunk(tail=OBFUSCATED), DONE],
    ),
    "azure": (
        [no_choices(AZURE + NULL), chunk(tail=NULL), no_choices(TOLD), DONE],
        [no_choices(AZURE), chunk(), DONE],
    ),
    "mistral and gemini: usage beside choices": (
        [chunk(tail=NULL), chunk(b"{}", TOLD, b'"stop"'), DONE],
        [chunk(), chunk(b"{}", TOLD, b'"stop"'), DONE],
    ),
    "groq": (
        [chunk(b"{}", GROQ, b'"stop"'), no_choices(TOLD), DONE],
        [chunk(b"{}", GROQ, b'"stop"'), DONE],
    ),
    "xai: usage in every chunk": (
        [chunk(tail=TOLD), b": keep-alive\n\n", chunk(b"{}", TOLD, b'"stop"'), DONE],
        [chunk(tail=TOLD), b": keep-alive\n\n", chunk(b"{}", TOLD, b'"stop"'), DONE],
    ),
    "the answer talks about usage": (
        [chunk(TRAP, NULL), chunk(TRAP, NULL + OBFUSCATED), no_choices(TOLD), DONE],
        [chunk(TRAP), chunk(TRAP, OBFUSCATED), DONE],
    ),
    "null first, null deeper, and spaces": (
        [
            b'data: {"usage":null,"choices":[{"index":0,"delta":{}}],"x":{"usage":null}}\n\n',
            b'data: {"choices": [], "x": {"a": 1, "usage": null}, "usage": null, "y": 2}\n\n',
            b'data: {"choices": [], "usage": ' + USAGE + b"}\n\n",
            DONE,
        ],
        [
            b'data: {"choices":[{"index":0,"delta":{}}],"x":{"usage":null}}\n\n',
            b'data: {"choices": [], "x": {"a": 1, "usage": null}, "y": 2}\n\n',
            DONE,
        ],
    ),
}


def request(**fields):
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hi"}]} | fields
    return chat.read_request(Route(chat.CHAT), orjson.dumps(body), {})


def run(pieces, **fields):
    meter = chat.stream_meter(request(**fields))
    seen = b"".join(map(meter.feed, pieces)) + meter.flush()
    return seen, meter.finish()


@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_hiding_survives_a_cut_at_every_byte(name, crlf):
    sent, wanted = (b"".join(part) for part in SHAPES[name])
    if crlf:
        sent, wanted = sent.replace(b"\n", b"\r\n"), wanted.replace(b"\n", b"\r\n")
    for at in range(len(sent) + 1):
        seen, metered = run([sent[:at], sent[at:]])
        assert seen == wanted, at
        assert metered.usage == Usage(input=9, output=4), at
        assert metered.finished
    assert run([sent[at : at + 1] for at in range(len(sent))])[0] == wanted


@pytest.mark.parametrize("name", SHAPES)
def test_a_client_that_asked_for_usage_sees_every_byte(name):
    sent = b"".join(SHAPES[name][0])
    for at in range(len(sent) + 1):
        seen, metered = run([sent[:at], sent[at:]], stream_options={"include_usage": True})
        assert seen == sent
        assert metered.usage == Usage(input=9, output=4)


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_hidden_is_all_that_is_held_back(name):
    """After each whole event the client has everything it will ever get of it."""
    sent, wanted = SHAPES[name]
    meter = chat.stream_meter(request())
    seen = b""
    for event in sent:
        seen += meter.feed(event)
        assert b"".join(wanted).startswith(seen)
    assert seen == b"".join(wanted)


@pytest.mark.parametrize(
    "inner",
    [b',"x":{"a":1,"usage":null}', b',"x":{"a":1,"usage":null},"usage_note":"n"', b',"x":[{"a":1,"usage":null}]'],
)
def test_a_null_of_another_object_is_not_ours_to_take(inner):
    assert run([chunk(tail=inner)])[0] == chunk(tail=inner)
    assert run([chunk(tail=inner + NULL)])[0] == chunk(tail=inner)


def test_groq_usage_is_found_beside_the_choices():
    _, metered = run([chunk(b"{}", GROQ, b'"stop"'), DONE])
    assert metered.usage == Usage(input=9, output=4)


def test_a_stream_that_is_cut_says_nothing_about_its_bill():
    _, metered = run([chunk(tail=NULL), chunk(tail=NULL)[:40]])
    assert (metered.basis, metered.usage, metered.finished) == (Basis.NONE, None, False)
    assert metered.charged_usage(500) is None
    assert metered.served_model == "gpt-4o-2024-08-06"


SO_FAR = b',"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}'
ENDED = chunk(b"{}", SO_FAR, b'"stop"')


@pytest.mark.parametrize(
    ("pieces", "choices", "is_bill"),
    [
        ([chunk(tail=SO_FAR)], 1, False),
        ([chunk(tail=SO_FAR), chunk(b"{}", finish=b'"stop"')], 1, False),
        ([ENDED], 1, True),
        ([ENDED, chunk(tail=SO_FAR)], 2, False),
        ([ENDED, ENDED.replace(b'"index":0', b'"index":1')], 2, True),
        ([chunk(tail=SO_FAR), no_choices(SO_FAR)], 2, True),
        ([chunk(tail=SO_FAR), DONE], 2, True),
    ],
)
def test_usage_so_far_is_no_bill_where_a_stream_breaks_off(pieces, choices, is_bill):
    """xAI, vLLM and others count in every chunk, and what came after the cut is billed too."""
    _, metered = run(pieces, n=choices)
    told = Usage(input=9, output=1) if is_bill else None
    assert (metered.usage, metered.basis) == (told, Basis.USAGE if is_bill else Basis.NONE)
    assert (metered.charged_usage(500), metered.raw_usage is None) == (told, is_bill)


def test_a_last_line_without_an_end_is_still_read_and_hidden():
    seen, metered = run([chunk(tail=NULL), no_choices(TOLD).rstrip()])
    assert seen == chunk()
    assert metered.usage == Usage(input=9, output=4)


def test_an_error_event_is_noted_and_passed():
    event = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'
    seen, metered = run([chunk(tail=NULL), event])
    assert seen.endswith(event)
    assert (metered.error, metered.basis) == ("overloaded", Basis.NONE)


def test_tool_calls_are_counted_once_each_and_the_reason_is_kept():
    calls = [
        chunk(b'{"tool_calls":[{"index":%d,"id":"call_%d","function":{"name":"f","arguments":""}}]}' % (at, at))
        for at in (0, 1)
    ]
    parts = [chunk(b'{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}') for _ in range(3)]
    _, metered = run([*calls, *parts, chunk(b"{}", finish=b'"tool_calls"'), no_choices(TOLD), DONE])
    assert (metered.tool_call_count, metered.finish_reason) == (2, "tool_calls")


@pytest.mark.parametrize(
    "usage",
    [b'{"prompt_tokens":-9,"completion_tokens":4}', b"{}", b'{"prompt_tokens":"9","completion_tokens":4}'],
)
def test_an_impossible_usage_object_is_no_usage(usage):
    _, metered = run([chunk(tail=NULL), no_choices(b',"usage":' + usage), DONE])
    assert (metered.basis, metered.usage) == (Basis.NONE, None)
    assert metered.problem
    assert metered.raw_usage is not None


def test_an_unknown_usage_key_is_kept_for_the_record():
    usage = USAGE[:-1] + b',"warp_tokens":3}'
    _, metered = run([no_choices(b',"usage":' + usage), DONE])
    assert metered.usage.unknown_keys == ("warp_tokens",)
    assert metered.raw_usage["warp_tokens"] == 3


def test_the_served_tier_prices_the_call_and_the_asked_one_only_where_none_is_served():
    served = HEAD + b'"service_tier":"default",'
    assert run([no_choices(TOLD, served)], service_tier="priority")[1].circumstances.tier == "default"
    assert run([no_choices(TOLD)], service_tier="priority")[1].circumstances.tier == "priority"


def test_lines_that_are_not_json_pass_and_do_no_harm():
    seen, metered = run([b'data: {"usage":nonsense\n\n', chunk(tail=NULL), no_choices(TOLD), DONE])
    assert seen == b'data: {"usage":nonsense\n\n' + chunk() + DONE
    assert metered.usage == Usage(input=9, output=4)


def test_a_line_without_end_costs_constant_memory_and_time_and_passes():
    meter = chat.stream_meter(request())
    piece = b"x" * 65_536
    began = time.thread_time()
    seen = b"".join(meter.feed(piece) for _ in range(400))
    seen += meter.feed(b"end\n" + no_choices(TOLD)) + meter.flush()
    assert seen == piece * 400 + b"end\n"
    assert meter.finish().usage == Usage(input=9, output=4)
    assert time.thread_time() - began < 5


def test_a_whole_answer_is_metered():
    body = b'{"id":"c","model":"m","service_tier":"flex","choices":[{"index":0,"message":{"tool_calls":[{},{}]},'
    body += b'"finish_reason":"tool_calls"}],"usage":' + USAGE + b"}"
    metered = chat.read_answer(request(), body)
    assert (metered.usage, metered.tool_call_count, metered.circumstances.tier) == (Usage(input=9, output=4), 2, "flex")
    assert metered.served_model == "m"
    assert chat.read_answer(request(), b"<html>").basis is Basis.NONE
    assert chat.read_answer(request(), b"[]").basis is Basis.NONE
