"""What the environment says, typed; every variable is described in docs/operations.md."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError

from shredder.embedded.errors import CannotStart
from shredder.embedded.home import home_folder, recorded_site, servers_are_embedded
from shredder.embedded.state import State, load_state

env = Env()

SECRETS = ("SECRET_KEY", "SHREDDER_KEY_PEPPER", "SHREDDER_VAULT_KEYS")
SMTP_PORTS = {"smtp": 25, "submission": 587, "smtps": 465}
MAIL_SECONDS_MAX = 15
# The pool doubles its wait after each failed attempt until it gives up, and begins anew when somebody asks. Without a
# short end it would look for a database that was away a minute only half a minute after its return.
POOL_PATIENCE = {"timeout": 5, "reconnect_timeout": 5}


def database(pool_size: int) -> dict[str, Any]:
    """Django's description of the database.

    pool_size: connections a process keeps; 0 opens one for each request or task.
    """
    url = env.str("DATABASE_URL", None) or state().database_url
    parsed: dict[str, Any] = _read(env.dj_db_url, "DATABASE_URL", url)
    if "postgresql" not in parsed["ENGINE"]:
        raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database: postgres://user:password@host/name")
    options = parsed.setdefault("OPTIONS", {})
    options.setdefault("connect_timeout", 5)
    if pool_size:
        options["pool"] = {"min_size": 1, "max_size": pool_size, **POOL_PATIENCE}
    return parsed


def redis_url() -> str:
    """The address of Valkey or Redis."""
    return env.str("REDIS_URL", None) or state().redis_url


def secret(name: str, site_url: str) -> str:
    """A secret that production must set and development finds in the data folder.

    site_url: an https address means production, where an invented secret would differ from container to container.
    """
    value = env.str(name, "")
    if value:
        return str(value)
    if site_url.startswith("https://"):
        raise ImproperlyConfigured(f"{name} must be set when SITE_URL is an https address")
    found = state()
    return {
        "SECRET_KEY": found.secret_key,
        "SHREDDER_KEY_PEPPER": found.key_pepper,
        "SHREDDER_VAULT_KEYS": found.vault_key,
    }[name]


def state() -> State:
    """The data folder's own passwords and ports."""
    try:
        servers_are_embedded()
        return load_state(home_folder())
    except (CannotStart, OSError) as error:
        raise ImproperlyConfigured(str(error)) from None


def site_url() -> str:
    """The address that people and clients use, without a slash at its end; a running `up` knows its own."""
    return known_site_url() or "http://127.0.0.1:8000"


def known_site_url() -> str | None:
    """The address that the operator gave, or that a running `up` wrote down; None where we know of none."""
    given = str(env.str("SITE_URL", ""))
    with contextlib.suppress(OSError):
        given = given or recorded_site(home_folder()).read_text().strip()
    if not given:
        return None
    address = urlsplit(given)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ImproperlyConfigured(f"SITE_URL must be an address like https://shredder.example.com, not {given!r}")
    return f"{address.scheme}://{address.netloc}"


def mailer(home: Path) -> dict[str, Any]:
    """Django's description of the mail server; without EMAIL_URL mail lands in the data folder."""
    url = env.str("EMAIL_URL", "")
    if not url:
        return {"BACKEND": "shredder.mail.EmailBackend", "OPTIONS": {"file_path": str(home / "mail")}}
    address = urlsplit(url)
    if address.scheme not in SMTP_PORTS or not address.hostname:
        raise ImproperlyConfigured("EMAIL_URL must be smtp://, submission:// (STARTTLS) or smtps://user:password@host")
    options = {
        "host": address.hostname,
        "port": address.port or SMTP_PORTS[address.scheme],
        "username": unquote(address.username or ""),
        "password": unquote(address.password or ""),
        "use_tls": address.scheme == "submission",
        "use_ssl": address.scheme == "smtps",
        "timeout": int(parse_qs(address.query).get("timeout", [str(MAIL_SECONDS_MAX)])[0]),
    }
    return {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}


def choice(name: str, allowed: tuple[str, ...]) -> str:
    """One of a few words, the first by default."""
    value = str(env.str(name, "") or allowed[0])
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def switch(name: str) -> bool:
    """Whether an option is on: 1 or 0."""
    return bool(_read(env.bool, name, False))


def number(name: str, default: int) -> int:
    """A whole number."""
    return int(_read(env.int, name, default))


def seconds(name: str) -> dict[str, float]:
    """Durations by name: `connect=2.5,total=600`."""
    return dict(_read(env.dict, name, {}, subcast_values=float))


def _read(parse: Callable[..., Any], name: str, default: object, **options: Any) -> Any:
    try:
        return parse(name, default, **options)
    except EnvError as error:
        raise ImproperlyConfigured(str(error)) from None
