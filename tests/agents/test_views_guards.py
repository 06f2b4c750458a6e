"""Guards on their page: every field, set, named where it will not do, and left alone where it was not sent."""

from typing import Any

import pytest

from accounts.models import AuditEntry
from agents import guards
from agents.guard_forms import GuardsForm, told
from agents.models import AGENT_FIELDS, Guards, RuleMode
from agents.money import PICO_PER_USD as USD
from tests import cast
from tests.agents.pages_house import browser
from tests.agents.shown_forms import shown_form

pytestmark = pytest.mark.django_db


def page_of(person: cast.Person) -> str:
    return f"/agents/{person.agent.id}/guards/"


def posted(person: cast.Person, form: dict[str, str]) -> str:
    answer = browser(person).post(page_of(person), form, follow=True)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def of(person: cast.Person) -> Guards:
    return Guards.of(person.agent)


SET: list[tuple[str, str, Any]] = [
    ("allowed_models", "gpt-4o\r\n\r\n openai/gpt-4o-mini \r\ngpt-4o", ["gpt-4o", "openai/gpt-4o-mini"]),
    ("allowed_models", "none", []),
    ("max_output_tokens", "4000", 4000),
    ("max_input_tokens", "100000", 100_000),
    ("max_ceiling_pico", "0.25", USD // 4),
    ("max_ceiling_pico", "0", 0),
    ("default_output", "4096", 4096),
    ("refusal_status", "402", 402),
    ("clamp_output", "yes", True),
    ("hosted_tools", "web_search=3\nweb_fetch = 10", {"web_search": 3, "web_fetch": 10}),
    ("required_headers", "session user", ["session", "user"]),
    ("required_headers", "user", ["user"]),
    ("calls_per_minute", "60", 60),
    ("tokens_per_minute", "1000000000000", 10**12),
    ("max_parallel", "3", 3),
    ("pacing_seconds", "60", 60),
    ("repeat_mode", "block", "block"),
    ("repeat_count", "2", 2),
    ("repeat_minutes", "1440", 1440),
    ("session_mode", "off", "off"),
    ("session_calls", "40", 40),
    ("busy_mode", "block", "block"),
    ("busy_hours", "168", 168),
    ("windows_mode", "off", "off"),
    ("cool_down_minutes", "1", 1),
    ("retry_mode", "block", "block"),
    ("retry_percent", "100", 100),
    ("bloat_mode", "off", "off"),
    ("bloat_calls", "1000", 1000),
    ("cache_seconds", "24 h", 86_400),
    ("cache_seconds", "90s", 90),
    ("cache_seconds", "30 d", 30 * 86_400),
]


@pytest.mark.parametrize(("field", "typed", "kept"), SET)
def test_a_member_sets_each_guard_and_nothing_else_moves(field: str, typed: str, kept: object) -> None:
    """F7: what is not sent stays."""
    alice = cast.alice()
    guards.set_guards(alice.agent, {"calls_per_minute": 7, "clamp_output": False, "max_input_tokens": 9}, None)
    page = posted(cast.bob(alice), {field: typed})
    assert "hold from the next call on" in page
    alice.agent.refresh_from_db()
    assert of(alice).value_of(field) == kept
    expected = {"calls_per_minute": 7, "clamp_output": False, "max_input_tokens": 9} | {field: kept}
    for name in GuardsForm.base_fields:
        assert of(alice).value_of(name) == expected.get(name, Guards().value_of(name)), name
    assert list(AuditEntry.objects.filter(action="guards.set").latest("at").details) == [field]


def test_every_field_of_the_guards_is_on_the_page() -> None:
    columns = {field.name for field in Guards._meta.get_fields()} - {"agent"}
    assert columns | set(AGENT_FIELDS) == set(GuardsForm.base_fields)
    alice = cast.alice()
    form = shown_form(browser(alice).get(page_of(alice)).content.decode(), page_of(alice))
    assert set(form) == set(GuardsForm.base_fields)
    assert {field for field, _, _ in SET} == set(GuardsForm.base_fields)


def test_what_the_page_shows_can_be_sent_back_and_changes_nothing() -> None:
    alice = cast.alice()
    for changes in (
        {},
        {field: kept for field, _, kept in SET},
        {"allowed_models": [], "bloat_mode": RuleMode.BLOCK, "cache_seconds": 90_061},
    ):
        if changes:
            guards.set_guards(alice.agent, changes, None)
        before, entries = Guards.objects.filter(agent=alice.agent).values().first(), AuditEntry.objects.count()
        form = shown_form(browser(alice).get(page_of(alice)).content.decode(), page_of(alice))
        assert "Nothing was changed." in posted(alice, form)
        assert Guards.objects.filter(agent=alice.agent).values().first() == before
        assert AuditEntry.objects.count() == entries


def test_an_empty_field_takes_the_limit_away() -> None:
    alice = cast.alice()
    names = (
        "allowed_models",
        "max_output_tokens",
        "max_ceiling_pico",
        "calls_per_minute",
        "max_parallel",
        "cache_seconds",
    )
    guards.set_guards(alice.agent, {field: kept for field, _, kept in SET if field in names}, None)
    posted(alice, dict.fromkeys(names, ""))
    assert [getattr(of(alice), name) for name in names] == [None] * 6


NUMBERS = [
    "default_output", "max_output_tokens", "max_input_tokens", "calls_per_minute", "tokens_per_minute", "max_parallel",
    "pacing_seconds",
    "repeat_count", "repeat_minutes", "session_calls", "busy_hours", "cool_down_minutes", "retry_percent",
    "bloat_calls",
]  # fmt: skip


@pytest.mark.parametrize("field", [*NUMBERS, "max_ceiling_pico"])
def test_what_is_no_number_is_named_at_its_field(field: str) -> None:
    """A14."""
    alice = cast.alice()
    client = browser(alice)
    for typed in ("-7", "NaN", "inf", "1e309", "9" * 30, "10,5", "٣", "ten", "\x00"):
        page = client.post(page_of(alice), {field: typed}).content.decode()
        assert f'id="id_{field}_error"' in page, typed
    assert not Guards.objects.exists()


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        ("max_output_tokens", "0", "from 1 to 2,147,483,647"),
        ("pacing_seconds", "61", "from 0 to 60"),
        ("repeat_count", "1", "from 2"),
        ("repeat_minutes", "1441", "to 1,440"),
        ("busy_hours", "169", "to 168"),
        ("retry_percent", "101", "to 100"),
        ("bloat_calls", "1001", "to 1,000"),
        ("session_calls", "", "required"),
        ("repeat_mode", "", "required"),
        ("repeat_mode", "maybe", "maybe"),
        ("bloat_mode", "block", "block"),
        ("clamp_output", "perhaps", "perhaps"),
        ("required_headers", "model", "model"),
        ("allowed_models", "gpt 4o", "is no model’s id"),
        ("allowed_models", "x" * 129, "is no model’s id"),
        ("allowed_models", "none\ngpt-4o", "stands alone"),
        ("allowed_models", "\n".join(f"m-{number}" for number in range(201)), "At most 200 lines"),
        ("hosted_tools", "web_search", "write name=cap"),
        ("hosted_tools", "web_search=-1", "write name=cap"),
        ("hosted_tools", "web_search=0", "from 1 to 100"),
        ("hosted_tools", "web_search=101", "from 1 to 100"),
        ("hosted_tools", "web_search=1\nweb_search=2", "stands there twice"),
        ("cache_seconds", "24", "a number and a unit"),
        ("cache_seconds", "1.5 h", "a number and a unit"),
        ("cache_seconds", "0 s", "from 1 s to 30 d"),
        ("cache_seconds", "31 d", "from 1 s to 30 d"),
    ],
)
def test_what_will_not_do_is_named_at_its_field_and_sets_nothing(field: str, typed: str, says: str) -> None:
    alice = cast.alice()
    page = posted(alice, {field: typed, "calls_per_minute": "60"})
    error = page.split(f'id="id_{field}_error">')[1].split("</div>")[0]
    assert says in error
    assert f'href="#id_{field}"' in page
    assert not Guards.objects.exists()


