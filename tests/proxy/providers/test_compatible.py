"""A new compatible provider is data: each preset's quirk, from its raw answer to the usage and the cost."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from accounts.presets import OTHER, PRESETS, preset_of
from agents.pricebook import current_book
from agents.pricing import settle
from proxy.bounds import Image
from proxy.errors import Malformed, UnboundedCall, UnpricedFeature, UnpricedModel, UnsupportedEndpoint
from proxy.providers import targets
from proxy.providers.compatible import custom_provider
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis, Metered
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai import chat
from proxy.providers.price_limit import with_price_limit
from proxy.providers.targets import BUILT_IN, Provider, Target

ROUTE = Route(chat.CHAT)
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # a Friday noon: off-peak at DeepSeek
MESSAGES = [{"role": "user", "content": "Hello"}]


def provider(preset: str, name: str = "mine", **options: Any) -> Provider:
    return custom_provider(name, preset, options, upstream="credential-1")


def target_of(preset: str, model: str, **options: Any) -> Target:
    return provider(preset, **options).target(model, chat.CHAT.dialect)


def request_of(target: Target, **fields: Any) -> ModelRequest:
    body = {"model": target.model, "messages": MESSAGES, **fields}
    read = chat.read_request(ROUTE, orjson.dumps(body), {})
    return read.answered_by(target.traits)


def sent(target: Target, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(chat.prepare(request_of(target, **fields), target).send(64))
    return found


def cost_of(target: Target, metered: Metered) -> tuple[int, tuple[str, ...]]:
    listing = target.listing
    rows = current_book().settle_rows(listing.provider, listing.model, metered.served_model, AT, AT)
    assert metered.usage is not None
    settlement = settle(rows, metered.usage, metered.circumstances)
    return settlement.cost_pico, (*metered.flags, *settlement.flags)


def answer(model: str, usage: Mapping[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    return orjson.dumps({"id": "x", "model": model, "choices": [choice], "usage": usage, **more})


# preset, options, model, usage as it comes, cost in pico-dollars, (input, read, output)
ANSWERS: list[tuple[str, dict[str, Any], str, dict[str, Any], int, tuple[int, int, int]]] = [
    ("azure", {"deployments": {"prod": "gpt-4o"}}, "prod",
     {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}, 3_500_000_000, (1000, 0, 100)),
    ("xai", {}, "grok-4.7",
     {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, "num_sources_used": 0,
      "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 6},
      "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 0},
      "cost_in_usd_ticks": 6_730_000}, 673_000_000, (26, 6, 103)),
    ("openrouter", {}, "anthropic/claude-opus-5.5",
     {"prompt_tokens": 100, "completion_tokens": 27, "total_tokens": 127, "cost": 0.00094, "is_byok": False,
      "cost_details": {"upstream_inference_cost": None}}, 940_000_000, (100, 0, 27)),
    ("openrouter", {}, "anthropic/claude-opus-5.5",
     {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "cost": 0.00004, "is_byok": True,
      "cost_details": {"upstream_inference_cost": 0.00076}}, 800_000_000, (100, 0, 20)),
    ("deepseek", {}, "deepseek-v4-pro",
     {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, "prompt_cache_hit_tokens": 600,
      "prompt_cache_miss_tokens": 400, "prompt_tokens_details": {"cached_tokens": 600}},
     600 * 22_000 + 400 * 660_000 + 100 * 1_980_000, (400, 600, 100)),
    ("mistral", {}, "mistral-large-2512",
     {"prompt_tokens": 400, "completion_tokens": 100, "total_tokens": 500, "prompt_audio_seconds": None},
     350_000_000, (400, 0, 100)),
    ("mistral", {}, "mistral-large-2512",
     {"prompt_tokens": 400, "completion_tokens": 100, "total_tokens": 500, "num_cached_tokens": 320,
      "prompt_tokens_details": {"cached_tokens": 320}, "prompt_token_details": {"cached_tokens": 320}},
     80 * 500_000 + 320 * 50_000 + 100 * 1_500_000, (80, 320, 100)),
    ("mistral", {}, "mistral-large-2512",
     {"prompt_tokens": 400, "completion_tokens": 100, "total_tokens": 500, "num_cached_tokens": 320},
     80 * 500_000 + 320 * 50_000 + 100 * 1_500_000, (80, 320, 100)),
    ("groq", {}, "openai/gpt-oss-120b",
     {"prompt_tokens": 1000, "completion_tokens": 450, "total_tokens": 1450, "queue_time": 0.01, "prompt_time": 0.02,
      "completion_time": 0.3, "total_time": 0.32, "prompt_tokens_details": {"cached_tokens": 0}},
     420_000_000, (1000, 0, 450)),
]  # fmt: skip


@pytest.mark.parametrize(("preset", "options", "model", "usage", "cost_pico", "buckets"), ANSWERS)
def test_a_raw_answer_becomes_the_providers_bill(
    preset: str, options: dict[str, Any], model: str, usage: dict[str, Any], cost_pico: int,
    buckets: tuple[int, int, int],
) -> None:  # fmt: skip
    """Scenario B5: each token is charged once, whichever number contains which."""
    target = target_of(preset, model, **options)
    metered = chat.read_answer(request_of(target), answer(target.listing.model, usage))
    assert metered.usage is not None
    assert metered.basis is Basis.USAGE
    assert (metered.usage.input, metered.usage.cache_read, metered.usage.output) == buckets
    assert cost_of(target, metered) == (cost_pico, ())


@pytest.mark.parametrize("preset", sorted(slug for slug, preset in PRESETS.items() if not preset.reports_cost))
@pytest.mark.parametrize("stated", [{"cost": 350.0}, {"cost": "cheap"}, {"cost": -5}, {"cost_in_usd_ticks": 10**15}])
def test_a_cost_in_a_unit_that_nobody_knows_is_not_used_and_the_row_is_flagged(
    preset: str, stated: dict[str, Any]
) -> None:
    """Scenario B8."""
    target = target_of(preset, "any")
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    plain = chat.read_answer(request_of(target), answer("any", usage))
    metered = chat.read_answer(request_of(target), answer("any", usage | stated))
    assert (metered.usage, metered.basis) == (plain.usage, Basis.USAGE)
    assert (plain.flags, metered.flags) == ((), ("provider_cost_ignored",))


def test_together_says_again_what_it_read_from_its_cache() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, "cached_tokens": 64}
    metered = chat.read_answer(request_of(target_of("together", "any")), answer("any", usage))
    assert metered.usage is not None
    assert (metered.usage.input, metered.usage.output, metered.usage.unknown_keys) == (100, 10, ())


def test_a_stream_of_groq_tells_its_usage_in_its_own_place() -> None:
    target = target_of("groq", "openai/gpt-oss-120b")
    meter = chat.stream_meter(request_of(target, stream=True))
    usage = {"prompt_tokens": 1000, "completion_tokens": 450, "total_tokens": 1450}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"id": "r", "usage": usage}}
    line = b"data: " + orjson.dumps({"id": "x", "model": "openai/gpt-oss-120b", **last}) + b"\n\n"
    assert meter.feed(line) + meter.feed(b"data: [DONE]\n\n") == line + b"data: [DONE]\n\n"
    assert cost_of(target, meter.finish()) == (420_000_000, ())


@pytest.mark.parametrize("stream", [False, True])
def test_groqs_own_name_of_the_usual_tier_is_the_usual_price(stream: bool) -> None:
    """Each of its answers names `on_demand`; as an unknown tier each would be charged at its ceiling."""
    target = target_of("groq", "openai/gpt-oss-120b")
    usage = {"prompt_tokens": 1000, "completion_tokens": 450, "total_tokens": 1450}
    said = {"id": "x", "model": "openai/gpt-oss-120b", "choices": [], "usage": usage, "service_tier": "on_demand"}
    if stream:
        meter = chat.stream_meter(request_of(target, stream=True))
        meter.feed(b"data: " + orjson.dumps(said) + b"\n\ndata: [DONE]\n\n")
        metered = meter.finish()
    else:
        metered = chat.read_answer(request_of(target), orjson.dumps(said))
    assert cost_of(target, metered) == (420_000_000, ())


AZURE_FIRST = (
    b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":'
    b'[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}\n\n'
)
AZURE_TEXT = b'data: {"id":"c","model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":"Hi"}}]%s}\n\n'
AZURE_FILTER = b'data: {"id":"","model":"","choices":[{"index":0,"content_filter_offsets":{"start_offset":1}}]%s}\n\n'
AZURE_LAST = (
    b'data: {"id":"c","model":"gpt-4o-2024-08-06","choices":[],'
    b'"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}\n\n'
)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_azures_first_chunk_stays_and_only_the_usage_we_asked_for_is_hidden(size: int) -> None:
    """J2, J3: chunks without choices are no error, and the client sees what it would see without us."""
    target = target_of("azure", "prod", deployments={"prod": "gpt-4o"})
    null = b',"usage":null'
    stream = AZURE_FIRST + AZURE_TEXT % null + AZURE_FILTER % null + AZURE_LAST + b"data: [DONE]\n\n"
    meter = chat.stream_meter(request_of(target, stream=True))
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    seen = b"".join(meter.feed(piece) for piece in pieces) + meter.flush()
    assert seen == AZURE_FIRST + AZURE_TEXT % b"" + AZURE_FILTER % b"" + b"data: [DONE]\n\n"
    assert cost_of(target, meter.finish()) == (3_500_000_000, ())


def test_a_client_that_asked_for_usage_gets_it_as_openai_writes_it() -> None:
    """J1."""
    target = target_of("azure", "prod", deployments={"prod": "gpt-4o"})
    asked = request_of(target, stream=True, stream_options={"include_usage": True})
    meter = chat.stream_meter(asked)
    assert meter.feed(AZURE_FIRST + AZURE_LAST) == AZURE_FIRST + AZURE_LAST


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.slug)
@pytest.mark.parametrize("flip", [False, True])
def test_what_leaves_is_as_the_preset_and_its_flags_say(preset: Any, flip: bool) -> None:
    other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
    options: dict[str, Any] = {}
    if flip:
        options = {
            "cap_field": other[preset.cap_field],
            "takes_stream_options": not preset.takes_stream_options,
        }
    body = sent(target_of(preset.slug, "any", **options), stream=True)
    takes = preset.takes_stream_options is not flip
    assert body["model"] == "any"
    assert body.get("stream_options") == ({"include_usage": True} if takes else None)
    assert body[other[preset.cap_field] if flip else preset.cap_field] == 64
    assert "service_tier" not in body


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.slug)
@pytest.mark.parametrize(
    "named", [("max_tokens",), ("max_completion_tokens",), ("max_tokens", "max_completion_tokens")]
)
def test_a_clients_bound_leaves_under_the_name_that_its_provider_reads(preset: Any, named: tuple[str, ...]) -> None:
    """What a provider does not know it ignores: its answer would have no bound at all."""
    target = target_of(preset.slug, "any")
    bounds = dict.fromkeys(("max_tokens", "max_completion_tokens")) | dict.fromkeys(named, 50)
    outgoing = chat.prepare(request_of(target, **bounds), target)
    for body, cap in ((outgoing.send(), 50), (outgoing.send(20), 20)):
        seen = orjson.loads(body)
        assert {name: value for name, value in seen.items() if name.startswith("max_")} == {preset.cap_field: cap}


def test_stream_options_of_a_client_do_not_reach_a_provider_that_rejects_them() -> None:
    body = sent(target_of("mistral", "any"), stream=True, stream_options={"include_usage": True})
    assert "stream_options" not in body


def test_openrouter_may_pay_no_more_than_the_price_we_count_on() -> None:
    target = target_of("openrouter", "anthropic/claude-opus-5.5")
    row = current_book().row("openrouter", target.model, AT)
    body = sent(with_price_limit(target, [row]))
    assert body["provider"] == {"max_price": {"prompt": 4, "completion": 20, "request": 0}}
    assert b'"max_price":{"prompt":4,' in orjson.dumps(body)


def test_a_limit_of_fractions_is_written_as_they_are() -> None:
    target = target_of("openrouter", "any")
    row = current_book().row("groq", "openai/gpt-oss-120b", AT)
    limit = with_price_limit(target, [row]).added["provider"]["max_price"]
    assert orjson.dumps(limit) == b'{"prompt":0.15,"completion":0.6,"request":0}'
    assert with_price_limit(target_of("groq", "any"), [row]).added == {}


@pytest.mark.parametrize(
    ("preset", "model"),
    [
        ("openrouter", "openrouter/auto"),
        ("openrouter", "OpenRouter/Auto"),
        ("openrouter", "openai/gpt-4o:online"),
        ("openrouter", "openai/gpt-4o@preset/search"),
        ("groq", "compound-beta"),
        ("groq", "groq/compound"),
        ("groq", "groq/compound-mini"),
    ],
)
def test_a_model_that_chooses_for_itself_is_refused_even_with_a_rate(preset: str, model: str) -> None:
    with pytest.raises(UnpricedFeature) as refused:
        choose(model, [provider(preset)], {("mine", model)})
    assert refused.value.param == "model"


@pytest.mark.parametrize(
    ("preset", "field"),
    [("openrouter", "models"), ("openrouter", "plugins"), ("openrouter", "route"), ("xai", "deferred")],
)
def test_a_field_that_moves_work_out_of_sight_is_refused(preset: str, field: str) -> None:
    with pytest.raises(UnpricedFeature):
        sent(target_of(preset, "any"), **{field: ["x"]})


@pytest.mark.parametrize("field", ["api_base", "base_url", "api_key", "input_cost_per_token", "custom_llm_provider"])
def test_a_price_or_address_in_a_body_changes_neither(field: str) -> None:
    """E12: it goes where it was going, as a field that means nothing, or is refused."""
    target = target_of("vllm", "any")
    try:
        body = sent(target, **{field: "https://evil.example"})
    except UnpricedFeature:
        return
    assert body[field] == "https://evil.example"
    assert (target.base_path, target.listing.provider) == ("", "")


# ---- The input bound


def bound_of(target: Target, **size: int) -> int:
    """The tokens by which an image raises the bound of a request without it."""
    plain = request_of(target)
    shown = replace(plain, hidden=replace(plain.hidden, images=(Image("x", **size),)))
    return chat.prepare(shown, target).input_tokens - chat.prepare(plain, target).input_tokens


@pytest.mark.parametrize(
    ("preset", "model", "least"),
    [
        ("mistral", "pixtral-large", 64 * 65),  # patches of 16, one more for each row
        ("together", "meta-llama/Llama-4", 4 * 1_601),
        ("vllm", "qwen-vl", 37 * 37),
        ("openrouter", "openai/gpt-4o-mini", 2_833 + 4 * 5_667),
        ("azure", "prod-mini", 2_833 + 4 * 5_667),
        ("azure", "unmapped", 2_833 + 8 * 5_667),
        ("azure", "llama", 74 * 75),
    ],
)
def test_an_image_is_bounded_by_the_dearest_way_in_which_the_model_may_read_it(
    preset: str, model: str, least: int
) -> None:
    target = target_of(preset, model, deployments={"prod-mini": "gpt-4o-mini", "llama": "Llama-4-Maverick-17B"})
    assert bound_of(target, width=1024, height=1024) >= least


def test_a_deployment_is_bounded_as_the_model_behind_it() -> None:
    """Its name says nothing: the same image is a hundred tokens to one model and a thousand times that to another."""
    deployments = {"a": "gpt-4o", "gpt-4o": "gpt-4o-mini"}
    one, other = (target_of("azure", name, deployments=deployments) for name in ("a", "gpt-4o"))
    assert bound_of(one, width=512, height=512) == 85 + 8 * 170
    assert bound_of(other, width=512, height=512) == 2_833 + 8 * 5_667


@pytest.mark.parametrize("name", ["Llama-4-Maverick-17B", "mistral-medium-3", "grok-4"])
def test_a_small_image_at_a_deployment_of_another_makers_model_may_be_scaled_up(name: str) -> None:
    """Azure serves others' models, too: of one that is not OpenAI's, OpenAI's patches say nothing."""
    target = target_of("azure", "prod", deployments={"prod": name})
    assert bound_of(target, width=100, height=100) >= 4 * 1_601


