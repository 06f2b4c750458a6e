"""Paths find their endpoint, models find their provider, and everything else says where to go."""

import pytest

from proxy.errors import (
    Dialect,
    Malformed,
    ProviderNotConnected,
    UnknownPath,
    UnpricedModel,
    UnsupportedEndpoint,
)
from proxy.providers import registry, targets
from proxy.providers.anthropic import manners as anthropic
from proxy.providers.anthropic import messages
from proxy.providers.gemini import count, embed, generate
from proxy.providers.gemini import manners as gemini
from proxy.providers.openai import chat, responses
from proxy.providers.openai import manners as openai
from proxy.providers.targets import Target

BOTH = ("openai", "anthropic")
BOOK = {("openai", "gpt-4o"), ("anthropic", "claude-opus-5-5"), ("openai", "shared"), ("openai", "ft:gpt-4o:org::id")}
GEMINI = "/gemini/v1beta/models/gemini-x"
CLAUDE = {"anthropic-version": "2023-06-01", "x-api-key": "k"}


def priced(provider, model):
    return (provider, model) in BOOK


def choose(model, endpoint=chat.CHAT, connected=BOTH):
    providers = [targets.BUILT_IN[name] for name in connected]
    return targets.choose_target(model, endpoint, connected=providers, priced=priced)


@pytest.mark.parametrize(
    ("method", "path", "headers", "endpoint", "upstream"),
    [
        ("POST", "/v1/chat/completions", {}, chat.CHAT, "/chat/completions"),
        ("POST", "/v1/v1/chat/completions", {}, chat.CHAT, "/chat/completions"),
        ("POST", "/v1/messages", {}, messages.MESSAGES, "/v1/messages"),
        ("POST", "/v1/v1/messages", {}, messages.MESSAGES, "/v1/messages"),
        ("POST", "/v1/messages/v1/messages", {}, messages.MESSAGES, "/v1/messages"),
        ("POST", "/v1/messages/v1/messages/count_tokens", {}, messages.COUNT_TOKENS, "/v1/messages/count_tokens"),
        ("POST", "/v1/responses", {}, responses.RESPONSES, "/responses"),
        ("POST", "/v1/responses/input_tokens", {}, responses.INPUT_TOKENS, "/responses/input_tokens"),
        ("GET", "/v1/responses/resp_1", {}, responses.RESPONSE, "/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1", {}, responses.DELETION, "/responses/resp_1"),
        ("GET", "/v1/responses/resp_1/input_items", {}, responses.INPUT_ITEMS, "/responses/resp_1/input_items"),
        ("GET", "/v1/models", {}, openai.MODELS, "/models"),
        ("GET", "/v1/models", CLAUDE, anthropic.MODELS, "/v1/models"),
        ("GET", "/v1/models/gpt-4o", {}, openai.MODEL, "/models/gpt-4o"),
        ("GET", "/v1/models/ft:gpt-4o:org::id", {}, openai.MODEL, "/models/ft:gpt-4o:org::id"),
        ("GET", "/v1/models/claude-opus-5-5", CLAUDE, anthropic.MODEL, "/v1/models/claude-opus-5-5"),
        ("POST", f"{GEMINI}:generateContent", {}, generate.GENERATE[0], "/v1beta/models/gemini-x:generateContent"),
        ("POST", "/gemini/v1/models/m:generateContent", {}, generate.GENERATE[1], "/v1/models/m:generateContent"),
        ("POST", "/v1beta/models/m:generateContent", {}, generate.GENERATE[0], "/v1beta/models/m:generateContent"),
        (
            "POST", "/gemini/v1beta/v1beta/models/m:countTokens", {}, count.COUNT[0], "/v1beta/models/m:countTokens",
        ),
        ("POST", f"{GEMINI}:streamGenerateContent", {}, generate.STREAM[0],
         "/v1beta/models/gemini-x:streamGenerateContent"),
        ("POST", f"{GEMINI}:embedContent", {}, embed.EMBED[0], "/v1beta/models/gemini-x:embedContent"),
        ("POST", f"{GEMINI}:batchEmbedContents", {}, embed.BATCH[0], "/v1beta/models/gemini-x:batchEmbedContents"),
        ("GET", "/gemini/v1beta/models", {}, gemini.MODELS[0], "/v1beta/models"),
        ("GET", GEMINI, {}, gemini.MODEL[0], "/v1beta/models/gemini-x"),
        ("POST", "/gemini/v1beta/openai/chat/completions", {}, chat.CHAT, "/chat/completions"),
        ("POST", "/v1beta/openai/chat/completions", {}, chat.CHAT, "/chat/completions"),
        ("GET", "/gemini/v1beta/openai/models", {}, openai.MODELS, "/models"),
    ],
)  # fmt: skip
def test_a_path_finds_its_endpoint(method, path, headers, endpoint, upstream):
    route = registry.find_route(method, path, headers)
    assert (route.endpoint, route.upstream_path) == (endpoint, upstream)
    assert registry.manners_of(endpoint.dialect).DIALECT is endpoint.dialect


