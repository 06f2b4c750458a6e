"""Property P1: whatever a provider bills for a call within its bound is no more than the ceiling of the call.

A walk draws calls at random over every price row, service tier, place, speed and moment, and lets the provider bill
them adversarially: to the last token of the bound, in the dearest bucket, on the other tier, at the other side of a
change of price. One seed gives one walk. To add a surface, add a line to SURFACES; to add requests that a provider
module reads and bounds itself, add a line to REQUESTS.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson

from agents.data.book_file import read_rows
from agents.pricebook import PriceBook
from agents.pricing import Bound, Circumstances, PriceRow, Rates, Usage, ceiling_pico, settle
from proxy.planning import CLOCK_ERROR
from proxy.providers.anthropic import messages
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.gemini import generate
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai import chat, completions, embeddings
from proxy.providers.outgoing import Outgoing
from proxy.providers.targets import Target
from proxy.providers.usage import read_usage

CALL_MAX = timedelta(minutes=30)
BEGINS, HOURS = datetime(2026, 11, 1, tzinfo=UTC), 24 * 120
EDGES = (0, 1, 99_999, 100_000, 100_001, 199_999, 200_000, 200_001, 272_000, 272_001)
TOOLS = {"openai": ("web_search", "file_search"), "anthropic": ("web_search",)}
BOOK = PriceBook.load()

type Bill = Callable[[Random, "Call"], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was drawn: what it may use at most, and what it asked for. rates: those its row has by name."""

    provider: str
    model: str
    at: datetime
    bound: Bound
    tier: str = "default"
    speed: str = "standard"
    geo: str = "global"
    rates: frozenset[str] = frozenset()
    input_max: int = 0  # with hosted tools the model reads windows, not only the body
    output_max: int = 0

    @property
    def tiers(self) -> tuple[str, ...]:
        return (self.tier, "default")


@dataclass(frozen=True, slots=True)
class Surface:
    """One endpoint of one provider: the kind of its rows, the rates they need, how it bills, and what can occur."""

    endpoint: str
    kind: str
    needs: tuple[str, ...]
    bill: Bill
    can: tuple[str, ...] = ()  # of: tools, long_ttl, audio_in, image_in, image_out, audio_out, geo, speed, tiers
    has_output: bool = True
    fixed: dict[str, Any] = field(default_factory=dict)


# ---- What providers say they used: the shapes of metering.md 1.1, filled to the brim ----


def upto(rng: Random, most: int) -> int:
    """A number from 0 to most that loves the ends."""
    luck = rng.random()
    if luck < 0.35:
        return most
    return 0 if luck < 0.45 else rng.randint(0, most)


def split(rng: Random, total: int, count: int) -> list[int]:
    """Parts that add up to no more than the total; often one of them has it all."""
    parts, left = [], total
    for _ in range(count):
        parts.append(upto(rng, left) if rng.random() < 0.6 else 0)
        left -= parts[-1]
    rng.shuffle(parts)
    return parts


def bill_chat(rng: Random, call: Call) -> dict[str, Any]:
    prompt, output = upto(rng, call.input_max), upto(rng, call.output_max)
    cached, written = split(rng, prompt, 2)
    thinking = upto(rng, output)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt, "total_tokens": prompt + output,
        # Some leave thinking out of the completion and not out of the total.
        "completion_tokens": output - thinking if rng.random() < 0.2 else output,
        "prompt_tokens_details": {
            "cached_tokens": cached if "cache_read" in call.rates else 0,
            "cache_write_tokens": written if "cache_write" in call.rates else 0,
        },
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }  # fmt: skip
    if call.provider == "deepseek":
        usage |= {"prompt_cache_hit_tokens": cached, "prompt_cache_miss_tokens": prompt - cached}
        del usage["prompt_tokens_details"]
    return usage


def bill_responses(rng: Random, call: Call) -> dict[str, Any]:
    read, output = upto(rng, call.input_max), upto(rng, call.output_max)
    cached, short, long = split(rng, read, 3)
    details: dict[str, Any] = {"cached_tokens": cached if "cache_read" in call.rates else 0}
    if "cache_write" in call.rates:
        long = long if call.bound.cache_ttl_long else 0
        details["cache_write_tokens"] = short + long
        if rng.random() < 0.5:
            details["cache_write_tokens_details"] = {"ttl_12h_tokens": long, "ttl_30m_tokens": short}
    return {
        "input_tokens": read, "output_tokens": output, "total_tokens": read + output,
        "input_tokens_details": details, "output_tokens_details": {"reasoning_tokens": upto(rng, output)},
    }  # fmt: skip


