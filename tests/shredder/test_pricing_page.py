import json
import re
from pathlib import Path

from agents.data import price_sources
from agents.pricebook import BOOK_PATH, current_book
from shredder.management.commands.price import priced

PAGE = (Path(__file__).parents[2] / "docs/pricing.md").read_text()
INPUT = re.search(r"echo '(.+)' \| \./dev price", PAGE)
OUTPUT = re.search(r"```json\n(.+)\n```", PAGE)


def test_the_worked_example_of_the_page_is_true() -> None:
    assert INPUT is not None
    assert OUTPUT is not None
    assert priced(INPUT[1].encode(), current_book()) == json.loads(OUTPUT[1])


def test_the_table_of_the_worked_example_adds_up() -> None:
    assert OUTPUT is not None
    amounts = re.findall(r"^\|.*\| (0\.\d+) \|$", PAGE, re.MULTILINE)
    assert f"{sum(float(amount) for amount in amounts):.8f}" == json.loads(OUTPUT[1])["cost_usd"]


def test_the_page_names_every_key_of_a_row() -> None:
    used = {key for row in json.loads(BOOK_PATH.read_text())["rows"] for key in row} - {"note"}
    assert {key for key in used if f"`{key}`" not in PAGE} == set()


def test_the_sources_are_read_without_the_noise_of_binary_fractions() -> None:
    entry = {"mode": "chat", "input_cost_per_token": 2.9999999999999997e-06, "output_cost_per_token": 1e-7}
    rates = price_sources.litellm_tiers(entry)["default"]["rates"]
    assert {bucket: str(price) for bucket, price in rates.items()} == {"input": "3", "output": "0.1"}
