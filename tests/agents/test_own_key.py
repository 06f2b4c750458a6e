"""A provider's key that a caller brings goes to one provider, and no stored key of another takes its place (W6 d)."""

from dataclasses import replace
from uuid import UUID

import pytest

from accounts.credentials import OpenCredential
from agents.callers import OwnKey
from tests.proxy.test_authenticate import CALLER

STORED = {
    name: OpenCredential(UUID(int=7), name, base_url, f"sk-stored-{name}")
    for name, base_url in (("openai", "https://eu.openai.example/v1"), ("acme", "https://llm.acme.example/v1"))
}


def sent_to(model: str) -> dict[str, tuple[str, str]]:
    """Which providers count as connected for a call of the model, with address and key."""
    own = replace(CALLER, credentials=STORED, own_key=OwnKey("openai", "sk-own")).with_own_key(model)
    return {name: (credential.base_url, credential.api_key) for name, credential in own.credentials.items()}


@pytest.mark.parametrize(
    ("model", "provider", "base_url"),
    [
        ("gpt-4o", "openai", ""),
        ("openai/gpt-4o", "openai", ""),
        ("anthropic/claude-haiku-4-5", "anthropic", ""),
        ("acme/llama", "acme", "https://llm.acme.example/v1"),
        ("meta-llama/llama-4", "openai", ""),
        ("charlies/llama", "openai", ""),
        ("acme", "openai", ""),
        ("", "openai", ""),
    ],
)
def test_the_key_goes_to_the_provider_that_is_meant_and_only_there(model: str, provider: str, base_url: str) -> None:
    assert sent_to(model) == {provider: (base_url, "sk-own")}


def test_without_a_key_of_its_own_a_caller_has_what_is_stored() -> None:
    caller = replace(CALLER, credentials=STORED)
    assert caller.with_own_key("gpt-4o") is caller


def test_a_practice_call_needs_no_key_and_drops_the_one_it_brought() -> None:
    caller = replace(CALLER, practice=True, own_key=OwnKey("openai", "sk-own"))
    assert caller.with_own_key("gpt-4o").credentials == {}
