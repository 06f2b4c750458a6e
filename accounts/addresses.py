"""Which addresses our own requests may go to: never this machine, its network or a cloud's metadata."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from accounts.own_addresses import is_own

# Ranges that carry an IPv4 address inside, or that `is_global` calls global although they lead nowhere public.
_DENIED = tuple(
    ip_network(name)
    for name in (
        "100.64.0.0/10", "192.88.99.0/24",
        "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "3fff::/20", "fec0::/10",
    )
)  # fmt: skip

# Never dialled, whatever the operator allows: clouds tell their secrets there to whoever asks. Most use the link's own
# addresses; the others are those of Alibaba, Azure, Oracle, Amazon, Google and Scaleway.
_METADATA = tuple(
    ip_network(name)
    for name in (
        "169.254.0.0/16", "fe80::/10", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",
        "fd00:ec2::/32", "fd20:ce::254/128", "fd00:42::42/128",
    )
)  # fmt: skip
# What stands before an IPv4 address in an IPv6 one: compatible, translated, NAT64.
_PREFIXES = frozenset({0, 0xFFFF << 16, 0x64FF9B << 64})
_LOCAL_NAT64 = ip_network("64:ff9b:1::/48")


class AddressRefused(Exception):
    """The host leads to an address that is not public."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"{host} leads to {address}, which is not a public address")
        self.host = host
        self.address = address


def is_public(text: str) -> bool:
    """Tell whether an IP address belongs to the public internet; text that is no plain address does not.

    text: an IPv4 or IPv6 address as the resolver gives it, a zone included.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return is_public(str(address.ipv4_mapped))
    return _is_plainly_public(address) and not any(
        address in network for network in _DENIED if network.version == address.version
    )


def may_dial(text: str, *, allow_private: bool) -> bool:
    """Tell whether a request may go to an IP address.

    allow_private: the operator lets requests into this machine and its network; into a cloud's metadata never.
    """
    if not allow_private:
        return is_public(text) and not _is_metadata(text) and not is_own(text)
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return not (_is_metadata(text) or address.is_multicast)


def resolve(host: str, port: int, *, allow_private: bool) -> list[str]:
    """Return the addresses of a host; raises AddressRefused if any may not be dialled, OSError if there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not may_dial(address, allow_private=allow_private):
            raise AddressRefused(host, address)
    return addresses


def _is_metadata(text: str) -> bool:
    """Whether an address is a cloud's metadata, also one that carries it inside."""
    address = ip_address(text.partition("%")[0])
    inner = _carried(address) if isinstance(address, IPv6Address) else None
    if inner is not None:
        return _is_metadata(str(inner))
    return any(address in network for network in _METADATA if network.version == address.version)


def _carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside an IPv6 one: mapped, compatible, translated, 6to4, NAT64."""
    if address.ipv4_mapped is not None or address.sixtofour is not None:
        return address.ipv4_mapped or address.sixtofour
    value = int(address)
    is_inside = (value >> 32 in _PREFIXES or address in _LOCAL_NAT64) and value > 0xFFFF
    return IPv4Address(value & 0xFFFFFFFF) if is_inside else None


def _is_plainly_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