@pytest.mark.parametrize("preset", ["vllm", "together"])
def test_an_image_that_only_the_provider_sees_is_refused(preset: str) -> None:
    with pytest.raises(UnboundedCall):
        bound_of(target_of(preset, "any"))


def test_what_a_provider_puts_around_a_conversation_is_in_the_bound() -> None:
    plain = BUILT_IN["openai"].target("gpt-4o", chat.CHAT.dialect)
    ours = target_of("vllm", "gpt-4o")
    bytes_of = [len(chat.prepare(request_of(one), one).body) for one in (plain, ours)]
    bounds = [chat.prepare(request_of(one), one).input_tokens for one in (plain, ours)]
    assert bounds[1] - bounds[0] == 512 + bytes_of[1] - bytes_of[0]


# ---- Which provider answers


def choose(model: str, connected: list[Provider], priced: set[tuple[str, str]]) -> Target:
    return targets.choose_target(
        model, chat.CHAT, connected=connected, priced=lambda owner, name: (owner, name) in priced
    )


OPENAI = BUILT_IN["openai"]


def test_the_exact_id_in_a_connected_providers_list_wins() -> None:
    """W4."""
    groq = provider("groq", "fast")
    found = choose("openai/gpt-oss-120b", [OPENAI, groq], {("fast", "openai/gpt-oss-120b"), ("openai", "gpt-oss-120b")})
    assert (found.provider, found.model) == ("fast", "openai/gpt-oss-120b")