def bill_messages(rng: Random, call: Call) -> dict[str, Any]:
    fresh, read, short, long = split(rng, call.input_max, 4)
    long = long if call.bound.cache_ttl_long else 0
    usage: dict[str, Any] = {
        "input_tokens": fresh, "cache_read_input_tokens": read, "cache_creation_input_tokens": short + long,
        "output_tokens": upto(rng, call.output_max), "service_tier": "standard",
        "speed": rng.choice([call.speed, "standard"]),
        "inference_geo": rng.choice([call.geo, "global", "not_available"]),
    }  # fmt: skip
    if rng.random() < 0.7:
        usage["cache_creation"] = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
    if searches := call.bound.tools.get("web_search"):
        usage["server_tool_use"] = {"web_search_requests": upto(rng, searches), "web_fetch_requests": 3}
    return usage


def bill_generate(rng: Random, call: Call) -> dict[str, Any]:
    read, output = upto(rng, call.input_max), upto(rng, call.output_max)
    tool = upto(rng, read) if rng.random() < 0.2 else 0
    prompt = read - tool
    cached, audio = split(rng, prompt, 2)
    cached = cached if "cache_read" in call.rates else 0
    audio = audio if call.bound.has_audio_input else 0
    thoughts = upto(rng, output)
    usage: dict[str, Any] = {
        "promptTokenCount": prompt, "cachedContentTokenCount": cached, "toolUsePromptTokenCount": tool,
        "candidatesTokenCount": output - thoughts, "thoughtsTokenCount": thoughts, "totalTokenCount": read + output,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": audio}],
    }  # fmt: skip
    image = upto(rng, output - thoughts) if call.bound.has_image_output else 0
    spoken = output - thoughts if call.bound.has_audio_output else 0
    usage["candidatesTokensDetails"] = [
        {"modality": "IMAGE", "tokenCount": image}, {"modality": "AUDIO", "tokenCount": spoken},
    ]  # fmt: skip
    return {"usageMetadata": usage}


def bill_embeddings(rng: Random, call: Call) -> dict[str, Any]:
    read = upto(rng, call.input_max)
    return {"prompt_tokens": read, "total_tokens": read}


def bill_embed_content(rng: Random, call: Call) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": upto(rng, call.input_max)}}


def bill_images(rng: Random, call: Call) -> dict[str, Any]:
    read, output = upto(rng, call.input_max), upto(rng, call.output_max)
    image, cached = split(rng, read, 2)
    text = upto(rng, output) if "output" in call.rates else 0
    return {
        "input_tokens": read, "output_tokens": output,
        "input_tokens_details": {"image_tokens": image, "cached_tokens": cached, "text_tokens": read - image - cached},
        "output_tokens_details": {"text_tokens": text, "image_tokens": output - text},
    }  # fmt: skip


def bill_characters(rng: Random, call: Call) -> dict[str, Any]:
    return {"characters": upto(rng, call.bound.characters)}


def bill_speech(rng: Random, call: Call) -> dict[str, Any]:
    return {"input_tokens": upto(rng, call.input_max), "output_tokens": upto(rng, call.output_max)}


def bill_duration(rng: Random, call: Call) -> dict[str, Any]:
    return {"type": "duration", "seconds": upto(rng, call.bound.duration_ms) / 1000}


def bill_transcription(rng: Random, call: Call) -> dict[str, Any]:
    read = upto(rng, call.input_max)
    return {
        "type": "tokens", "input_tokens": read, "output_tokens": upto(rng, call.output_max),
        "input_token_details": {"audio_tokens": upto(rng, read)},
    }  # fmt: skip


TEXT = ("input", "output")
CHAT = Surface("chat", "chat", TEXT, bill_chat, ("tiers",))
SURFACES: dict[str, tuple[Surface, ...]] = {
    "openai": (
        replace(CHAT, can=("tiers", "geo")),
        Surface("completions", "completion", TEXT, bill_chat),
        Surface("responses", "chat", TEXT, bill_responses, ("tiers", "geo", "tools", "long_ttl")),
        Surface("embeddings", "embedding", ("input",), bill_embeddings, has_output=False),
        Surface("images", "image", ("input", "image_output"), bill_images, ("image_in", "image_out")),
        Surface("speech", "speech", ("characters",), bill_characters, has_output=False),
        Surface("speech", "speech", ("input", "audio_output"), bill_speech, ("audio_out",)),
        Surface("transcription", "transcription", ("hour",), bill_duration, has_output=False),
        Surface("transcription", "transcription", ("audio_input", "output"), bill_transcription, ("audio_in",)),
    ),
    "anthropic": (Surface("messages", "chat", TEXT, bill_messages, ("geo", "speed", "tools", "long_ttl")),),
    "google": (
        Surface("generateContent", "chat", TEXT, bill_generate, ("tiers", "audio_in")),
        Surface("generateContent", "image", ("input", "image_output"), bill_generate, ("tiers", "image_out")),
        Surface("generateContent", "speech", ("input", "audio_output"), bill_generate, ("audio_out",)),
        Surface("embedContent", "embedding", ("input",), bill_embed_content, has_output=False),
        CHAT,
    ),
    "xai": (CHAT,),
    "deepseek": (CHAT,),
    "groq": (CHAT,),
    "mistral": (CHAT,),
    "openrouter": (CHAT,),
    "azure": (CHAT,),
}


