"""The provider fake: OpenAI, Anthropic and Gemini on one port, in a process of its own, keeping its own bill.

    python -m tests.fakes.provider --port 0 --bill bill.jsonl      (prints "ready http://127.0.0.1:PORT")

OpenAI's base URL is http://127.0.0.1:PORT/v1, Anthropic's and Gemini's http://127.0.0.1:PORT. Any key beginning with
"sk-" will do, or only the one given by --key. What a call does is told by a script: see tests/fakes/script.py.

OpenAI's chat also answers at Azure's older addresses and takes a key in `api-key`.

The bill file holds one JSON line for each billed call, {id, request_id, model, usage, cost_usd}, written and flushed
before the first byte of the answer leaves, and priced by tests/fakes/prices.py.

    GET  /_stats    {requests, billed, errors, violations, open, connected, client_gone, cost_usd, by_path}
                    connected: calls in work whose connection is still there
    GET  /_log      the last thousand requests as received: {method, path, query, headers, body}
    POST /_script   JSON of script words that hold from now on        POST /_reset   counters, log, script, bill

A client key, an AWX header or a cookie that arrives here is a leak: it is answered with 500 and counted as a violation.
"""

import argparse
import asyncio
import sys
from collections import Counter, deque
from decimal import Decimal
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by path as well as by name

from tests.fakes import (
    anthropic_api,
    completions_api,
    embeddings_api,
    gemini_api,
    gemini_compat_api,
    images_api,
    moderations_api,
    openai_api,
    responses_api,
    speech_api,
    transcriptions_api,
)
from tests.fakes.prices import Tokens, cost_usd, dearest
from tests.fakes.script import Script, read_script

BODY_BYTES_MAX = 64 * 1024 * 1024
LOG_LENGTH = 1_000
CEILING_EXTRA_TOKENS = 64
HANG_SECONDS = 3_600
JSON, EVENTS = "application/json", "text/event-stream; charset=utf-8"
_KEY_HEADERS = ("x-api-key", "x-goog-api-key", "api-key")
_LEAKS = (b"awx_live_", b"awx_test_", b"awx_org_")


class Fake:
    """The state of the fake: its bill, its counters, its log and its standing script."""

    def __init__(self, bill: Path, key: str | None) -> None:
        self.bill_file = bill.open("ab")
        self.key = key
        self.script: Script = {}
        self.in_work: dict[int, web.Request] = {}
        self.reset()

    def reset(self) -> None:
        """Forget everything; the bill file becomes empty."""
        self.bill_file.truncate(0)
        self.counters: Counter[str] = Counter()
        self.by_path: Counter[str] = Counter()
        self.cost_usd = Decimal(0)
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)
        self.script = {}

    def bill(self, call_id: str, request_id: str, model: str, used: Tokens, factors: tuple[str, ...]) -> None:
        """Write a line and make sure it has left the process. request_id: as the answer's header names it."""
        cost = cost_usd(model, used, factors)
        usage = {"input": used.fresh, "cached": used.cached, "written": used.written + used.written_long}
        named = {"id": call_id, "request_id": request_id, "model": model}
        line = {**named, "usage": usage | {"output": used.output}, "cost_usd": format(cost, "f")}
        self.bill_file.write(orjson.dumps(line) + b"\n")
        self.bill_file.flush()
        self.counters["billed"] += 1
        self.cost_usd += cost

    def stats(self) -> dict[str, Any]:
        """All counters."""
        names = ("requests", "billed", "errors", "violations", "open", "client_gone")
        counts = {name: self.counters[name] for name in names}
        connected = sum(request.transport is not None for request in self.in_work.values())
        return counts | {
            "connected": connected, "cost_usd": format(self.cost_usd, "f"), "by_path": dict(self.by_path),
        }  # fmt: skip


FAKE = web.AppKey("fake", Fake)


async def chat(request: web.Request) -> web.StreamResponse:
    """POST /v1/chat/completions."""
    return await _call(request, openai_api)


async def messages(request: web.Request) -> web.StreamResponse:
    """POST /v1/messages."""
    return await _call(request, anthropic_api)


