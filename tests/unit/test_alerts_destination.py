"""Where webhooks may go: hostile spellings, special addresses, and what an operator lists."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.destination import Policy, check, destination, is_public
from shared.errors import Invalid
from tests.unit.alerts_urls import ROWS, USUAL, Row

PUBLIC = Policy()
LOCAL = Policy(allowed=(ip_network("127.0.0.1/32"),))
ANY_HTTP = Policy(allow_http=True)


def refused(url: str, policy: Policy, addresses: Iterable[str] = (USUAL,)) -> str | None:
    """Why `url` may not be reached; None if it may. A name stands for `addresses`."""
    try:
        goal = destination(url)
        found = [ip_address(text) for text in addresses] if goal.address is None else [goal.address]
        check(found, policy, plain=goal.plain)
    except Invalid as error:
        return error.faults[0].detail
    return None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ascii(row.url))
def test_each_url_of_the_table_is_refused_or_taken_as_it_says(row: Row) -> None:
    assert (refused(row.url, PUBLIC, row.addresses) is None) is row.taken


def test_the_table_is_long_and_has_no_doubles() -> None:
    assert len(set(ROWS)) == len(ROWS) >= 300
    assert sum(not row.taken for row in ROWS) >= 250


@pytest.mark.parametrize("row", [row for row in ROWS if row.taken], ids=lambda row: ascii(row.url))
def test_a_library_that_reads_the_url_afresh_goes_to_the_host_that_was_checked(row: Row) -> None:
    goal = destination(row.url)
    again = destination(str(goal.url))
    assert (again.host, again.port, again.address) == (goal.host, goal.port, goal.address)
    if goal.host.isascii() and row.url.isascii():
        assert urlsplit(row.url).hostname == goal.host


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{:d}", "{:#x}", "0{:o}"]), st.integers(1, 4))
def test_no_unusual_spelling_of_any_address_is_taken(number: int, form: str, parts: int) -> None:
    """The first parts one octet each, the last all that is left, as inet_aton reads them."""
    octets = list(number.to_bytes(4))
    values = [*octets[: parts - 1], int.from_bytes(octets[parts - 1 :])]
    host = ".".join(form.format(value) for value in values)
    if host != str(ip_address(number)):
        assert refused(f"https://{host}/", Policy((ip_network("0.0.0.0/0"),), allow_http=True)) is not None


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