# ---- Requests that a module of ours reads and bounds ----


def chat_request(rng: Random, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": words(rng)}]}
    body |= {"max_completion_tokens": rng.randint(1, 60_000)} if rng.random() < 0.7 else {}
    body |= {"n": rng.randint(1, 8)} if rng.random() < 0.3 else {}
    body |= {"service_tier": rng.choice(["auto", "default", "flex", "priority"])} if rng.random() < 0.5 else {}
    body |= {"prediction": {"type": "content", "content": words(rng)}} if rng.random() < 0.1 else {}
    return body | ({"stream": True} if rng.random() < 0.3 else {})


def message_request(rng: Random, model: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": words(rng)}]
    if rng.random() < 0.3:
        content[0]["cache_control"] = {"type": "ephemeral", "ttl": rng.choice(["5m", "1h"])}
    body: dict[str, Any] = {"model": model, "max_tokens": rng.randint(0, 60_000)}
    body["messages"] = [{"role": "user", "content": content}]
    body |= {"speed": "fast"} if rng.random() < 0.2 else {}
    body |= {"inference_geo": rng.choice(["us", "global"])} if rng.random() < 0.3 else {}
    if rng.random() < 0.2:
        body["tools"] = [{"type": "web_search_20250305", "name": "web_search", "max_uses": rng.randint(1, 5)}]
    return body


def content_request(rng: Random, model: str) -> dict[str, Any]:
    config: dict[str, Any] = {"maxOutputTokens": rng.randint(1, 60_000)} if rng.random() < 0.7 else {}
    config |= {"candidateCount": rng.randint(1, 8)} if rng.random() < 0.3 else {}
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": words(rng)}]}]}
    body |= {"generationConfig": config} if rng.random() < 0.9 else {}
    return body | ({"service_tier": rng.choice(["standard", "flex", "priority"])} if rng.random() < 0.5 else {})


def completion_request(rng: Random, model: str) -> dict[str, Any]:
    prompt = rng.choice([words(rng), [words(rng), words(rng)]])
    body: dict[str, Any] = {"model": model, "prompt": prompt, "suffix": words(rng)}
    body |= {"max_tokens": rng.randint(0, 4_000)} if rng.random() < 0.7 else {}
    body |= {"n": rng.randint(1, 8)} if rng.random() < 0.4 else {}
    return body | ({"best_of": rng.randint(1, 8)} if rng.random() < 0.4 else {})


def embedding_request(rng: Random, model: str) -> dict[str, Any]:
    return {"model": model, "input": [words(rng) for _ in range(rng.randint(1, 5))]}


def words(rng: Random) -> str:
    """A text of some length in some script."""
    return rng.choice(["word ", "Füße ", "\ufdfa", "数字", '"quoted"\n']) * rng.randint(1, 60)


# provider → (module, endpoint, how a request is drawn, how it is billed)
REQUESTS: dict[str, tuple[tuple[Any, Endpoint, Callable[[Random, str], dict[str, Any]], Bill], ...]] = {
    "openai": (
        (chat, chat.CHAT, chat_request, bill_chat),
        (completions, completions.COMPLETIONS, completion_request, bill_chat),
        (embeddings, embeddings.EMBEDDINGS, embedding_request, bill_embeddings),
    ),
    "anthropic": ((messages, messages.MESSAGES, message_request, bill_messages),),
    "google": (
        (chat, chat.CHAT, chat_request, bill_chat),
        (generate, generate.GENERATE[0], content_request, bill_generate),
    ),
    "xai": ((chat, chat.CHAT, chat_request, bill_chat),),
    "deepseek": ((chat, chat.CHAT, chat_request, bill_chat),),
    "groq": ((chat, chat.CHAT, chat_request, bill_chat),),
    "mistral": ((chat, chat.CHAT, chat_request, bill_chat),),
    "openrouter": ((chat, chat.CHAT, chat_request, bill_chat),),
    "azure": ((chat, chat.CHAT, chat_request, bill_chat),),
}


# The kind of the rows that an endpoint's requests name, where it is not chat.
KINDS = {"completions": "completion", "embeddings": "embedding"}


# ---- The walk ----


class Walk:
    """Draws calls of one provider. seen: how many of each endpoint and price row, so that none is left out unseen."""

    def __init__(self, provider: str, seed: int, book: PriceBook = BOOK) -> None:
        self.provider, self.book, self.rng = provider, book, Random(seed)
        self.seen: Counter[str] = Counter()
        rows = [row for row in read_rows() if row["provider"] == provider]
        self.models = {
            index: [(row["models"][0], row) for row in rows if _serves(surface, row)]
            for index, surface in enumerate(SURFACES[provider])
        }
        self.priced = {row["models"][0] for known in self.models.values() for _, row in known}

    def run(self, count: int) -> None:
        """Draw so many calls; raises AssertionError at the first that costs more than its ceiling."""
        for number in range(count):
            if REQUESTS[self.provider] and number % 3 == 0:
                self._requested()
            else:
                self._drawn()

    def _drawn(self) -> None:
        """A call at the level of bounds and usages."""
        index = self.rng.randrange(len(SURFACES[self.provider]))
        surface, known = SURFACES[self.provider][index], self.models[index]
        model, row = self.rng.choice(known)
        at = self._moment(row)
        rows = self._rows(model, at)
        self._bill(surface.endpoint, self._call(surface, model, at, rows), rows, surface.bill)

    def _requested(self) -> None:
        """A call that a module reads, rewrites and bounds."""
        module, endpoint, draw, bill = self.rng.choice(REQUESTS[self.provider])
        kind = KINDS.get(endpoint.name, "chat")
        model, row = self.rng.choice(
            [pair for known in self.models.values() for pair in known if pair[1]["kind"] == kind]
        )
        at = self._moment(row)
        rows = self._rows(model, at)
        body = self._affordable(draw(self.rng, model), rows)
        request: ModelRequest = module.read_request(Route(endpoint, model), orjson.dumps(body), {})
        outgoing: Outgoing = module.prepare(request, Target(self.provider, model))
        cap = self.rng.randint(1, request.default_cap or 60_000) if request.output_cap is None else request.output_cap
        bound = outgoing.bound(cap)
        # No tokenizer makes more tokens than what is sent has bytes, and that is what the bound is of.
        assert bound.input_tokens >= len(outgoing.send(cap))
        call = Call(
            self.provider, model, at, bound, request.tier, request.speed, request.geo, _common(rows),
            *_reach(rows, bound),
        )  # fmt: skip
        self._bill(endpoint.name, call, rows, bill)

    def _bill(self, endpoint: str, call: Call, rows: list[PriceRow], bill: Bill) -> None:
        ceiling = ceiling_pico(rows, call.bound, call.tiers, call.speed, call.geo)
        usage_object = bill(self.rng, call)
        context = {
            "tier": self.rng.choice(call.tiers), "geo": call.geo, "speed": call.speed,
            "any_1h_ttl": call.bound.cache_ttl_long, "any_12h_ttl": call.bound.cache_ttl_long,
            "tool_calls": {name: upto(self.rng, cap) for name, cap in call.bound.tools.items()},
        }  # fmt: skip
        usage, circumstances = read_usage(call.provider, endpoint, usage_object, context)
        ended_at = call.at + CALL_MAX * self.rng.random()
        settled = self.book.settle_rows(call.provider, call.model, None, call.at, ended_at)
        cost = settle(settled, self._odd(usage, settled, circumstances), circumstances, reserved_pico=ceiling).cost_pico
        assert 0 <= cost <= ceiling, (call, usage, circumstances, ended_at, cost, ceiling)
        self.seen[endpoint] += 1
        self.seen[settled[0].row_id.removesuffix("+offpeak")] += 1

    def _odd(self, usage: Usage, rows: list[PriceRow], circumstances: Circumstances) -> Usage:
        """Now and then with a key nobody knows, or with the provider's own bill, after a discount."""
        luck = self.rng.random()
        if luck < 0.05:
            return replace(usage, unknown_keys=("mystery_tokens",))
        if luck < 0.15 and self.provider in ("xai", "openrouter"):
            ours = settle(rows, usage, circumstances).cost_pico
            return replace(usage, provider_cost_pico=ours * self.rng.randint(50, 100) // 100)
        return usage

    def _call(self, surface: Surface, model: str, at: datetime, rows: list[PriceRow]) -> Call:
        rng, rates = self.rng, _common(rows)
        asks = {name: name in surface.can and rng.random() < 0.4 for name in ("tools", "long_ttl", "audio_in")}
        tools = {
            name: rng.randint(1, 9)
            for name in TOOLS.get(self.provider, ())
            if asks["tools"] and all(row.tools.get(name) is not None and row.input_limit for row in rows)
        }
        bound = Bound(
            input_tokens=rng.choice([rng.choice(EDGES), rng.randint(0, 600_000)]),
            output_tokens=rng.randint(0, 100_000) if surface.has_output else 0,
            characters=rng.randint(0, 4_096) if "characters" in surface.needs else 0,
            duration_ms=rng.randint(0, 3 * 10**6) if "hour" in surface.needs else 0,
            cache_ttl_long=asks["long_ttl"] and "cache_write_long" in rates,
            has_audio_input="audio_input" in surface.needs or (asks["audio_in"] and "audio_input" in rates),
            has_image_input="image_in" in surface.can,
            has_image_output="image_out" in surface.can,
            has_audio_output="audio_out" in surface.can,
            tools=tools,
        )
        if surface.needs in (("characters",), ("hour",)):
            bound = replace(bound, input_tokens=0)
        return Call(
            self.provider, model, at, bound,
            tier=rng.choice(_tiers(rows)) if "tiers" in surface.can else "default",
            speed=rng.choice(["standard", *_shared(rows, "speeds")]) if "speed" in surface.can else "standard",
            geo=rng.choice(["global", *_shared(rows, "geos")]) if "geo" in surface.can else "global",
            rates=rates, input_max=_reach(rows, bound)[0], output_max=_reach(rows, bound)[1],
        )  # fmt: skip

    def _affordable(self, body: dict[str, Any], rows: list[PriceRow]) -> dict[str, Any]:
        """Without what the model has no price for, which the proxy refuses (P2)."""
        if body.get("service_tier") in ("flex", "priority") and body["service_tier"] not in _tiers(rows):
            del body["service_tier"]
        if body.get("speed") and "fast" not in _shared(rows, "speeds"):
            del body["speed"]
        if body.get("inference_geo") == "us" and "us" not in _shared(rows, "geos"):
            del body["inference_geo"]
        if body.get("tools") and not all("web_search" in row.tools and row.input_limit for row in rows):
            del body["tools"]
        return body

    def _moment(self, row: dict[str, Any]) -> datetime:
        """A moment at which the row holds, often beside one of its ends."""
        rng = self.rng
        ends = [datetime.fromisoformat(row[name]) for name in ("since", "until", "recheck_after") if row.get(name)]
        if ends and rng.random() < 0.6:
            at = rng.choice(ends).replace(tzinfo=UTC) + timedelta(seconds=rng.choice([-1800, -900, -1, 0, 1, 900]))
        else:
            at = BEGINS + timedelta(hours=rng.randrange(HOURS), seconds=rng.randrange(3600))
        since, until = (datetime.fromisoformat(row[name]).replace(tzinfo=UTC) if row.get(name) else None
                        for name in ("since", "until"))  # fmt: skip
        at = max(at, since) if since else at
        return min(at, until - timedelta(seconds=1)) if until else at

    def _rows(self, model: str, at: datetime) -> list[PriceRow]:
        return self.book.rows_between(self.provider, model, at - CLOCK_ERROR, at + CALL_MAX + CLOCK_ERROR)


def _serves(surface: Surface, row: dict[str, Any]) -> bool:
    return row["kind"] == surface.kind and all(name in row["rates"] for name in surface.needs)


def _common(rows: list[PriceRow]) -> frozenset[str]:
    """The rates that every row has: what a provider can bill is priced whenever it does."""
    return frozenset.intersection(
        *(frozenset(name for name in Rates.__slots__ if getattr(row.tiers["default"].short, name) is not None)
          for row in rows)
    )  # fmt: skip


def _tiers(rows: list[PriceRow]) -> list[str]:
    return sorted(set.intersection(*(set(row.tiers) for row in rows)))


def _shared(rows: list[PriceRow], name: str) -> list[str]:
    return sorted(set.intersection(*(set(getattr(row, name)) for row in rows)))


def _reach(rows: list[PriceRow], bound: Bound) -> tuple[int, int]:
    """Tokens that can be read and written: with hosted tools a window and, at Anthropic, a cap for every step."""
    if not bound.tools:
        return bound.input_tokens, bound.output_tokens
    steps = sum(bound.tools.values()) + 1
    window = min(row.input_limit or 0 for row in rows)
    passes = steps if rows[0].provider == "anthropic" else 1
    return max(bound.input_tokens, steps * window), bound.output_tokens * passes
