"""P2: whatever could move the price in a way that is not counted is refused before anything is forwarded."""

from typing import Any

import orjson
import pytest

from proxy.errors import Refusal
from proxy.providers.anthropic import messages
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.gemini import generate
from proxy.providers.openai import chat, completions, embeddings, images, moderations, speech
from tests.proxy.providers.anthropic.test_messages import PRICE_MOVERS as OF_MESSAGES
from tests.proxy.providers.gemini.test_generate import PRICE_MOVERS as OF_CONTENT
from tests.proxy.providers.openai.test_chat import PRICE_MOVERS as OF_CHAT
from tests.proxy.providers.openai.test_completions import PRICE_MOVERS as OF_COMPLETIONS
from tests.proxy.providers.openai.test_images import PRICE_MOVERS as OF_IMAGES

MESSAGE = [{"role": "user", "content": "hi"}]
# A new surface is one more line: its module, endpoint, smallest body and the fields that are known to move its price.
SURFACES: dict[str, tuple[Any, Endpoint, dict[str, Any], dict[str, Any]]] = {
    "chat": (chat, chat.CHAT, {"model": "gpt-4o", "messages": MESSAGE}, OF_CHAT),
    "completions": (completions, completions.COMPLETIONS, {"model": "davinci-002", "prompt": "hi"}, OF_COMPLETIONS),
    "embeddings": (embeddings, embeddings.EMBEDDINGS, {"model": "m", "input": "hi"}, {}),
    "images": (images, images.GENERATIONS, {"model": "gpt-image-1.5", "prompt": "hi"}, OF_IMAGES),
    "moderations": (moderations, moderations.MODERATIONS, {"input": "hi"}, {}),
    "speech": (speech, speech.SPEECH, {"model": "tts-1", "input": "hi"}, {"voice": {"id": "voice_1"}}),
    "messages": (messages, messages.MESSAGES, {"model": "m", "max_tokens": 9, "messages": MESSAGE}, OF_MESSAGES),
    "content": (generate, generate.GENERATE[0], {"contents": [{"parts": [{"text": "hi"}]}]}, OF_CONTENT),
}
# What a provider may think of next: what sounds like work, place, tier or tool is refused before it has a meaning.
TOMORROW = (
    "turbo_tier", "speed_boost", "priority_lane", "run_in_background", "cache_forever", "tool_budget_x", "deep_search",
    "plugin_list", "fallback_models", "route_by_price", "batch_hint", "output_modality", "audio_out", "voice_id",
    "image_out", "video_clip", "media_parts", "file_refs", "document_ids", "container_id", "mcp_hosts",
    "conversation_id", "thread_ref", "session_store", "previous_turn", "prompt_ref", "compact_after", "context_store",
    "billing_code", "credit_pool", "geo_pin", "region_pin", "data_residency", "agent_swarm", "candidate_pool",
    "image_quality", "resolution_hint", "provider_hint", "preset_id", "ultra_mode", "web_access", "advisor_model",
)  # fmt: skip
CASES = [
    (surface, name, value)
    for surface, (_, _, _, known) in SURFACES.items()
    for name, value in [*known.items(), *((name, {"on": True}) for name in TOMORROW)]
]


@pytest.mark.parametrize(("surface", "name", "value"), CASES)
def test_a_field_that_could_move_the_price_is_refused(surface: str, name: str, value: Any) -> None:
    module, endpoint, body, _ = SURFACES[surface]
    assert module.read_request(Route(endpoint), orjson.dumps(body), {})
    with pytest.raises(Refusal) as refused:
        module.read_request(Route(endpoint), orjson.dumps(body | {name: value}), {})
    assert refused.value.reason in ("unpriced_feature", "unbounded_call")
    assert refused.value.param
