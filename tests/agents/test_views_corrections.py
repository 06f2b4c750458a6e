"""Correcting a charge that was a worst case or an estimate, on the call's page (product.md B13)."""

import pytest

from accounts.models import AuditEntry, Membership, Role
from agents.corrections import correct
from agents.models import Balance, Basis, Call, CallStatus
from tests import cast
from tests.agents.pages_house import CENT, book_call, browser

pytestmark = pytest.mark.django_db
FORM = {"cost": "0.10", "reason": "the provider’s invoice of November"}


def page_of(person: cast.Person, call: Call) -> str:
    return " ".join(browser(person).get(f"/calls/{call.call_id}/").content.decode().split())


def posted(person: cast.Person, call: Call, form: dict[str, str]) -> str:
    answer = browser(person).post(f"/calls/{call.call_id}/correct/", form, follow=True)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def uncertain(person: cast.Person, **fields: object) -> Call:
    """A call whose cost was not known; another of a cent opened the balances that both count on."""
    book_call(person)
    values = {"basis": Basis.WORST_CASE, "status": CallStatus.EXPIRED, "cost_pico": 39 * CENT} | fields
    counting = Balance.objects.filter(practice=False, budget__organization=person.organization)
    return book_call(person, balance_ids=sorted(counting.values_list("id", flat=True)), **values)  # type: ignore[arg-type]


def spent(person: cast.Person) -> set[int]:
    balances = Balance.objects.filter(practice=False, budget__organization=person.organization)
    return set(balances.values_list("spent", flat=True))


def test_an_admin_corrects_a_worst_case_and_the_page_says_who_and_why() -> None:
    alice = cast.alice()
    bob = cast.bob(alice)
    Membership.objects.filter(user=bob.user).update(role=Role.ADMIN)
    call = uncertain(alice)
    assert "so $0.390000 stands for it" in page_of(bob, call)
    page = posted(bob, call, FORM)
    assert "The call is booked at $0.100000, on every budget that counted it." in page
    assert "corrected by hand by bob@acme.example" in page
    assert "the provider’s invoice of November" in page
    assert "-$0.290000" in page
    assert spent(alice) == {11 * CENT}
    entry = AuditEntry.objects.get(action="call.corrected")
    assert (entry.user, entry.details["why"]) == (bob.user, FORM["reason"])
    # What an answer found is another story than what a person wrote.
    assert "corrected when the answer was found" not in page
    assert "Corrected" in browser(alice).get("/calls/").content.decode()


def test_a_correction_can_be_corrected_and_every_one_stays() -> None:
    alice = cast.alice()
    call = uncertain(alice, basis=Basis.ESTIMATED, status=CallStatus.SETTLED)
    posted(alice, call, FORM)
    page = posted(alice, call, FORM | {"cost": "0", "reason": "it was never billed"})
    assert page.count("corrected by hand by alice@acme.example") == 2
    assert spent(alice) == {CENT}
    assert Call.objects.filter(call_id=call.call_id).count() == 3


@pytest.mark.parametrize("typed", ["-7", "NaN", "inf", "1e309", "9" * 30, "10,5", "٣", "", "\x00"])
def test_a_bad_cost_is_named_at_its_field_and_corrects_nothing(typed: str) -> None:
    """A14."""
    alice = cast.alice()
    call = uncertain(alice)
    page = posted(alice, call, FORM | {"cost": typed})
    assert 'id="id_cost_error"' in page
    assert spent(alice) == {40 * CENT}


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301, "a\x00b"])
def test_a_correction_needs_a_reason(reason: str) -> None:
    alice = cast.alice()
    call = uncertain(alice)
    page = posted(alice, call, FORM | {"reason": reason})
    assert 'id="id_reason_error"' in page
    assert spent(alice) == {40 * CENT}


def test_a_field_that_the_form_does_not_have_is_an_error() -> None:
    alice = cast.alice()
    call = uncertain(alice)
    assert "There is no field seq here" in posted(alice, call, FORM | {"seq": "0"})
    assert "There is no field" not in posted(alice, call, FORM)


@pytest.mark.parametrize(
    "fields",
    [
        {"basis": Basis.USAGE, "status": CallStatus.SETTLED},
        {"basis": Basis.NONE, "status": CallStatus.VOIDED, "cost_pico": 0},
    ],
)
def test_what_the_providers_usage_says_is_not_corrected(fields: dict[str, object]) -> None:
    alice = cast.alice()
    call = uncertain(alice, **fields)
    assert "Correct the charge" not in page_of(alice, call)
    assert "Only a charge at the ceiling or by estimate can be corrected" in posted(alice, call, FORM)
    assert not Call.objects.filter(seq__gt=0).exists()


def test_a_late_settlement_has_found_the_cost_and_ends_corrections() -> None:
    alice = cast.alice()
    call = uncertain(alice)
    book_call(
        alice, call_id=call.call_id, seq=1, cost_pico=-30 * CENT, status=CallStatus.CORRECTED, basis=Basis.USAGE,
        reason="late_settle",
    )  # fmt: skip
    assert "Correct the charge" not in page_of(alice, call)
    assert "corrected when the answer was found" in page_of(alice, call)
    posted(alice, call, FORM)
    assert Call.objects.filter(call_id=call.call_id).count() == 2


def test_only_owners_and_admins_of_the_very_organisation_correct() -> None:
    alice = cast.alice()
    call = uncertain(alice)
    bob, vera = cast.bob(alice), cast.vera(alice)
    for person, status in ((bob, 403), (vera, 403), (cast.charlie(), 404)):
        assert browser(person).post(f"/calls/{call.call_id}/correct/", FORM).status_code == status
    for person in (bob, vera):
        assert "Correct the charge" not in page_of(person, call)
    assert spent(alice) == {40 * CENT}


def test_everybody_of_the_organisation_reads_a_correction() -> None:
    alice = cast.alice()
    call = uncertain(alice)
    correct(alice.organization, call.call_id, CENT, "an invoice", alice.user)
    assert "corrected by hand by alice@acme.example" in page_of(cast.vera(alice), call)