@pytest.mark.parametrize(
    ("method", "path", "base"),
    [
        ("POST", "/v1/chat/completion", "https://h/proxy/v1"),
        ("GET", "/v1/chat/completions", "https://h/proxy/v1"),
        ("POST", "/chat/completions", "https://h/proxy/v1"),
        ("POST", "/v1/v1/v1/messages", "https://h/proxy"),
        ("GET", "/v1/models/../../etc", "https://h/proxy/v1"),
        ("GET", "/v1/models/a?b", "https://h/proxy/v1"),
        ("GET", "/v1/models/a%2e", "https://h/proxy/v1"),
        ("GET", "/v1/models//", "https://h/proxy/v1"),
        ("GET", "/v1/models/ä", "https://h/proxy/v1"),
        ("POST", "/gemini/v2/models/m:generateContent", "https://h/proxy/gemini"),
        ("POST", "/gemini/v1beta/models/m:warpContent", "https://h/proxy/gemini"),
        ("POST", "/gemini/v1beta/models/../x:generateContent", "https://h/proxy/gemini"),
        ("POST", "/v1beta/nonsense", "https://h/proxy/gemini"),
        ("POST", "/gemini/v1beta/openai/nonsense", "https://h/proxy/v1"),
    ],
)
def test_an_unknown_path_names_the_right_base_url(method, path, base):
    with pytest.raises(UnknownPath) as caught:
        registry.find_route(method, path, {}, base_url="https://h/proxy")
    assert caught.value.base_url == base


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [("PUT", "/v1/chat/completions", "/v1/chat/completions takes POST."), ("POST", "/v1/none", "")],
)
def test_a_known_path_with_another_method_says_which_one_it_takes(method, path, hint):
    with pytest.raises(UnknownPath) as caught:
        registry.find_route(method, path, {})
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses/compact",
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/cancel",
        "/v1/files",
        "/v1/messages/batches",
        "/v1/realtime",
        "/v1/images/variations",
        "/v1/audio/voices",
    ],
)
def test_a_known_endpoint_without_a_bound_is_unsupported(path):
    with pytest.raises(UnsupportedEndpoint):
        registry.find_route("POST", path, {})


@pytest.mark.parametrize(
    "path",
    [
        "/gemini/upload/v1beta/files",
        "/gemini/v1beta/files/abc",
        "/gemini/v1/cachedContents",
        "/gemini/v1beta/tunedModels/x:generateContent",
        "/gemini/v1beta/interactions",
        "/gemini/v1beta/models/m:batchGenerateContent",
        "/gemini/v1beta/models/m:predict",
        "/gemini/v1beta/models/m:bidiGenerateContent",
        "/gemini/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        "/gemini/v1alpha/models/m:generateContent",
    ],
)
def test_what_gemini_has_beyond_content_is_unsupported_in_its_own_words(path):
    with pytest.raises(UnsupportedEndpoint):
        registry.find_route("POST", path, {})
    assert registry.dialect_of(path, {}) is Dialect.GEMINI