def test_then_the_first_segment_names_the_provider() -> None:
    """W4."""
    found = choose("fast/openai/gpt-oss-120b", [OPENAI, provider("groq", "fast")], {("fast", "openai/gpt-oss-120b")})
    assert (found.provider, found.model) == ("fast", "openai/gpt-oss-120b")


def test_two_providers_with_the_model_are_both_named() -> None:
    """W4."""
    both = [OPENAI, provider("azure", "europe", deployments={"gpt-4o": "gpt-4o"})]
    with pytest.raises(Malformed, match="openai/gpt-4o and europe/gpt-4o"):
        choose("gpt-4o", both, {("openai", "gpt-4o"), ("europe", "gpt-4o")})
    assert choose("europe/gpt-4o", both, {("openai", "gpt-4o"), ("europe", "gpt-4o")}).provider == "europe"


def test_an_unpriced_model_of_a_custom_provider_is_named_with_it() -> None:
    """Scenario B6: what a rate is missing for."""
    with pytest.raises(UnpricedModel) as refused:
        choose("fast/unheard-of", [provider("groq", "fast")], set())
    assert (refused.value.provider, refused.value.model) == ("fast", "unheard-of")


def test_an_endpoint_that_a_provider_lacks_is_refused() -> None:
    anthropic_only = {("fast", "any")}
    with pytest.raises(UnsupportedEndpoint):
        targets.choose_target(
            "fast/any",
            next(iter(_messages())),
            connected=[provider("groq", "fast")],
            priced=lambda owner, name: (owner, name) in anthropic_only,
        )


