"""A custom provider's rates are its own: what bears its name later is not priced by them (W4, B12)."""

import pytest

from accounts import credentials
from accounts.credentials import Upstream
from accounts.models import AuditEntry, ProviderCredential
from agents import rates
from agents.callers import caller_for
from agents.models import CustomRate
from agents.money import PICO_PER_USD
from tests import cast
from tests.agents.pages_house import browser
from tests.cast import Person

pytestmark = pytest.mark.django_db

FIRST, SECOND = "https://llm.example.com/v1", "https://other.example.com/v1"


def connect(person: Person, base_url: str = FIRST, *, label: str = "") -> ProviderCredential:
    upstream = Upstream(base_url, "other")
    return credentials.connect(person.organization, "fast", "sk-1", by=person.user, label=label, upstream=upstream)


def priced(person: Person, provider: str = "fast", model: str = "acme-70b") -> CustomRate:
    prices = {"input_pico": PICO_PER_USD, "output_pico": PICO_PER_USD}
    made = CustomRate(organization=person.organization, provider=provider, model=model, **prices)
    return rates.set_rate(made, by=person.user)


def in_force(person: Person) -> list[tuple[str, str]]:
    return [(rate.provider, rate.model) for rate in caller_for(person.live_key).rates]


def test_rates_end_with_their_provider_and_the_next_of_its_name_begins_without() -> None:
    alice = cast.alice()
    usual = connect(alice)
    made = priced(alice)
    priced(alice, "openai")
    version = caller_for(alice.live_key).organization_version
    browser(alice).post("/settings/providers/fast/disconnect/")
    assert in_force(alice) == [("openai", "acme-70b")]
    assert caller_for(alice.live_key).organization_version > version
    assert rates.kept_row(alice.organization.id, f"custom/{made.id}") is not None
    entry = AuditEntry.objects.get(action="rate.ended")
    assert (entry.user, entry.target) == (alice.user, "fast acme-70b")
    connect(alice, SECOND)
    assert in_force(alice) == [("openai", "acme-70b")]
    priced(alice)
    credentials.disconnect(usual, by=alice.user)  # a second click on the old page
    assert ("fast", "acme-70b") in in_force(alice)


def test_a_rate_that_was_left_behind_ends_when_its_name_is_given_again() -> None:
    """As by a form that was sent while somebody disconnected the provider."""
    alice = cast.alice()
    priced(alice)
    connect(alice)
    assert in_force(alice) == []


def test_rates_stay_while_the_provider_does() -> None:
    """With another key, other flags, another address that an owner wrote, and further keys that come and go."""
    alice = cast.alice()
    connect(alice)
    priced(alice)
    connect(alice)
    connect(alice, SECOND)
    further = connect(alice, SECOND, label="research")
    credentials.disconnect(further, by=alice.user)
    credentials.move(ProviderCredential.objects.get(), Upstream(f"{SECOND}/llm", "other"), by=alice.user)
    assert in_force(alice) == [("fast", "acme-70b")]


def test_rates_of_a_built_in_provider_outlive_its_key() -> None:
    alice = cast.alice()
    openai = credentials.connect(alice.organization, "openai", "sk-1", by=alice.user)
    priced(alice, "openai")
    credentials.disconnect(openai, by=alice.user)
    credentials.connect(alice.organization, "openai", "sk-2", by=alice.user)
    assert in_force(alice) == [("openai", "acme-70b")]


def test_a_provider_that_leaves_takes_no_rate_of_charlies() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    for person in (alice, charlie):
        connect(person)
        priced(person)
    credentials.disconnect(credentials.usual_of(alice.organization, "fast"), by=alice.user)  # type: ignore[arg-type]
    assert (in_force(alice), in_force(charlie)) == ([], [("fast", "acme-70b")])


def test_the_page_says_so_before() -> None:
    alice = cast.alice()
    connect(alice)
    credentials.connect(alice.organization, "openai", "sk-1", by=alice.user)
    visitor = browser(alice)
    said = "for its models end with it"
    assert said in visitor.get("/settings/providers/fast/disconnect/").content.decode()
    assert said not in visitor.get("/settings/providers/openai/disconnect/").content.decode()
