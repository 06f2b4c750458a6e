import email
import email.policy
from pathlib import Path

from django.core import mail


def test_development_mail_lands_in_a_file_that_a_person_can_read(mail_folder: Path) -> None:
    sent = mail.EmailMessage("Your code", "It is 123456 – keep it.", "a@example.com", ["b@example.com"]).send()
    assert sent == 1
    [path] = mail_folder.iterdir()
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert message["subject"] == "Your code"
    body = message.get_body()
    assert body is not None
    assert "123456" in body.get_content()
