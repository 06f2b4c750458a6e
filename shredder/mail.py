"""Mail in development: one file a message, its path on the console, so that a code is found in seconds."""

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import EmailMessage

logger = structlog.get_logger(__name__)


class EmailBackend(BaseEmailBackend):
    """Writes each message to `file_path` instead of sending it."""

    def __init__(self, file_path: str, **options: Any) -> None:
        super().__init__(**options)
        self.folder = Path(file_path)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the messages; returns how many."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for message in email_messages:
            path = self.folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}.eml"
            # Complete before it has its name: whoever watches the folder never reads half a message.
            unfinished = path.with_suffix(".part")
            unfinished.write_bytes(message.message().as_bytes())
            unfinished.rename(path)
            logger.info("mail written", to=message.to, subject=message.subject, path=str(path))
        return len(email_messages)
