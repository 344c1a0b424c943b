"""Where webhooks may go: hostile spellings, special addresses, and what an operator lists."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from services.alerts.destination import Policy, check, destination, is_public
from shared.errors import Invalid

PUBLIC = Policy()
LOCAL = Policy(allowed=(ip_network("127.0.0.1/32"),))
ANY_HTTP = Policy(allow_http=True)

HOSTILE = """
http://example.com/
ftp://example.com/
file:///etc/passwd
gopher://127.0.0.1:6379/_FLUSHALL
//example.com/
example.com
https://
https:///path
https://:443/
https://user:password@example.com/
https://example.com@10.0.0.1/
https://@example.com/
https://example.com:0/
https://example.com:65536/
https://example.com:port/
https://example.com/#fragment
https://exa mple.com/
https://example.com\\@10.0.0.1/
https://example.com\\.evil.example/
https://example.com%00.evil.example/
https://%31%32%37.0.0.1/
https://127.0.0.1/
https://127.0.0.1:8080/admin
https://127.1/
https://127.0.1/
https://127.255.255.254/
https://2130706433/
https://0x7f000001/
https://0x7f.1/
https://0x7f.0x0.0x0.0x1/
https://0177.0.0.1/
https://017700000001/
https://0/
https://0.0.0.0/
https://127.0.0.1./
https://1.2.3/
https://1.2.3.4.5/
https://256.256.256.256/
https://①②⑦.⓪.⓪.①/
https://127。0。0。1/
https://10.0.0.1/
https://10.255.255.255/
https://172.16.0.1/
https://172.31.255.255/
https://192.168.0.1/
https://192.168.255.255/
https://100.64.0.1/
https://100.127.255.255/
https://169.254.169.254/latest/meta-data/
https://169.254.170.2/
https://168.63.129.16/
https://192.0.0.192/
https://192.0.2.1/
https://192.88.99.1/
https://198.18.0.1/
https://198.51.100.1/
https://203.0.113.1/
https://224.0.0.1/
https://239.255.255.255/
https://240.0.0.1/
https://255.255.255.255/
https://[::1]/
https://[::]/
https://[0:0:0:0:0:0:0:1]/
https://[::ffff:127.0.0.1]/
https://[::ffff:7f00:1]/
https://[::ffff:10.0.0.1]/
https://[::ffff:8.8.8.8]/
https://[::127.0.0.1]/
https://[64:ff9b::7f00:1]/
https://[64:ff9b::a9fe:a9fe]/
https://[64:ff9b:1::1]/
https://[2002:7f00:1::]/
https://[2001::1]/
https://[2001:db8::1]/
https://[3fff::1]/
https://[100::1]/
https://[fc00::1]/
https://[fd00:ec2::254]/
https://[fe80::1]/
https://[fe80::1%25eth0]/
https://[fec0::1]/
https://[ff02::1]/
https://[::1
https://[not-an-address]/
https://-example.com/
https://example-.com/
https://exa_mple..com/
https://.example.com/
https://example.com../
""".split("\n")[1:-1]


def refused(url: str, policy: Policy) -> str | None:
    """Why `url` may not be reached; None if it may. A name stands for a public address."""
    try:
        goal = destination(url)
        check([goal.address or ip_address("8.8.8.8")], policy, plain=goal.plain)
    except Invalid as error:
        return error.faults[0].detail
    return None


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused(url: str) -> None:
    assert refused(url, PUBLIC) is not None


def test_the_table_of_hostile_urls_is_long_and_has_no_doubles() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 60


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://example.com",
        "https://EXAMPLE.com:8443/hook?key=a%20b",
        "https://example.com./",
        "https://xn--bcher-kva.example/",
        "https://bücher.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://hooks_1.example.com/",
        "https://3com.example/",
        "https://0x7f.example/",
    ],
)
def test_a_public_destination_is_taken(url: str) -> None:
    assert refused(url, PUBLIC) is None


def test_what_is_listed_may_be_reached_also_by_plain_http_and_nothing_else_is() -> None:
    assert refused("http://127.0.0.1:8060/webhooks", LOCAL) is None
    assert refused("https://127.0.0.1/", LOCAL) is None
    assert refused("http://127.0.0.2/", LOCAL) is not None
    assert refused("http://example.com/", LOCAL) is not None
    assert refused("https://[::ffff:127.0.0.1]/", LOCAL) is not None


def test_plain_http_may_be_allowed_and_opens_no_private_address() -> None:
    assert refused("http://example.com/", ANY_HTTP) is None
    assert refused("http://10.0.0.1/", ANY_HTTP) is not None


def test_one_private_address_among_public_ones_is_enough_to_refuse_a_name() -> None:
    addresses = [ip_address("8.8.8.8"), ip_address("10.0.0.1")]
    with pytest.raises(Invalid):
        check(addresses, PUBLIC, plain=False)


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(Invalid):
        check([], PUBLIC, plain=False)


def test_a_url_that_is_too_long_is_refused() -> None:
    assert refused("https://example.com/" + "a" * 2048, PUBLIC) is not None


@pytest.mark.parametrize("text", ["1.1.1.1", "8.8.8.8", "203.0.112.255", "2606:4700::1", "2a00:1450:4001::1"])
def test_addresses_of_the_internet_are_public(text: str) -> None:
    assert is_public(ip_address(text))
