"""The one way out of pages and tasks: dials only addresses that were checked, follows no redirect, uses no proxy.

The calls of agents leave through `proxy.upstream`, which keeps the same rules.
"""

import asyncio

import httpx
from django.conf import settings

from accounts.addresses import resolve

TIMEOUT_SECONDS = 10  # for each step
TOTAL_SECONDS = 15  # for all of them: an answer may come byte by byte
ADDRESSES_MAX = 4


def status_of(method: str, url: str, headers: dict[str, str], content: bytes | None = None) -> int:
    """Send one request and return the status of its answer, whose body is not read.

    url: its host in plain letters, which are taken as they are: read as other letters, and those written back, they
    can be somebody else's name. Raises addresses.AddressRefused before any byte has left, httpx.HTTPError or OSError
    when nobody answers.
    """
    whole = httpx.URL(url)
    port = whole.port or (443 if whole.scheme == "https" else 80)
    addresses = resolve(_host(whole), port, allow_private=settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS)
    return asyncio.run(_first_status(method, whole, addresses[:ADDRESSES_MAX], headers, content))


async def _first_status(
    method: str, url: httpx.URL, addresses: list[str], headers: dict[str, str], content: bytes | None
) -> int:
    """The status from the first address that takes the connection."""
    try:
        async with (
            asyncio.timeout(TOTAL_SECONDS),
            httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False) as client,
        ):
            for address in addresses:
                try:
                    return await _status_at(client, method, url, address, headers, content)
                except httpx.ConnectError:
                    continue
    except TimeoutError:
        raise httpx.ReadTimeout("the answer did not come in time") from None
    raise httpx.ConnectError("no address answered")


async def _status_at(
    client: httpx.AsyncClient, method: str, url: httpx.URL, address: str, headers: dict[str, str],
    content: bytes | None,
) -> int:  # fmt: skip
    """Dial the address itself, so that no second look-up can differ; the name stays in Host and TLS."""
    named = {**headers, "Host": url.netloc.decode()}
    extensions = {"sni_hostname": _host(url)}
    dialled = url.copy_with(host=address)
    async with client.stream(method, dialled, headers=named, content=content, extensions=extensions) as response:
        # Only the status is read: the body is somebody else's and could be large.
        return response.status_code


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode()
