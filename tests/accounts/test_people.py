"""Signing up, in and out, with real mails; strangers learn nothing about who has an account."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import transaction
from django.test import Client

from accounts.models import Membership, Organization, User
from agents.models import Budget
from tests import cast
from tests.agents.test_created_agents import begun_beside
from tests.cast import PASSWORD

pytestmark = pytest.mark.django_db

NEW = "ada@acme.example"


def sign_up(client: Client, email: str = NEW) -> Any:
    return client.post("/accounts/signup/", {"email": email, "password1": PASSWORD})


def code_of(message: Any) -> str:
    found = re.search(r"^    (\S+)$", message.body, re.MULTILINE)
    assert found, message.body
    return found[1]


def test_newcomer_signs_up_confirms_the_code_and_founds_an_organisation(client: Client) -> None:
    assert sign_up(client).headers["Location"] == "/accounts/confirm-email/"
    answer = client.post("/accounts/confirm-email/", {"code": code_of(mail.outbox[0])}, follow=True)
    assert answer.redirect_chain[-1] == ("/welcome/", 302)
    answer = client.post("/welcome/", {"name": "Acme Robotics", "time_zone": "Europe/Oslo"})
    assert answer.headers["Location"] == "/agents/new/"
    organization = Organization.objects.get()
    assert (organization.name, organization.time_zone) == ("Acme Robotics", "Europe/Oslo")
    assert Membership.objects.get().role == "owner"
    assert Budget.objects.filter(organization=organization, agent=None).exists()


def test_code_without_dash_and_in_small_letters_is_good(client: Client) -> None:
    sign_up(client)
    typed = code_of(mail.outbox[0]).replace("-", "").lower()
    client.post("/accounts/confirm-email/", {"code": typed})
    assert "_auth_user_id" in client.session


def test_wrong_code_is_refused_and_three_end_it(client: Client) -> None:
    sign_up(client)
    right = code_of(mail.outbox[0])
    for _ in range(3):
        client.post("/accounts/confirm-email/", {"code": "AAAA-AAAA"})
    client.post("/accounts/confirm-email/", {"code": right})
    assert "_auth_user_id" not in client.session


def test_unconfirmed_person_is_not_let_in(client: Client) -> None:
    sign_up(client)
    assert "_auth_user_id" not in client.session
    assert client.get("/settings/").headers["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("password", ["short", "password1234", "ada@acme.example"])
def test_weak_password_is_refused(client: Client, password: str) -> None:
    answer = client.post("/accounts/signup/", {"email": NEW, "password1": password})
    assert answer.status_code == 200
    assert not User.objects.exists()


@pytest.mark.parametrize("mode", ["closed", "invite"])
def test_closed_installation_takes_nobody(client: Client, settings: Any, mode: str) -> None:
    settings.SHREDDER_SIGNUP = mode
    assert "Sign-up is closed" in sign_up(client).content.decode()
    assert not User.objects.exists()
    assert "Create an account" not in client.get("/").content.decode()
    for address in ("/", "/accounts/login/"):
        assert "/accounts/signup/" not in client.get(address).content.decode()
    settings.SHREDDER_SIGNUP = "open"
    assert "/accounts/signup/" in client.get("/accounts/login/").content.decode()


def test_sign_up_answers_the_same_whether_or_not_the_address_is_known(client: Client) -> None:
    cast.alice()
    known, unknown = sign_up(client, "alice@acme.example"), sign_up(Client(), NEW)
    assert (known.status_code, known.headers["Location"]) == (unknown.status_code, unknown.headers["Location"])
    shown = [page_after(client, "alice@acme.example"), page_after(Client(), "bea@acme.example")]
    assert shown[0] == shown[1]
    assert "You have an account already" in {message.subject for message in mail.outbox}


def page_after(client: Client, email: str) -> str:
    sign_up(client, email)
    return without_secrets(client.get("/accounts/confirm-email/").content.decode(), email)


def without_secrets(page: str, email: str) -> str:
    return re.sub(r'(?<=value=")[^"]{64}(?=")|(?<="X-CSRFToken": ")[^"]+', "", page).replace(email, "")


def test_reset_answers_the_same_whether_or_not_the_address_is_known() -> None:
    cast.alice()
    pages = []
    for email in ("alice@acme.example", "nobody@acme.example"):
        visitor = Client()
        answer = visitor.post("/accounts/password/reset/", {"email": email})
        assert answer.headers["Location"] == "/accounts/password/reset/confirm/"
        pages.append(without_secrets(visitor.get("/accounts/password/reset/confirm/").content.decode(), email))
    assert pages[0] == pages[1]


def test_sign_in_says_the_same_for_unknown_person_and_wrong_password() -> None:
    cast.alice()
    shown = set()
    for email in ("alice@acme.example", "nobody@acme.example"):
        answer = Client().post("/accounts/login/", {"login": email, "password": "a wrong password"})
        shown.add((answer.status_code, without_secrets(answer.content.decode(), email)))
    assert len(shown) == 1


def test_forgotten_password_is_replaced_by_a_code() -> None:
    cast.alice()
    visitor = Client()
    visitor.post("/accounts/password/reset/", {"email": "alice@acme.example"})
    code = code_of(mail.outbox[0])
    answer = visitor.post("/accounts/password/reset/confirm/", {"code": code})
    assert answer.headers["Location"] == "/accounts/password/reset/complete/"
    words = "an entirely new pass phrase"
    visitor.post("/accounts/password/reset/complete/", {"password1": words, "password2": words})
    assert User.objects.get().check_password(words)


def test_mail_links_lead_to_the_site_whatever_the_host_header_says(settings: Any) -> None:
    settings.SITE_URL = "https://shredder.example"
    settings.ALLOWED_HOSTS = ["*"]
    cast.alice()
    Client(headers={"host": "evil.example"}).post(
        "/accounts/signup/", {"email": "alice@acme.example", "password1": PASSWORD}
    )
    Client(headers={"host": "evil.example"}).post("/accounts/password/reset/", {"email": "nobody@acme.example"})
    assert len(mail.outbox) == 2
    for message in mail.outbox:
        assert "evil.example" not in message.body + message.subject
        assert "https://shredder.example/accounts/" in message.body


def test_sign_out_needs_a_post() -> None:
    visitor = Client()
    visitor.force_login(cast.alice().user)
    visitor.get("/accounts/logout/")
    assert "_auth_user_id" in visitor.session
    visitor.post("/accounts/logout/")
    assert "_auth_user_id" not in visitor.session


def test_hundred_guesses_of_a_password_are_throttled() -> None:
    cast.alice()
    visitor = Client()
    guess = {"login": "alice@acme.example", "password": "a wrong password"}
    answers = [visitor.post("/accounts/login/", guess) for _ in range(40)]
    assert any(answer.status_code == 429 or "Too many" in answer.content.decode() for answer in answers)


def test_guesses_are_counted_by_the_real_peer_whatever_address_they_claim() -> None:
    """E10."""
    visitor = Client()
    answers = [
        visitor.post(
            "/accounts/login/", {"login": f"nobody-{at}@acme.example", "password": "wrong"},
            headers={"x-forwarded-for": f"203.0.113.{at}", "forwarded": f"for=203.0.113.{at}"},
        )
        for at in range(40)
    ]  # fmt: skip
    assert any(answer.status_code == 429 or "Too many" in answer.content.decode() for answer in answers)


def test_member_who_already_has_an_organisation_does_not_found_another() -> None:
    visitor = Client()
    visitor.force_login(cast.alice().user)
    visitor.post("/welcome/", {"name": "Second", "time_zone": "UTC"})
    assert Organization.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_double_click_founds_one_organisation() -> None:
    newcomer = User.objects.create_user(NEW, PASSWORD)
    visitor, again = Client(), Client()
    visitor.force_login(newcomer)
    again.cookies = visitor.cookies
    form = {"name": "Acme Robotics", "time_zone": "UTC"}
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            visitor.post("/welcome/", form)
            second = begun_beside(pool, lambda: again.post("/welcome/", form))
        assert second.result(timeout=5)["Location"] == "/agents/new/"
    assert Organization.objects.count() == 1


@pytest.mark.parametrize(
    "form",
    [
        {"name": "", "time_zone": "UTC"},
        {"name": "Acme", "time_zone": "Mars/Base"},
        {"name": "A\u202eB", "time_zone": "UTC"},
    ],
)
def test_newcomer_hears_what_is_wrong(form: dict[str, str]) -> None:
    visitor = Client()
    visitor.force_login(User.objects.create_user(NEW, PASSWORD))
    assert visitor.post("/welcome/", form).status_code == 200
    assert not Organization.objects.exists()


@pytest.mark.parametrize(
    "address", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_sign_in_never_leads_elsewhere(address: str) -> None:
    cast.alice()
    EmailAddress.objects.create(user=User.objects.get(), email="alice@acme.example", verified=True, primary=True)
    form = {"login": "alice@acme.example", "password": PASSWORD, "next": address}
    answer = Client().post("/accounts/login/", form)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/"


def test_changed_password_ends_other_sessions() -> None:
    alice = cast.alice()
    here, elsewhere = Client(), Client()
    for browser in (here, elsewhere):
        browser.force_login(alice.user)
    words = "an entirely new pass phrase"
    form = {"oldpassword": PASSWORD, "password1": words, "password2": words}
    assert here.post("/accounts/password/change/", form).status_code == 302
    assert here.get("/settings/").status_code == 200
    assert elsewhere.get("/settings/").status_code == 302
