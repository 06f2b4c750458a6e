"""What the provider fake is told to do with a call.

A script is words of the form name=value between double brackets anywhere in a user message:

    Say hello [[tokens_out=50 chunks=10 chunk_ms=20]]

The same words can come in the header `x-fake-script` (for callers that reach the fake directly), or as JSON to
`POST /_script`, where they hold for every later call until `POST /_reset`. A message overrules the header, the header
overrules the standing script.

    tokens_in=N         input tokens reported and billed (else text bytes // 4 + 8)
    count=1             OpenAI: input tokens by its published tokenizer (counting.py)
    tokens_out=N        output tokens, never above the request's own bound (default 12; times n for chat)
    cached=N written=N written_long=N reasoning=N   parts of the usage
    chunks=N            content chunks of a stream (default 5)
    delay_ms=N          wait before the first byte        chunk_ms=N   wait before each chunk
    linger_ms=N         stream: wait between the last event and the end of the body
    status=N            answer with the real API's error of that status, nothing billed
    retry_after=N       with status: the Retry-After header        code=WORD   with status: the error's code
    reset=1             bill, then abort the connection before any byte
    cut_after=N         stream: abort after N content chunks; whole answer: abort in the middle of the body
    error_after=N       stream: an error event after N content chunks, then the end
    hang=1              bill, then never answer
    no_usage=1          leave usage out of the answer (it is billed all the same)
    usage=negative|huge|vast|text|missing|unknown|heap   an impossible usage object (billed as usual)
    bill=actual|ceiling|none    ceiling: input = bytes received + 64 at the
                        dearest rate, output = the request's bound; more than a counted bound allows
    tier=NAME model=NAME        the tier and model that the answer names
    speed=fast geo=us           Anthropic's echoes
    searches=N          Anthropic and Responses: searches of the web, at most the request's max_uses or max_tool_calls
    failed=1            Responses: the answer ends as failed
    tool_calls=N        the answer calls N tools          refusal=1  Anthropic: refuse before any output
    blocked=1           Gemini: the prompt is blocked, its tokens are told
    key_invalid=1       Gemini: the key is not valid, which it says with a 400
    text=WORD           the word the answer repeats (default "word")
    drip=N              write the body N bytes at a time  crlf=1 comments=1  odd but legal event streams
    bad_line=1          stream: one line that is not JSON
"""

import re
from typing import Any

_MARK = re.compile(r"\[\[([^\[\]]*)\]\]")
Script = dict[str, Any]


def read_script(standing: Script, header: str, messages: object) -> Script:
    """The script of one call."""
    script = dict(standing) | _words(header)
    for words in _MARK.findall(_text_of(messages)):
        script |= _words(words)
    return script


def _words(text: str) -> Script:
    pairs = (word.partition("=") for word in text.split())
    return {name: int(value) if value.lstrip("-").isdigit() else value for name, _, value in pairs if name}


def _text_of(value: object) -> str:
    """The text of all user messages; a marker in an answer that is sent back must not act again."""
    if not isinstance(value, list):
        return ""
    users = [message for message in value if isinstance(message, dict) and message.get("role") == "user"]
    return " ".join(map(_content, users[-1:]))


def _content(message: dict[str, Any]) -> str:
    content = message.get("content", message.get("parts"))
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