def test_the_dialect_of_an_error_follows_the_client():
    assert registry.dialect_of("/v1/messages/nonsense", {}) is Dialect.ANTHROPIC
    assert registry.dialect_of("/v1/nonsense", CLAUDE) is Dialect.ANTHROPIC
    assert registry.dialect_of("/v1/nonsense", {"authorization": "Bearer x"}) is Dialect.OPENAI
    assert registry.dialect_of("/gemini/v1beta/models/x:generateContent", {}) is Dialect.GEMINI
    assert registry.dialect_of("/v1beta/models/x", {}) is Dialect.GEMINI
    assert registry.dialect_of("/gemini/v1beta/openai/chat/completions", {}) is Dialect.OPENAI


def test_an_exact_model_wins_and_a_first_segment_names_a_provider():
    assert choose("gpt-4o") == Target("openai", "gpt-4o")
    assert choose("openai/gpt-4o") == Target("openai", "gpt-4o")
    assert choose("anthropic/claude-opus-5-5", messages.MESSAGES) == Target("anthropic", "claude-opus-5-5")


def test_models_nobody_prices_or_serves_here_are_refused_with_the_reason():
    with pytest.raises(UnpricedModel):
        choose("gpt-99")
    with pytest.raises(UnpricedModel):
        choose("acme/gpt-4o")
    with pytest.raises(ProviderNotConnected) as missing:
        choose("gpt-4o", connected=("anthropic",))
    assert missing.value.provider == "openai"
    with pytest.raises(ProviderNotConnected):
        choose("openai/gpt-4o", connected=())
    with pytest.raises(UnsupportedEndpoint) as elsewhere:
        choose("claude-opus-5-5")
    assert "/v1/messages" in elsewhere.value.hint


def test_a_gemini_model_is_found_in_both_of_its_dialects():
    book = {("google", "gemini-2.5-flash"), ("openai", "gpt-4o")}
    connected = list(targets.BUILT_IN.values())

    def answerer(model, endpoint):
        return targets.choose_target(model, endpoint, connected=connected, priced=lambda *one: one in book)

    compatible = answerer("gemini-2.5-flash", chat.CHAT)
    assert (compatible.provider, compatible.base_path) == ("google", "/v1beta/openai")
    assert answerer("google/gemini-2.5-flash", generate.GENERATE[0]).base_path == ""
    with pytest.raises(UnsupportedEndpoint, match="gemini"):
        answerer("gemini-2.5-flash", messages.MESSAGES)
    with pytest.raises(UnsupportedEndpoint) as elsewhere:
        answerer("gpt-4o", generate.GENERATE[0])
    assert "/v1/chat/completions" in elsewhere.value.hint


def test_two_providers_with_the_model_are_named():
    providers = [targets.OPENAI, targets.Provider("acme", {Dialect.OPENAI: ""})]
    with pytest.raises(Malformed, match=r"openai/shared and acme/shared"):
        targets.choose_target("shared", chat.CHAT, connected=providers, priced=lambda *_: True)


def test_only_listed_query_names_go_upstream():
    assert registry.upstream_query("beta=true&key=secret&limit=5") == "beta=true&limit=5"
    assert registry.upstream_query("alt=sse&key=secret&fields=candidates&$alt=json") == "alt=sse"
    assert registry.upstream_query("") == ""
    assert registry.upstream_query("&".join(["beta=true"] * 100)) == ""


def test_a_path_that_stands_there_whole_is_no_item_of_another_endpoint():
    """Which of two endpoints a path is must not depend on which is looked for first."""
    known = (*registry.endpoints(), *openai.ENDPOINTS, *anthropic.ENDPOINTS, *gemini.ENDPOINTS)
    whole = [one for one in known if "{id}" not in one.path]
    for start, end, method in [(*one.path.split("{id}"), one.method) for one in known if one not in whole]:
        same = [one for one in whole if one.method == method and one.path.startswith(start) and one.path.endswith(end)]
        assert all(len(one.path) <= len(start + end) for one in same), same