def test_a_field_that_no_guard_has_is_an_error() -> None:
    alice = cast.alice()
    page = posted(alice, {"calls_per_minute": "60", "max_rpm": "60"})
    assert "There is no field max_rpm here; nothing was changed." in page
    assert not Guards.objects.exists()


def test_a_viewer_reads_the_guards_in_words_and_sets_nothing() -> None:
    alice = cast.alice()
    vera = cast.vera(alice)
    guards.set_guards(alice.agent, {field: kept for field, _, kept in SET}, None)
    page = " ".join(browser(vera).get(page_of(alice)).content.decode().split())
    for words in (
        "web_fetch=10, web_search=3",
        "Lower it to what fits",
        "$0.00",
        "Block, how often 2, within minutes 1440",
        "30 d",
    ):
        assert words in page
    assert "Save guards" not in page
    assert browser(vera).post(page_of(alice), {"calls_per_minute": "1"}).status_code == 403
    assert browser(cast.charlie()).post(page_of(alice), {"calls_per_minute": "1"}).status_code == 404
    assert of(alice).calls_per_minute == 60


def test_the_agents_page_tells_what_is_not_as_usual() -> None:
    alice = cast.alice()
    address = f"/agents/{alice.agent.id}/"
    assert told(of(alice)) == []
    assert "As every new agent has them" in browser(alice).get(address).content.decode()
    guards.set_guards(alice.agent, {"max_parallel": 3, "repeat_mode": "block", "cache_seconds": 3600}, None)
    expected = [
        ("Calls at a time", "3"),
        ("The same message again", "Block"),
        ("Give the same answer again for", "1 h"),
    ]
    assert told(of(alice)) == expected
    page = browser(alice).get(address).content.decode()
    assert all(words in page for pair in expected for words in pair)
