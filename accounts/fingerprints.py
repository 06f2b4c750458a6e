"""Keyed hashes of secrets: enough to recognise one that comes again, useless to whoever steals the table."""

import hashlib
import hmac

from django.conf import settings


def fingerprint(secret: str) -> str:
    """Return the HMAC-SHA256 of a secret in hexadecimal; only this installation can compute it."""
    return hmac.new(settings.SHREDDER_KEY_PEPPER.encode(), secret.encode(), hashlib.sha256).hexdigest()
