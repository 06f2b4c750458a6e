"""Google's OpenAI-compatible form in the provider fake: thinking stands in the total alone."""

from typing import Any

from tests.fakes.gemini_api import headers
from tests.fakes.openai_api import Answer, cap, error, model, models, problem, tokens
from tests.fakes.openai_api import usage as openai_usage
from tests.fakes.prices import Tokens
from tests.fakes.script import Script

__all__ = ["Answer", "cap", "error", "headers", "model", "models", "problem", "tokens", "usage"]


def usage(used: Tokens, body: dict[str, Any], script: Script) -> dict[str, Any]:
    """The usage object: no details, and completion_tokens without what was thought."""
    told = openai_usage(used)
    visible = used.output - used.reasoning
    return {
        "prompt_tokens": told["prompt_tokens"],
        "completion_tokens": visible,
        "total_tokens": told["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": used.cached},
    }
