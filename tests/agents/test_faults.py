"""The named points at which tests make a process fail, and what the ledger makes of it."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.ledger import Ledger, faults
from agents.ledger.waiting import WaitingAsk
from tests.agents.ledger_house import USD, House

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.arm("")


def test_a_point_strikes_once_at_its_number_and_no_other_does() -> None:
    faults.arm("here:3:raise,there:1:raise")
    faults.fault("here")
    faults.fault("elsewhere")
    faults.fault("here")
    with pytest.raises(faults.InjectedFault, match="here"):
        faults.fault("here")
    faults.fault("here")


def test_drop_loses_the_connection_and_sleep_stops_everything_for_a_while() -> None:
    faults.arm("here:1:drop,there:1:sleep=0.05")
    with pytest.raises(ConnectionResetError):
        faults.fault("here")
    began = time.monotonic()
    faults.fault("there")
    assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize(("site", "status"), [("http://127.0.0.1:1", faults.EXIT_STATUS), ("https://acme.example", 0)])
def test_the_variable_ends_a_process_of_a_test_and_none_in_production(site: str, status: int) -> None:
    code = "from agents.ledger.faults import fault; fault('here')"
    environment = {"SITE_URL": site, "SHREDDER_FAULT": "here"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT).returncode == status


def test_the_points_of_the_code_are_those_of_the_page() -> None:
    sources = [path.read_text() for app in ("agents", "proxy") for path in (ROOT / app).rglob("*.py")]
    points = {point for source in sources for point in re.findall(r'\bfault\("(\w+)"\)', source)}
    page = (ROOT / "docs/reliability.md").read_text()
    assert points == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


@pytest.mark.django_db(transaction=True)
async def test_a_sweep_whose_answer_is_lost_expires_once(house: House, ledger: Ledger) -> None:
    """Row 17 of docs/reliability.md."""
    ask = house.ask(2 * USD)
    await ledger.reserve(ask)
    await ledger.stop()  # it sweeps by itself, and would meet the fault before we do
    house.sql("UPDATE reservation SET deadline_at = now() - interval '1 s'")
    house.sql("UPDATE owner_lease SET expires_at = now() - interval '1 s'")
    sweeper = Ledger().upkeep
    faults.arm("after_expire_sent:1:drop")
    with pytest.raises(ConnectionResetError):
        await sweeper.reap(is_cautious=False)
    assert await sweeper.reap(is_cautious=False) == []
    await sweeper.close()
    assert house.amounts() == (2 * USD, 0)
    assert len(house.book(ask.call_id)) == 1


@pytest.mark.django_db(transaction=True)
async def test_a_burial_whose_answer_is_lost_is_repeated_and_ends_the_ask_once(house: House, ledger: Ledger) -> None:
    """Row 2 of docs/reliability.md."""
    ask = house.ask(USD)
    await ledger.drain()
    faults.arm("after_bury_sent:1:drop")
    grave = WaitingAsk(ask, {"model": "gpt-4o"}, "", None, 0.0)  # type: ignore[arg-type]
    ledger.upkeep.bury(grave)
    async with asyncio.timeout(10):
        while ledger.upkeep._graves:
            await asyncio.sleep(0.02)
    assert [row["status"] for row in house.book(ask.call_id)] == ["voided"]
    assert house.amounts() == (0, 0)
