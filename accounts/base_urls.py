"""The base URL of a provider that an organisation connects itself: what may stand there, and in which form it is kept.

What its host resolves to is looked at when it is saved and again whenever it is dialled (reliability.md 5.2).
"""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from accounts.addresses import AddressRefused, may_dial, resolve

LENGTH_MAX = 300
PORTS = frozenset({443, 8443})
_REMEDY = "The operator can allow this with SHREDDER_ALLOW_PRIVATE_UPSTREAMS=1."
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_LABELS = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ENDPOINT = re.compile(r"/(chat/completions|completions|embeddings|responses|models)$")
# Names that lead into this machine or its network whatever a public resolver says.
_LOCAL = re.compile(r"(.*\.)?(localhost|local|internal|intranet|lan|home|corp|arpa)|[^.]*")


class BadBaseUrl(ValueError):
    """A base URL that cannot be used; the text says why and what to write instead."""


def normalized(text: str, *, allow_private: bool) -> str:
    """Return the form in which a base URL is kept: lower-case host, no usual port, no slash at the end.

    allow_private: as the operator set it; without it only https to public names at ports 443 and 8443. Raises
    BadBaseUrl; nothing is asked of the network.
    """
    parts, port = _split(text.strip())
    host = _host(parts.hostname or "", allow_private=allow_private)
    if parts.scheme == "http" and not allow_private:
        raise BadBaseUrl("Write https://: over http:// your key and every prompt would travel unencrypted.")
    usual = 443 if parts.scheme == "https" else 80
    if not allow_private and (port or usual) not in PORTS:
        raise BadBaseUrl(f"Port {port} is not allowed; use 443 or 8443. {_REMEDY}")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{'' if port in (None, usual) else f':{port}'}{_path(parts.path)}"


def check_resolves(base_url: str, *, allow_private: bool) -> None:
    """Raise BadBaseUrl for a host that leads to an address which must not be dialled; one that leads nowhere passes.

    base_url: normalized. Unencrypted requests may only stay inside a private network.
    """
    host, port = _place(base_url)
    try:
        addresses = resolve(host, port, allow_private=allow_private)
    except AddressRefused as refused:
        raise BadBaseUrl(f"{host} leads to {refused.address}, where providers are not called. {_REMEDY}") from refused
    except (OSError, UnicodeError):
        return
    if base_url.startswith("http:") and any(may_dial(address, allow_private=False) for address in addresses):
        raise BadBaseUrl(
            f"Write https://: {host} is on the public internet, where http:// would show your key to others."
        )


def check_elsewhere(base_url: str, *, site_url: str) -> None:
    """Raise BadBaseUrl for this installation's own address: a call would come back as another call, without end.

    base_url: normalized. site_url: where people reach this installation.
    """
    if _place(base_url) == _place(site_url):
        raise BadBaseUrl("This is the address of AWX Shredder itself. Write the provider's own.")


def _place(url: str) -> tuple[str, int]:
    """The host and port that a URL leads to."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _split(text: str) -> tuple[SplitResult, int | None]:
    if not text.isprintable() or " " in text or "\\" in text or len(text) > LENGTH_MAX:
        raise BadBaseUrl(f"A base URL has no spaces or backslashes and at most {LENGTH_MAX} characters.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadBaseUrl("The host or port cannot be read. Write it as https://llm.example.com/v1.") from None
    if parts.scheme not in ("https", "http") or not parts.netloc:
        raise BadBaseUrl("Begin with https://, such as https://llm.example.com/v1.")
    if "@" in parts.netloc:
        raise BadBaseUrl("Leave the user name and password out; the key goes into its own field.")
    if "?" in text or "#" in text:
        raise BadBaseUrl("Leave out everything from the ? or # on.")
    if port == 0 or parts.netloc.endswith(":"):
        raise BadBaseUrl("The port is a number from 1 to 65535.")
    return parts, port


def _host(host: str, *, allow_private: bool) -> str:
    host = host.removesuffix(".")
    if not host.isascii():
        raise BadBaseUrl(_in_ascii(host))
    if ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]):
        return _address(host, allow_private=allow_private)
    if not _LABELS.fullmatch(host) or len(host) > 253:
        raise BadBaseUrl("The host is not a name. Write it as https://llm.example.com/v1.")
    if not allow_private and _LOCAL.fullmatch(host):
        raise BadBaseUrl(f"{host} is a name of this machine or its network. {_REMEDY}")
    return host


def _address(host: str, *, allow_private: bool) -> str:
    """A literal address; only in the one usual notation, since others read hexadecimal, octal and short forms."""
    if not allow_private:
        raise BadBaseUrl(f"Write the host's name, not its address {host}. {_REMEDY}")
    try:
        address = ip_address(host)
    except ValueError:
        raise BadBaseUrl(f"Write the address in its usual form, such as 192.168.1.20, not {host}.") from None
    if "%" in host or not may_dial(str(address), allow_private=True):
        raise BadBaseUrl(f"{host} is an address that is never called: of a link, of many hosts, or a cloud's metadata.")
    return str(address)


def _path(path: str) -> str:
    path = path.rstrip("/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise BadBaseUrl("The path has only letters, digits, dots, dashes and single slashes, such as /v1.")
    if endpoint := _ENDPOINT.search(path):
        raise BadBaseUrl(f"Leave {endpoint[0]} out: the base URL ends before it.")
    return path


def _in_ascii(host: str) -> str:
    try:
        plain = host.encode("idna").decode()
    except UnicodeError:
        return "The host has letters that no name can have. Write it as https://llm.example.com/v1."
    return f"Write the host in plain letters, as {plain}: different letters can look the same."
