"""A real mail server for tests, which can be away, be slow or refuse addresses."""

import asyncio
import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from shredder.embedded.state import free_port
from tests.servers import committed_database, database_template

__all__ = ["committed_database", "database_template"]


class PostOffice:
    """An SMTP server that keeps what it is given; it starts away."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.delay_seconds = 0.0
        self.refused: set[str] = set()
        self.port = free_port()
        self._controller: Controller | None = None

    def open(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def close(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await asyncio.sleep(self.delay_seconds)
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 OK"


def text_of(mail: EmailMessage) -> str:
    """The plain words of a mail."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


@pytest.fixture
def post_office(settings: Any) -> Iterator[PostOffice]:
    """A mail server in this process, open and in use as the installation's."""
    office = PostOffice()
    office.open()
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": office.port, "timeout": 10},
        }
    }
    yield office
    office.close()
