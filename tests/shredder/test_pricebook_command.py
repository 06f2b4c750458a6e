"""The price book held against its two lists, and made anew from them; small wheels of our own stand for the real."""

import json
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from agents.data import book_file, build_pricebook
from agents.pricebook import PriceBook

OVERRIDES = """
[provider.openai]
litellm = ["openai"]
litellm_prefix = ""
genai = "openai"
page = "https://example.com/prices"
[provider.anthropic]
litellm = ["anthropic"]
litellm_prefix = ""
genai = "anthropic"
page = "https://example.com/prices"
[provider.google]
litellm = ["gemini"]
litellm_prefix = "gemini/"
genai = "google"
page = "https://example.com/prices"
[[rule]]
provider = "openai"
models = "promised"
recheck_after = "2026-12-01"
[[row]]
provider = "deepseek"
models = ["deepseek-v4-pro"]
kind = "chat"
rates = { input = "1.32", output = "3.96" }
source = "https://example.com/prices"
"""
EXCLUSIONS = """
[[exclusion]]
provider = "openai"
models = '-search$'
why = "Searches without a bound."
"""
# What genai-prices' data looks like to us; only what is read.
GENAI = """
from decimal import Decimal
from types import SimpleNamespace

class Prices:
    def __init__(self, input, output):
        self.input_mtok, self.output_mtok = Decimal(input), Decimal(output)

def model(id, input, output):
    return SimpleNamespace(
        id=id, prices=None, price_variants=None, match=SimpleNamespace(equals=id),
        is_match=lambda name: name == id, get_prices=lambda at: Prices(input, output),
    )

providers = [SimpleNamespace(id=name, models=[model(*known) for known in models]) for name, models in %r.items()]
"""
MODELS = {"openai": {"gpt-8": ("2", "8"), "gpt-9": ("3", "9")}, "anthropic": {"claude-9": ("4", "20")}, "google": {}}
PREFIXES = {"openai": ("openai", ""), "anthropic": ("anthropic", ""), "google": ("gemini", "gemini/")}

type Models = dict[str, dict[str, tuple[str, str]]]


def entries(models: Models) -> dict[str, Any]:
    """The same prices as litellm writes them."""
    return {
        PREFIXES[provider][1] + name: {
            "litellm_provider": PREFIXES[provider][0], "mode": "chat", "max_output_tokens": 1_000,
            "input_cost_per_token": float(prices[0]) / 1e6, "output_cost_per_token": float(prices[1]) / 1e6,
        }
        for provider, known in models.items()
        for name, prices in known.items()
    }  # fmt: skip


