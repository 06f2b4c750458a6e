"""The operator's way to an agent and its keys."""

import json
import subprocess
from io import StringIO
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.management import call_command
from django.test import Client

from accounts.models import Organization, ProviderCredential, User
from agents import callers
from agents.models import Agent, AgentKey
from agents.money import PICO_PER_USD

ORDER = ["--email", "ada@acme.example", "--organisation", "Acme Robotics", "--agent", "Support triage"]

pytestmark = pytest.mark.django_db


def provision(*more: str, budget: str = "5") -> dict[str, Any]:
    """What it prints."""
    output = StringIO()
    call_command("provision", *ORDER, "--daily-budget", budget, *more, stdout=output)
    printed: dict[str, Any] = json.loads(output.getvalue())
    return printed


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line it says instead."""
    with pytest.raises(SystemExit) as ended:
        call_command("provision", *arguments, stdout=StringIO())
    assert ended.value.code != 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("provision: ")
    return lines[0]


def test_it_prints_exactly_what_scripts_depend_on(settings: Any) -> None:
    settings.SITE_URL = "https://shredder.example.com"
    printed = provision()
    assert list(printed) == [
        "organisation", "agent", "agent_id", "key", "test_key", "base_url", "anthropic_base_url", "dashboard_url",
    ]  # fmt: skip
    assert printed["organisation"] == "Acme Robotics"
    assert printed["base_url"] == "https://shredder.example.com/proxy/v1"
    assert printed["anthropic_base_url"] == "https://shredder.example.com/proxy"
    assert printed["dashboard_url"].startswith("https://shredder.example.com/")


def test_both_keys_open_the_agent_with_its_budget() -> None:
    printed = provision(budget="2.50")
    live, test = callers.caller_for(printed["key"]), callers.caller_for(printed["test_key"])
    assert str(live.agent_id) == str(test.agent_id) == printed["agent_id"]
    assert (live.practice, test.practice) == (False, True)
    daily = next(budget for budget in live.budgets if budget.scope == "agent")
    assert daily.limit == 25 * PICO_PER_USD // 10


def test_the_second_time_creates_nothing_but_new_keys() -> None:
    first, second = provision(), provision()
    assert first["agent_id"] == second["agent_id"]
    assert first["key"] != second["key"]
    assert (User.objects.count(), Organization.objects.count(), Agent.objects.count()) == (1, 1, 1)
    assert AgentKey.objects.count() == 4
    callers.caller_for(first["key"])


def test_another_budget_is_applied_to_an_agent_that_is_there() -> None:
    provision(budget="5")
    caller = callers.caller_for(provision(budget="7")["key"])
    assert [budget.limit for budget in caller.budgets if budget.scope == "agent"] == [7 * PICO_PER_USD]


def test_providers_are_connected_and_replaced() -> None:
    provision("--provider", "openai=sk-one", "--provider", "anthropic=sk-two")
    caller = callers.caller_for(provision("--provider", "openai=sk-three")["key"])
    assert {name: credential.api_key for name, credential in caller.credentials.items()} == {
        "openai": "sk-three",
        "anthropic": "sk-two",
    }
    assert ProviderCredential.objects.count() == 2


def test_the_owner_may_sign_in_at_once(client: Client) -> None:
    provision("--password", "correct horse battery staple", "--time-zone", "Asia/Tokyo")
    assert EmailAddress.objects.get().verified
    assert client.login(email="ada@acme.example", password="correct horse battery staple") or client.login(
        username="ada@acme.example", password="correct horse battery staple"
    )
    assert Organization.objects.get().time_zone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--daily-budget", "-7"], "-7"),
        (["--daily-budget", "10,5"], "10,5"),
        (["--email", "nobody"], "valid email"),
        (["--time-zone", "Mars/Olympus"], "time zone"),
        (["--provider", "openai"], "NAME=KEY"),
        (["--provider", "acme=sk-1"], "known are"),
    ],
)
def test_a_wrong_order_is_one_clear_line_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], change: list[str], says: str
) -> None:
    assert says in refusal(capsys, *ORDER, "--daily-budget=5", *["=".join(change)])
    assert User.objects.count() == Organization.objects.count() == Agent.objects.count() == 0


def test_a_missing_word_is_one_line_too() -> None:
    from tests.servers import CHECKOUT

    done = subprocess.run(
        [".venv/bin/python", "manage.py", "provision", "--email", "a@b.example"],
        cwd=CHECKOUT, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert done.stdout == b""


@pytest.mark.parametrize("name", ["", "   ", "x" * 500])
def test_an_agent_without_a_usable_name_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    order = [*ORDER[:-1], name, "--daily-budget", "5"]
    assert refusal(capsys, *order).startswith("provision: --agent ")
    assert not Agent.objects.exists()
    assert not Organization.objects.exists()
