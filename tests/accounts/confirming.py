"""A signed-in person who has just given their password again."""

from allauth.account.models import EmailAddress
from django.test import Client

from tests.cast import PASSWORD, Person

PAGE = "/accounts/reauthenticate/"


def confirmed(client: Client, person: Person) -> Client:
    """The same browser, after the page that asks."""
    email = person.user.email
    EmailAddress.objects.get_or_create(user=person.user, email=email, defaults={"verified": True, "primary": True})
    assert client.post(PAGE, {"password": PASSWORD}).status_code == 302
    return client
