"""Where an organisation may send its calls: every bad address is refused by name, with what to write instead (E13)."""

import socket
from typing import Any

import pytest

from accounts.base_urls import BadBaseUrl, check_elsewhere, check_resolves, normalized

GOOD = [
    ("https://llm.example.com/v1", "https://llm.example.com/v1"),
    ("  https://LLM.Example.com/v1/ ", "https://llm.example.com/v1"),
    ("https://llm.example.com", "https://llm.example.com"),
    ("https://llm.example.com:443/v1", "https://llm.example.com/v1"),
    ("https://llm.example.com:8443/v1", "https://llm.example.com:8443/v1"),
    ("https://llm.example.com./v1", "https://llm.example.com/v1"),
    ("https://acme.openai.azure.com/openai/v1", "https://acme.openai.azure.com/openai/v1"),
    ("https://xn--bcher-kva.example/v1", "https://xn--bcher-kva.example/v1"),
]
BAD = [
    ("http://llm.example.com/v1", "https://"),
    ("ftp://llm.example.com/v1", "Begin with https://"),
    ("llm.example.com/v1", "Begin with https://"),
    ("https:///v1", "Begin with https://"),
    ("", "Begin with https://"),
    ("javascript:alert(1)", "Begin with https://"),
    ("https://user:secret@llm.example.com/v1", "user name"),
    ("https://openai.com@evil.example/v1", "user name"),
    ("https://llm.example.com/v1#frag", "? or #"),
    ("https://llm.example.com/v1?key=1", "? or #"),
    ("https://llm.example.com/v1?", "? or #"),
    ("https://llm.example.com/v1/chat/completions", "/chat/completions"),
    ("https://llm.example.com/v1/models", "/models"),
    ("https://llm.example.com/v1/../admin", "path"),
    ("https://llm.example.com//v1", "path"),
    ("https://llm.example.com/%2e%2e/v1", "path"),
    ("https://llm.example.com/v1;x", "path"),
    ("https://llm.example.com:80/v1", "Port 80"),
    ("https://llm.example.com:22/v1", "Port 22"),
    ("https://llm.example.com:0/v1", "port"),
    ("https://llm.example.com:/v1", "port"),
    ("https://llm.example.com:99999/v1", "port"),
    ("https://llm.example.com:x/v1", "port"),
    ("https://llm example.com/v1", "spaces"),
    ("https://llm.example.com\\@evil.example/v1", "backslashes"),
    ("https://llm.example.com/v1\nHost: x", "spaces"),
    ("https://" + "a" * 300 + ".example", "300"),
    ("https://bücher.example/v1", "xn--bcher-kva.example"),
    ("https://оpenai.com/v1", "xn--"),
    ("https://１２７.0.0.1/v1", "plain letters"),
    ("https://127。0。0。1/v1", "plain letters"),
    ("https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/v1", "plain letters"),
    ("https://llm.example.com../v1", "not a name"),
    ("https://-bad.example/v1", "not a name"),
    ("https://a..example/v1", "not a name"),
]
# Every spelling of this machine, its network and a cloud's metadata.
INNER = [
    "localhost", "LOCALHOST", "localhost.", "api.localhost", "printer.local", "metadata.google.internal", "db.internal",
    "router.lan", "intranet", "127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
    "017700000001", "169.254.169.254", "2852039166", "0xa9fea9fe", "10.0.0.1", "100.64.0.1", "8.8.8.8", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[fe80::1%25eth0]", "[fd00:ec2::254]",
]  # fmt: skip


@pytest.mark.parametrize(("typed", "kept"), GOOD)
def test_a_base_url_is_kept_in_one_form(typed: str, kept: str) -> None:
    assert normalized(typed, allow_private=False) == kept
    assert normalized(kept, allow_private=False) == kept


@pytest.mark.parametrize(("typed", "says"), BAD)
def test_a_bad_base_url_is_refused_with_the_remedy(typed: str, says: str) -> None:
    with pytest.raises(BadBaseUrl) as bad:
        normalized(typed, allow_private=False)
    assert says in str(bad.value)


@pytest.mark.parametrize("host", INNER)
def test_no_spelling_of_an_inner_address_is_taken(host: str) -> None:
    """E13."""
    with pytest.raises(BadBaseUrl) as bad:
        normalized(f"https://{host}/v1", allow_private=False)
    assert "SHREDDER_ALLOW_PRIVATE_UPSTREAMS" in str(bad.value)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://vllm:80/v1", "http://vllm/v1"),
        ("https://10.1.2.3/v1", "https://10.1.2.3/v1"),
    ],
)
def test_an_operator_can_let_private_addresses_in(typed: str, kept: str) -> None:
    assert normalized(typed, allow_private=True) == kept


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1%25eth0]", "[fd00:ec2::254]"])
def test_a_clouds_metadata_is_refused_whatever_the_operator_allows(host: str) -> None:
    with pytest.raises(BadBaseUrl):
        normalized(f"http://{host}/v1", allow_private=True)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1"])
def test_an_odd_notation_is_refused_also_where_private_addresses_are_allowed(host: str) -> None:
    with pytest.raises(BadBaseUrl, match="usual form"):
        normalized(f"http://{host}/v1", allow_private=True)


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every host lead to these addresses; none: to nothing."""

    def getaddrinfo(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        if not addresses:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.7"], ["169.254.169.254"], ["::ffff:127.0.0.1"], ["::1"]]
)
def test_a_public_name_that_leads_inside_is_refused_when_it_is_saved(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    """E13."""
    answering(monkeypatch, *addresses)
    with pytest.raises(BadBaseUrl, match="leads to"):
        check_resolves("https://llm.example.com/v1", allow_private=False)


def test_a_name_that_leads_outside_or_nowhere_yet_may_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "93.184.216.34")
    check_resolves("https://llm.example.com/v1", allow_private=False)
    answering(monkeypatch)
    check_resolves("https://llm.example.com/v1", allow_private=False)


def test_a_key_never_travels_unencrypted_through_the_public_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "93.184.216.34")
    with pytest.raises(BadBaseUrl, match="https://"):
        check_resolves("http://llm.example.com/v1", allow_private=True)
    answering(monkeypatch, "192.168.1.5")
    check_resolves("http://llm.example.com/v1", allow_private=True)


def test_metadata_is_refused_when_it_hides_behind_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "169.254.169.254")
    with pytest.raises(BadBaseUrl):
        check_resolves("http://metadata/v1", allow_private=True)


@pytest.mark.parametrize("base_url", ["https://shredder.example.com", "https://shredder.example.com/proxy/v1"])
def test_the_address_of_this_installation_is_no_providers(base_url: str) -> None:
    with pytest.raises(BadBaseUrl, match="AWX Shredder itself"):
        check_elsewhere(base_url, site_url="https://shredder.example.com:443")


@pytest.mark.parametrize("base_url", ["https://shredder.example.com:8443/v1", "https://llm.example.com/v1"])
def test_another_port_or_host_may_be_a_providers(base_url: str) -> None:
    check_elsewhere(base_url, site_url="https://shredder.example.com")
