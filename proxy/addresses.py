"""Which addresses an upstream may have: only those of the public internet (docs/proxy.md, "Where calls may go")."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

# These carry an IPv4 address inside and pass `is_global`, so what they carry would be reached unseen.
_NAT64 = IPv6Network("64:ff9b::/96")
_DENIED = (IPv6Network("64:ff9b:1::/48"), IPv6Network("2002::/16"), IPv6Network("2001::/32"), IPv6Network("3fff::/20"))


def is_public(text: str) -> bool:
    """Whether the address is one of the public internet; text that is no address is not.

    text: an IPv4 or IPv6 address as the resolver gives it, a zone included.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    return _is_public_v6(address)


def _is_public_v6(address: IPv6Address) -> bool:
    if address.ipv4_mapped is not None:
        return _is_public_v4(address.ipv4_mapped)
    if address in _NAT64 or any(address in network for network in _DENIED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_site_local)


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved)