class Lists:
    """A directory with the two wheels; each can be written again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.write(MODELS)

    def write(self, models: Models) -> None:
        """Both lists agree."""
        self.write_litellm(json.dumps(entries(models)))
        self.write_genai(
            GENAI % {owner: [(name, *two) for name, two in known.items()] for owner, known in models.items()}
        )

    def write_litellm(self, content: str) -> None:
        with zipfile.ZipFile(self.directory / "litellm-8.8.8-py3-none-any.whl", "w") as wheel:
            wheel.writestr("litellm/model_prices_and_context_window_backup.json", content)

    def write_genai(self, content: str) -> None:
        with zipfile.ZipFile(self.directory / "genai_prices-9.9.9-py3-none-any.whl", "w") as wheel:
            wheel.writestr("genai_prices/data.py", content)

    def run(self, action: str) -> tuple[int, str]:
        """(exit status, what was said)."""
        out = StringIO()
        try:
            call_command(
                "pricebook", action, litellm=self.directory, genai_prices=self.directory, on="2026-11-22", stdout=out
            )
        except CommandError as error:
            return error.returncode, out.getvalue() + str(error)
        except SystemExit as end:
            return int(str(end.code)), out.getvalue()
        return 0, out.getvalue()


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lists:
    """Two lists, and a book that was made of them."""
    home = tmp_path / "data"
    home.mkdir()
    for name, content in (("overrides", OVERRIDES), ("exclusions", EXCLUSIONS), ("disagreements", "disagreement = []")):
        (home / f"{name}.toml").write_text(content)
    (home / "book.json").write_text('{"rows": []}')
    monkeypatch.setattr(build_pricebook, "HERE", home)
    monkeypatch.setattr(book_file, "BOOK_PATH", home / "book.json")
    monkeypatch.setattr(book_file, "IDS_PATH", home / "ids.json")
    lists = Lists(tmp_path)
    with_search = MODELS | {"openai": MODELS["openai"] | {"gpt-8-search": ("2", "8")}}
    lists.write(with_search)
    assert lists.run("build")[0] == 0
    return lists


def book() -> bytes:
    return book_file.BOOK_PATH.read_bytes()


def changed(provider: str, name: str, prices: tuple[str, str]) -> Models:
    return MODELS | {provider: MODELS[provider] | {name: prices, "gpt-8-search": ("2", "8")}}


def test_a_book_that_was_just_made_agrees_with_its_lists(lists: Lists) -> None:
    made = book()
    assert lists.run("check") == (
        0, "The price book agrees with genai-prices 9.9.9 and litellm 8.8.8: 4 rows for 4 model ids.\n"
    )  # fmt: skip
    assert book() == made
    assert json.loads(book_file.IDS_PATH.read_text())["openai"]["litellm"] == ["gpt-8", "gpt-8-search", "gpt-9"]
    assert PriceBook.load(book_file.BOOK_PATH).models("openai") == ["gpt-8", "gpt-9"]


def test_a_check_says_what_was_added_removed_and_changed_and_writes_nothing(lists: Lists) -> None:
    made = book()
    models = changed("openai", "gpt-10", ("1", "2"))
    models["openai"]["gpt-9"] = ("3", "12")
    models["anthropic"] = {"claude-10": ("4", "20")}
    lists.write(models)
    status, said = lists.run("check")
    assert (status, said.splitlines()) == (
        1,
        [
            "added anthropic/claude-10", "removed anthropic/claude-9", "added openai/gpt-10",
            "changed openai/gpt-9: rates.output 9 → 12",
        ],
    )  # fmt: skip
    assert book() == made
    assert lists.run("build")[0] == 0
    assert lists.run("check")[0] == 0


def test_a_difference_nobody_decided_is_named_and_keeps_the_book_as_it_is(lists: Lists) -> None:
    made = book()
    lists.write_litellm(json.dumps(entries(changed("openai", "gpt-9", ("3.5", "9")))))
    for action in ("check", "build"):
        status, said = lists.run(action)
        assert status == 1
        assert "undecided openai/gpt-9 default input: genai-prices 3, litellm 3.5" in said
    assert book() == made


def test_an_id_of_a_list_with_neither_a_row_nor_an_exclusion_is_named(lists: Lists) -> None:
    priceless = entries(changed("openai", "gpt-9", ("3", "9"))) | {
        "gpt-video": {"litellm_provider": "openai", "mode": "video_generation", "output_cost_per_second": 0.1}
    }
    lists.write_litellm(json.dumps(priceless))
    assert lists.run("check") == (1, "unlisted openai/gpt-video: has neither a row nor an exclusion\n")


def test_an_exclusion_that_nothing_needs_is_named(lists: Lists) -> None:
    lists.write(MODELS)
    status, said = lists.run("check")
    assert status == 1
    assert said.startswith("not needed: {")


def test_a_promise_is_not_made_where_its_end_could_not_be_reserved(lists: Lists) -> None:
    """The end of a promise reserves at every row the model ever had, so each must price what the promised one does."""
    row: dict[str, Any] = {"provider": "a", "models": ["m"], "kind": "chat", "rates": {"input": "1"}}
    promised = row | {"since": "2026-01-01", "recheck_after": "2026-12-01", "tiers": {"flex": row}}
    problems = list(build_pricebook.uncovered([row, promised]))
    assert problems == ["a/m since ever: has no tier flex, and may come back"]


def litellm_with(**facts: Any) -> str:
    told = entries(changed("openai", "gpt-9", ("3", "9")))
    return json.dumps(told | {"gpt-9": told["gpt-9"] | facts})


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        ('{"gpt-8": {', 2, "litellm: "),
        ("[1, 2]", 2, "litellm: is not a table of models"),
        ('{"gpt-8": 7}', 2, "litellm: is not a table of models"),
        ("{}", 1, "not needed"),
        (litellm_with(input_cost_per_token=-3e-6), 2, "input_cost_per_token is -3e-06"),
        (litellm_with(input_cost_per_token=float("inf")), 2, "input_cost_per_token is inf"),
        (litellm_with(input_cost_per_token=float("nan")), 2, "input_cost_per_token is nan"),
        (litellm_with(cache_read_input_token_cost=0.5), 1, "default cache_read: 500000 is not a price"),
    ],
    ids=["cut", "list", "number", "empty", "negative", "infinite", "nan", "absurd"],
)
def test_a_broken_list_is_rejected_and_the_last_good_book_stays(
    lists: Lists, content: str, status: int, said: str
) -> None:
    """Scenario B21."""
    made = book()
    lists.write_litellm(content)
    if content == "{}":
        lists.write_genai(GENAI % {owner: [] for owner in MODELS})
        status, said = 2, "openai: 2 ids became 0"
    for action in ("check", "build"):
        found = lists.run(action)
        assert found[0] == status
        assert said in found[1]
    assert book() == made
    assert PriceBook.load(book_file.BOOK_PATH).has("openai", "gpt-9")


@pytest.mark.parametrize(
    ("prices", "status", "said"),
    [
        (("300", "900"), 2, "openai/gpt-9 default input: 3 became 300"),
        (("0.000003", "9"), 2, "openai/gpt-9 default input: 3 became 0.000003"),
        (("0", "9"), 1, "openai/gpt-9 default input: free"),
        (("299", "9"), 0, "rates.input 3 → 299"),
    ],
)
def test_a_jump_of_a_hundred_or_a_price_of_nought_is_rejected_even_where_both_lists_agree(
    lists: Lists, prices: tuple[str, str], status: int, said: str
) -> None:
    """Scenario B21: a slip of the unit."""
    made = book()
    lists.write(changed("openai", "gpt-9", prices))
    found = lists.run("build")
    assert found[0] == status
    assert said in found[1]
    assert (book() == made) is (status != 0)


@pytest.mark.parametrize(
    "facts",
    [
        {"input_cost_per_token": True},
        {"input_cost_per_token": 1e308},
        {"input_cost_per_token": 10**400},
        {"search_context_cost_per_query": {"low": "dear"}},
        {"search_context_cost_per_query": [1]},
        {"file_search_cost_per_1k_calls": "much"},
        {"mode": ["chat"]},
    ],
    ids=["flag", "beyond decimals", "beyond floats", "text", "no table", "fee", "kind"],
)
def test_whatever_shape_a_list_has_it_is_told_in_a_sentence_and_nothing_is_written(
    lists: Lists, facts: dict[str, Any]
) -> None:
    """Scenario B21: what is in a list is anybody's; a traceback names neither the list nor what became of the book."""
    made = book()
    lists.write_litellm(litellm_with(**facts))
    for action in ("check", "build"):
        status, said = lists.run(action)
        assert status == 2
        assert "cannot be read" in said
    assert book() == made


