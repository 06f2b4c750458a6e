"""The one way out of pages and tasks: dials only addresses that were checked, follows no redirect, uses no proxy.

The calls of agents leave through `proxy.upstream`, which keeps the same rules.
"""

import httpx
from django.conf import settings

from accounts.addresses import resolve

TIMEOUT_SECONDS = 10
ADDRESSES_MAX = 4


def status_of(method: str, url: str, headers: dict[str, str], content: bytes | None = None) -> int:
    """Send one request and return the status of its answer, whose body is not read.

    Raises addresses.AddressRefused before any byte has left, httpx.HTTPError or OSError when nobody answers.
    """
    whole = httpx.URL(url)
    port = whole.port or (443 if whole.scheme == "https" else 80)
    addresses = resolve(whole.host, port, allow_private=settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS)
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False) as client:
        for address in addresses[:ADDRESSES_MAX]:
            try:
                return _status_at(client, method, whole, address, headers, content)
            except httpx.ConnectError:
                continue
    raise httpx.ConnectError("no address answered")


def _status_at(
    client: httpx.Client, method: str, url: httpx.URL, address: str, headers: dict[str, str], content: bytes | None
) -> int:
    """Dial the address itself, so that no second look-up can differ; the name stays in Host and TLS."""
    named = {**headers, "Host": url.netloc.decode()}
    extensions = {"sni_hostname": url.host}
    dialled = url.copy_with(host=address)
    with client.stream(method, dialled, headers=named, content=content, extensions=extensions) as response:
        # Only the status is read: the body is somebody else's and could be large.
        return response.status_code