async def count_tokens(request: web.Request) -> web.StreamResponse:
    """POST /v1/messages/count_tokens: free."""
    body = await _admit(request, anthropic_api)
    if isinstance(body, web.Response):
        return body
    return _json(orjson.dumps({"input_tokens": len(await request.read()) // 4 + 8}), anthropic_api.headers())


async def responses(request: web.Request) -> web.StreamResponse:
    """POST /v1/responses."""
    return await _call(request, responses_api)


async def response_tokens(request: web.Request) -> web.Response:
    """POST /v1/responses/input_tokens: free."""
    body = await _admit(request, responses_api)
    if isinstance(body, web.Response):
        return body
    return _json(responses_api.count(body, len(await request.read())), responses_api.headers())


async def kept_response(request: web.Request) -> web.Response:
    """GET and DELETE /v1/responses/{id}, GET /v1/responses/{id}/input_items: free."""
    refused = _refused(request, await request.read(), responses_api)
    if refused is not None:
        return refused
    name = request.match_info["name"]
    items = request.path.endswith("/input_items")
    body = responses_api.delete(name) if request.method == "DELETE" else responses_api.kept(name, items=items)
    if body is None:
        return _json(responses_api.error(404), responses_api.headers(), 404)
    return _json(body, responses_api.headers())


async def contents(request: web.Request) -> web.StreamResponse:
    """POST /v1beta/models/{name}:{method} of Gemini's own form; counting is free."""
    name, method = request.match_info["name"], request.match_info["method"]
    if request.app[FAKE].script.get("key_invalid"):
        return _json(gemini_api.error(401), gemini_api.headers(), 400)
    if method == "countTokens":
        body = await _admit(request, gemini_api)
        counted = orjson.dumps({"totalTokens": len(await request.read()) // 4 + 8})
        return body if isinstance(body, web.Response) else _json(counted, gemini_api.headers())
    facts = {"model": name, "stream": method == "streamGenerateContent", "alt": request.query.get("alt")}
    return await _call(request, gemini_api, facts)


async def compat_chat(request: web.Request) -> web.StreamResponse:
    """POST /v1beta/openai/chat/completions: Google's compatible form."""
    return await _call(request, gemini_compat_api)


async def completions(request: web.Request) -> web.StreamResponse:
    """POST /v1/completions."""
    return await _call(request, completions_api)


async def embeddings(request: web.Request) -> web.StreamResponse:
    """POST /v1/embeddings."""
    return await _call(request, embeddings_api)


async def images(request: web.Request) -> web.StreamResponse:
    """POST /v1/images/generations and /v1/images/edits."""
    return await _call(request, images_api)


async def speech(request: web.Request) -> web.StreamResponse:
    """POST /v1/audio/speech."""
    return await _call(request, speech_api)


async def transcriptions(request: web.Request) -> web.StreamResponse:
    """POST /v1/audio/transcriptions and /v1/audio/translations."""
    return await _call(request, transcriptions_api)


async def moderations(request: web.Request) -> web.StreamResponse:
    """POST /v1/moderations: free."""
    body = await _admit(request, moderations_api)
    return body if isinstance(body, web.Response) else _json(moderations_api.answer(body), moderations_api.headers())


async def models(request: web.Request) -> web.Response:
    """GET /v1/models and /v1/models/{id}, in the dialect of the headers."""
    api = anthropic_api if "anthropic-version" in request.headers else openai_api
    refused = _refused(request, b"", api)
    if refused is not None:
        return refused
    name = request.match_info.get("name")
    body = api.models() if name is None else api.model(name)
    return _json(body, api.headers()) if body else _json(api.error(404), api.headers(), status=404)


async def _call(request: web.Request, api: ModuleType, facts: dict[str, Any] | None = None) -> web.StreamResponse:
    """Answer a call. facts: of its path, where they stand in the body for other providers."""
    fake = request.app[FAKE]
    body = await _admit(request, api)
    if isinstance(body, web.Response):
        return body
    body |= facts or {}
    received_bytes = len(await request.read())
    script = read_script(fake.script, request.headers.get("x-fake-script", ""), said(api, body))
    status = int(script.get("status", 0)) or api.problem(body)
    fake.counters["open"] += 1
    fake.in_work[id(request)] = request
    try:
        await asyncio.sleep(int(script.get("delay_ms", 0)) / 1000)
        if status:
            return _error(fake, api, status, script)
        return await _answer(request, api, body, script, received_bytes)
    except ConnectionResetError:
        fake.counters["client_gone"] += 1
        return web.Response()  # nobody is there to get it
    finally:
        fake.counters["open"] -= 1
        del fake.in_work[id(request)]


def said(api: ModuleType, body: dict[str, Any]) -> object:
    """The messages of a request, where script words are looked for."""
    if hasattr(api, "messages_of"):
        return api.messages_of(body)
    return body.get("messages") or body.get("contents") or responses_api.messages(body)


async def _answer(
    request: web.Request, api: ModuleType, body: dict[str, Any], script: Script, received_bytes: int
) -> web.StreamResponse:
    fake = request.app[FAKE]
    used = api.tokens(body, script, received_bytes)
    if script.get("bill") == "ceiling":
        used = dearest(str(body["model"]), received_bytes + CEILING_EXTRA_TOKENS, api.cap(body))
    told = api.usage(used, body, script) if len(signature(api.usage).parameters) > 1 else api.usage(used)
    answer, headers = api.Answer(body, script, used, _told(told, script)), api.headers()
    if script.get("bill") != "none" and not script.get("refusal"):
        factors = tuple(str(told[name]) for name in ("speed", "inference_geo") if name in told)
        request_id = headers.get("x-request-id") or headers.get("request-id", "")
        fake.bill(answer.id, request_id, str(body["model"]), used, factors)
    if script.get("hang"):
        await asyncio.sleep(HANG_SECONDS)
    if script.get("reset"):
        return _abort(request)
    if body.get("stream"):
        return await _stream(request, headers, answer, script)
    return await _whole(request, headers, answer, script)


async def _whole(request: web.Request, headers: dict[str, str], answer: Any, script: Script) -> web.StreamResponse:
    body: bytes = answer.whole()
    if "cut_after" not in script and "drip" not in script:
        return _json(body, headers, content_type=getattr(answer, "content_type", JSON))
    response = web.StreamResponse(headers=headers | {"content-type": JSON, "content-length": str(len(body))})
    await response.prepare(request)
    if "cut_after" in script:
        await response.write(body[: len(body) // 2])
        return _abort(request, response)
    await _drip(response, body, int(script["drip"]))
    return response


async def _stream(request: web.Request, headers: dict[str, str], answer: Any, script: Script) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers | {"content-type": getattr(answer, "content_type", EVENTS)})
    await response.prepare(request)
    first, content, last = answer.events()
    if script.get("comments"):
        first = [b": keep-alive\n\n", *first]
    if script.get("bad_line"):
        first.append(b"data: {not json\n\n")
    for event in first:
        await _write(response, event, script)
    for at, event in enumerate(content):
        if at == script.get("cut_after"):
            return _abort(request, response)
        if at == script.get("error_after"):
            await _write(response, answer.error_event(), script)
            return response
        await asyncio.sleep(int(script.get("chunk_ms", 0)) / 1000)
        await _write(response, event, script)
    for event in last:
        await _write(response, event, script)
    await asyncio.sleep(int(script.get("linger_ms", 0)) / 1000)
    return response


async def _write(response: web.StreamResponse, event: bytes, script: Script) -> None:
    if script.get("crlf"):
        event = event.replace(b"\n", b"\r\n")
    if "drip" in script:
        await _drip(response, event, int(script["drip"]))
    else:
        await response.write(event)


async def _drip(response: web.StreamResponse, body: bytes, piece_bytes: int) -> None:
    for at in range(0, len(body), piece_bytes):
        await response.write(body[at : at + piece_bytes])
        await asyncio.sleep(0)


def _abort(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response if response is not None else web.Response()


async def _admit(request: web.Request, api: ModuleType) -> dict[str, Any] | web.Response:
    """The body of a request, or the answer that turns it away."""
    raw = await request.read()
    refused = _refused(request, raw, api)
    if refused is not None:
        return refused
    try:
        read = getattr(api, "read", None)
        body = read(raw, request.headers.get("content-type", "")) if read else orjson.loads(raw)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else _json(api.error(400), api.headers(), status=400)


def _refused(request: web.Request, raw: bytes, api: ModuleType) -> web.Response | None:
    fake = request.app[FAKE]
    fake.counters["requests"] += 1
    fake.by_path[request.path] += 1
    fake.log.append(
        {
            "method": request.method,
            "path": request.path,
            "query": request.query_string,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": raw.decode("utf-8", "replace"),
        }
    )
    if _leaks(request, raw):
        fake.counters["violations"] += 1
        return _json(b'{"error":{"message":"LEAK: a client key, cookie or AWX header reached the provider"}}', {}, 500)
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    key = next((request.headers[name] for name in _KEY_HEADERS if name in request.headers), bearer)
    if key == fake.key or (fake.key is None and key.startswith("sk-")):
        return None
    return _json(api.error(401), api.headers(), 400 if api is gemini_api else 401)


def _leaks(request: web.Request, raw: bytes) -> bool:
    names = {name.lower() for name in request.headers}
    if "cookie" in names or any(name.startswith(("x-awx", "x-agent")) for name in names):
        return True
    values = "\n".join(request.headers.values()).encode()
    values += request.query_string.encode()
    return any(leak in values or leak in raw for leak in _LEAKS)


def _told(usage: dict[str, Any], script: Script) -> dict[str, Any] | None:
    """The usage object as the script bends it."""
    if script.get("no_usage"):
        return None
    first = next(iter(usage))
    bent = {"negative": {first: -5}, "huge": {first: 10**15}, "text": {first: "many"}, "unknown": {"warp_tokens": 7}}
    bent |= {"vast": {first: 10**10}, "heap": {f"{'warp_' * 20}{number}_tokens": 7 for number in range(5_000)}}
    if script.get("usage") == "missing":
        return {name: value for name, value in usage.items() if name != first}
    return usage | bent.get(str(script.get("usage")), {})


def _error(fake: Fake, api: ModuleType, status: int, script: Script) -> web.Response:
    fake.counters["errors"] += 1
    extra = {"retry-after": str(script["retry_after"])} if "retry_after" in script else {}
    body = orjson.loads(api.error(status))
    if "code" in script:
        body["error"]["code"] = script["code"]
    return _json(orjson.dumps(body), api.headers() | extra, status)


def _json(body: bytes, headers: dict[str, str], status: int = 200, *, content_type: str = JSON) -> web.Response:
    return web.Response(body=body, status=status, headers=headers | {"content-type": content_type})


async def stats(request: web.Request) -> web.Response:
    """GET /_stats."""
    return _json(orjson.dumps(request.app[FAKE].stats()), {})


async def log(request: web.Request) -> web.Response:
    """GET /_log."""
    return _json(orjson.dumps(list(request.app[FAKE].log)), {})


async def set_script(request: web.Request) -> web.Response:
    """POST /_script."""
    request.app[FAKE].script = orjson.loads(await request.read())
    return _json(b"{}", {})


async def reset(request: web.Request) -> web.Response:
    """POST /_reset."""
    request.app[FAKE].reset()
    return _json(b"{}", {})


def make_app(fake: Fake) -> web.Application:
    """The application."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app[FAKE] = fake
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/openai/deployments/{deployment}/chat/completions", chat)
    app.router.add_post("/v1/responses", responses)
    app.router.add_post("/v1/responses/input_tokens", response_tokens)
    app.router.add_get("/v1/responses/{name}", kept_response)
    app.router.add_get("/v1/responses/{name}/input_items", kept_response)
    app.router.add_delete("/v1/responses/{name}", kept_response)
    app.router.add_post("/v1beta/openai/embeddings", embeddings)
    app.router.add_post("/v1/completions", completions)
    app.router.add_post("/v1/embeddings", embeddings)
    app.router.add_post("/v1/moderations", moderations)
    app.router.add_post("/v1/images/generations", images)
    app.router.add_post("/v1/images/edits", images)
    app.router.add_post("/v1/audio/speech", speech)
    app.router.add_post("/v1/audio/transcriptions", transcriptions)
    app.router.add_post("/v1/audio/translations", transcriptions)
    app.router.add_post("/v1/messages", messages)
    app.router.add_post("/v1/messages/count_tokens", count_tokens)
    app.router.add_post("/{version:v1|v1beta}/models/{name}:{method}", contents)
    app.router.add_post("/v1beta/openai/chat/completions", compat_chat)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/v1/models/{name:.+}", models)
    app.router.add_get("/_stats", stats)
    app.router.add_get("/_log", log)
    app.router.add_post("/_script", set_script)
    app.router.add_post("/_reset", reset)
    return app


async def serve(host: str, port: int, fake: Fake) -> None:
    """Serve until killed; says where on standard output."""
    runner = web.AppRunner(make_app(fake), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=4_096)
    await site.start()
    print(f"ready http://{host}:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description="A provider for tests, with a bill of its own.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bill", type=Path, required=True)
    parser.add_argument("--key", default=None, help="the only key to accept; else any that begins with sk-")
    options = parser.parse_args()
    asyncio.run(serve(options.host, options.port, Fake(options.bill, options.key)))


if __name__ == "__main__":
    main()