def test_a_list_whose_code_fails_is_rejected(lists: Lists) -> None:
    """Scenario B21."""
    made = book()
    lists.write_genai("providers = [1 / 0]")
    status, said = lists.run("build")
    assert status == 2
    assert said.startswith("genai-prices: cannot be read: ZeroDivisionError")
    assert book() == made


def test_a_row_the_product_cannot_read_never_takes_the_books_place(lists: Lists) -> None:
    """Scenario B21."""
    made = book()
    with pytest.raises(ValueError, match="unknown rate"):
        book_file.write_book([{"provider": "a", "models": ["m"], "kind": "chat", "rates": {"hope": "1"}}], {}, "2026")
    assert book() == made
    assert [path.name for path in book_file.BOOK_PATH.parent.glob(".book*")] == []


def test_a_list_that_cannot_be_had_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "python3"
    fake.write_text('#!/bin/sh\n[ "$3" = --version ] || { echo "no route to host" >&2; exit 1; }\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(CommandError, match=r"cannot be fetched\. Is there a network") as failed:
        call_command("pricebook", "check")
    assert failed.value.returncode == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"litellm": Path("/nowhere")}, "There is no wheel of litellm at /nowhere"),
        ({"litellm": Path(__file__)}, "is not a wheel"),
        ({"litellm": Path(__file__), "on": "soon"}, "--on must be a day"),
    ],
)
def test_what_is_given_wrongly_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError, match=said) as failed:
        call_command("pricebook", "check", **options)
    assert failed.value.returncode == 2
