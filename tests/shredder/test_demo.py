"""The demonstration: a month that the ledger itself could have written."""

import os
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import Sum
from django.utils import timezone

from accounts.models import Organization, User
from agents import pricing, rollups
from agents.demo import write_demo
from agents.models import Agent, Balance, Budget, Call, CallStatus, DailyUsage
from agents.pricebook import current_book
from agents.pricing import Circumstances, Usage
from agents.reports.overview import overview
from alerts.models import Alert, Delivery
from alerts.raising import raise_alerts
from shredder.embedded.home import CHECKOUT
from shredder.management.commands.demo import NOTHING_RUNS
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo() -> Organization:
    owner = User.objects.create_user("demo@example.com")
    now = timezone.now()
    written = write_demo(owner, now, day_count=1)
    rollups.sum_again(written.organization, written.since_at, now)
    return written.organization


def test_its_books_agree_with_each_other(demo: Organization) -> None:
    book_pico = Call.objects.filter(organization_id=demo.id).aggregate(cost=Sum("cost_pico"))["cost"]
    meters = Balance.objects.filter(budget__organization=demo, budget__agent=None)
    own = Balance.objects.filter(budget__organization=demo).exclude(budget__agent=None)
    assert book_pico > 0
    assert meters.aggregate(spent=Sum("spent"))["spent"] == book_pico
    assert own.aggregate(spent=Sum("spent"))["spent"] == book_pico
    assert overview(demo, timezone.now()).chart.total_pico == book_pico
    closed = Balance.objects.filter(budget__agent=None, window_end__lt=timezone.now() - timedelta(hours=1))
    rolled = DailyUsage.objects.filter(organization_id=demo.id).aggregate(cost=Sum("cost_pico"))["cost"] or 0
    assert rolled == (closed.aggregate(spent=Sum("spent"))["spent"] or 0)
    _assert_six_agents_in_different_states(demo)
    _assert_no_budget_was_passed(demo)
    _assert_costs_are_the_price_books(demo)


def _assert_six_agents_in_different_states(demo: Organization) -> None:
    assert Agent.objects.for_org(demo).count() == 6
    states = {standing.agent.name: standing.state.words for standing in overview(demo, timezone.now()).standings}
    assert states["newsletter-writer"] == "Paused"
    assert states["onboarding-guide"] == "New"
    assert Budget.objects.filter(organization=demo, agent=None).count() == 1


def _assert_costs_are_the_price_books(demo: Organization) -> None:
    for call in Call.objects.filter(organization_id=demo.id, status=CallStatus.SETTLED)[:300]:
        usage = Usage(
            input=call.input_tokens, cache_read=call.cache_read_tokens, cache_write=call.cache_write_tokens,
            output=call.output_tokens,
        )  # fmt: skip
        row = current_book().row(call.provider, call.model, call.reserved_at)
        assert call.cost_pico == pricing.cost_pico(row, usage, Circumstances()) <= call.held_pico
        assert call.price_version == current_book().version


def _assert_no_budget_was_passed(demo: Organization) -> None:
    for balance in Balance.objects.filter(budget__organization=demo).select_related("budget"):
        assert balance.held == 0
        assert balance.budget.limit is None or balance.spent <= balance.budget.limit


def test_the_same_day_is_told_the_same_way(demo: Organization) -> None:
    other = User.objects.create_user("other@example.com")
    zone = demo.time_zone
    again = write_demo(other, timezone.now(), zone=zone, day_count=1).organization
    first = Call.objects.filter(organization_id=demo.id, reserved_at__lt=timezone.now() - timedelta(minutes=10))
    second = Call.objects.filter(organization_id=again.id, reserved_at__lt=timezone.now() - timedelta(minutes=10))
    total = [rows.aggregate(cost=Sum("cost_pico"), tokens=Sum("input_tokens")) for rows in (first, second)]
    assert total[0] == total[1]


def test_the_command_says_how_to_sign_in_and_may_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.demo.write.DAYS", 1)
    monkeypatch.setattr("agents.demo.write.write_demo.__kwdefaults__", {"zone": None, "day_count": 1}, raising=False)
    out = StringIO()
    call_command("demo", "--password", "a password of mine", stdout=out)
    assert "demo@example.com" in out.getvalue()
    assert Alert.objects.filter(threshold=50).exists()
    assert not Delivery.objects.exclude(state="sent").exists()
    assert raise_alerts(timezone.now()) == []
    assert User.objects.get(email="demo@example.com").check_password("a password of mine")
    calls = Call.objects.count()
    call_command("demo", stdout=out)
    assert "there already" in out.getvalue()
    assert Call.objects.count() == calls
    assert Organization.objects.count() == 1


def test_it_leaves_other_peoples_accounts_alone() -> None:
    alice = cast.alice()
    with pytest.raises(CommandError, match="another organisation"):
        call_command("demo", "--email", alice.user.email, stdout=StringIO())
    assert alice.user.memberships.count() == 1


def test_it_names_the_address_that_up_has_taken(
    demo: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHREDDER_HOME", str(tmp_path))
    monkeypatch.delenv("SITE_URL", raising=False)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/site").write_text("http://127.0.0.1:8791")
    assert "Sign in at http://127.0.0.1:8791/accounts/login/\n" in _printed()
    monkeypatch.setenv("SITE_URL", "https://shredder.example.com/")
    assert "Sign in at https://shredder.example.com/accounts/login/\n" in _printed()


def test_it_says_when_nothing_runs_and_invents_no_address(
    demo: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As beside a database of the operator's own, which answers without us."""
    monkeypatch.setenv("SHREDDER_HOME", str(tmp_path))
    monkeypatch.delenv("SITE_URL", raising=False)
    printed = _printed()
    assert NOTHING_RUNS in printed
    assert "http://" not in printed
    assert "demo@example.com" in printed


def _printed() -> str:
    out = StringIO()
    call_command("demo", stdout=out)
    return out.getvalue()


def test_without_a_database_it_is_a_sentence_not_a_traceback(tmp_path: Path) -> None:
    ours = {"DATABASE_URL", "REDIS_URL", "SITE_URL", "SHREDDER_TEST_HOME"}
    alone = {name: value for name, value in os.environ.items() if name not in ours}
    alone |= {"SHREDDER_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "shredder.settings"}
    answer = subprocess.run(
        [sys.executable, "manage.py", "demo"], cwd=CHECKOUT, env=alone, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 1
    last = answer.stderr.splitlines()[-1]  # before it the pool may log what it tried
    assert last.startswith("CommandError: the database does not answer as it should; is ./dev up running? (")
    assert "Traceback" not in answer.stderr