def _messages() -> Any:
    from proxy.providers.anthropic import messages

    return messages.ENDPOINTS


# ---- Addresses and prices


def test_azures_older_addresses_name_deployment_and_version() -> None:
    target = target_of("azure", "prod-4o", api_version="2024-10-21", deployments={"prod-4o": "gpt-4o"})
    assert (target.base_path, target.query) == ("/openai/deployments/prod-4o", "api-version=2024-10-21")
    assert target_of("azure", "prod-4o").base_path == ""
    evil = target_of("azure", "a/../../x?y#z", api_version="2024-10-21")
    assert evil.base_path == "/openai/deployments/a%2F..%2F..%2Fx%3Fy%23z"


def test_a_deployment_is_priced_as_the_model_that_the_operator_mapped_it_to() -> None:
    azure = provider("azure", deployments={"prod-4o": "gpt-4o"})
    listing = azure.listing("prod-4o")
    assert (listing.provider, listing.model, listing.upstream) == ("azure", "gpt-4o", "credential-1")
    assert azure.listing("gpt-4o").model == "", "a deployment that nobody mapped has no price"


def test_the_books_rows_apply_to_a_provider_of_any_name() -> None:
    assert provider("groq", "fast").listing("openai/gpt-oss-120b").provider == "groq"
    assert provider("vllm", "fast").listing("gpt-4o").provider == ""
    assert provider("gone-preset", "fast").listing("gpt-4o").provider == ""
    assert preset_of("gone-preset") is OTHER


def test_only_azure_bills_what_it_answers_with_an_error() -> None:
    """metering.md 1.3."""
    assert [slug for slug in PRESETS if target_of(slug, "any").traits.bills_errors] == ["azure"]
