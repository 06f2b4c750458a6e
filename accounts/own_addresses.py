"""Which addresses are this machine's own, public ones included: what listens there was not meant for tenants."""

import socket
from ipaddress import ip_address

# Of the documentation (RFC 5737, RFC 3849): no machine has them.
_NOBODYS = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def is_own(text: str) -> bool:
    """Tell whether an IP address is that of an interface of this machine.

    The kernel is asked, which binds sockets to no other address. Where it was told to bind any (ip_nonlocal_bind) it
    cannot be asked, and no address counts as own.
    """
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if address.version == 6 else None
    family = socket.AF_INET if address.version == 4 or mapped else socket.AF_INET6
    return _binds(family, str(mapped or address)) and not _binds(family, _NOBODYS[family])


def _binds(family: socket.AddressFamily, address: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.bind((address, 0))
    except OSError:
        return False
    return True
