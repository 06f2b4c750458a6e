"""Our own requests, of pages and of calls, never reach this machine, its network or a cloud's metadata."""

import socket

import pytest

from accounts.addresses import AddressRefused, is_public, may_dial, resolve
from accounts.own_addresses import is_own

PUBLIC = """
1.1.1.1 8.8.8.8 9.9.9.9 52.84.1.1 104.18.6.192 142.250.74.106 160.79.104.10 172.15.255.255 172.32.0.1 192.167.255.255
192.169.0.1 100.63.255.255 100.128.0.1 169.253.1.1 198.17.0.1 223.255.255.254 11.0.0.1
2606:4700::6812:7c0 2001:4860:4860::8888 2a00:1450:4001:80b::200a 2620:fe::fe ::ffff:8.8.8.8
""".split()  # noqa: SIM905 (a table reads better as text)

NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.1.2.3 169.254.0.1 169.254.169.254
172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1
203.0.113.7 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 fe80::1 fe80::1%eth0 fec0::1 fc00::1 fd12:3456::1 ff02::1 ff0e::1 100::1 2001:db8::1 3fff::1
::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:100.64.0.1 ::ffff:224.0.0.1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::1 2002:7f00:1:: 2002:a9fe:a9fe::1 2001:0:1::1 2001::1
""".split()  # noqa: SIM905 (a table reads better as text)

NO_ADDRESS = ["", "localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "[::1]", "1.1.1.1.", "１.1.1.1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_may_be_called(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_private_reserved_or_translated_address_may_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("text", NO_ADDRESS)
def test_text_that_is_no_plain_address_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f000001", "::1"])
def test_every_spelling_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        resolve(host, 443, allow_private=False)


def test_operator_may_allow_private_addresses() -> None:
    assert resolve("127.0.0.1", 443, allow_private=True) == ["127.0.0.1"]


METADATA = """
169.254.169.254 169.254.170.2 ::ffff:169.254.169.254 ::ffff:a9fe:aa02 fd00:ec2::254 fe80::1 fe80::a9fe:a9fe%eth0
100.100.100.200 168.63.129.16 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 ::a9fe:a9fe
fd20:ce::254 fd00:42::42 192.0.0.192 ::ffff:0:a9fe:a9fe 64:ff9b:1::a9fe:a9fe 64:ff9b:1:7::a9fe:a9fe
""".split()  # noqa: SIM905 (a table reads better as text)


@pytest.mark.parametrize("address", METADATA)
@pytest.mark.parametrize("allow_private", [True, False])
def test_a_clouds_metadata_is_never_dialled(address: str, allow_private: bool) -> None:
    """E13."""
    assert not may_dial(address, allow_private=allow_private)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fd12::1", "192.168.0.9", "1.1.1.1"])
def test_what_the_operator_allows_may_be_dialled(address: str) -> None:
    assert may_dial(address, allow_private=True)
    assert may_dial(address, allow_private=False) is (address == "1.1.1.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_an_address_of_this_machine_is_its_own(address: str) -> None:
    assert is_own(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "::ffff:1.1.1.1", "2606:4700::6812:7c0"])
def test_an_address_of_another_machine_is_not(address: str) -> None:
    assert not is_own(address)


def test_nothing_counts_as_own_where_the_kernel_binds_any_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "bind", lambda self, where: None)
    assert not is_own("1.1.1.1")
    assert not is_own("2606:4700::6812:7c0")


def test_a_public_address_of_this_machine_is_not_dialled_unless_the_operator_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """E13."""
    monkeypatch.setattr("accounts.addresses.is_own", lambda address: address == "1.1.1.1")
    assert not may_dial("1.1.1.1", allow_private=False)
    assert may_dial("1.1.1.1", allow_private=True)
    assert may_dial("8.8.8.8", allow_private=False)
