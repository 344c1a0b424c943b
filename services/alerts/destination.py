"""Decides which addresses a webhook may go to: public ones by https, and what the operator has listed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NoReturn

from yarl import URL

from shared.errors import Fault, Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_MAX_LENGTH: Final = 2048
REMEMBERED: Final = 1_000  # URLs that were read before: there are as many as endpoints
# Whole blocks are refused that are not plain public unicast.
# Source: IANA special-purpose address registries for IPv4 and IPv6, and the addresses of cloud metadata services.
REFUSED: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "2620:4f:8000::/48",
    )
)
# Of IPv6 only this is global unicast: mapped, compatible, NAT64, unique local, link-local, multicast lie outside.
GLOBAL_IPV6: Final = ip_network("2000::/3")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_AUTHORITY: Final = re.compile(r"[^:]*://([^/?#]*)")
_PORT: Final = re.compile(r":([^\]:]*)$")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f\\<>\"`{}|^]")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows beyond public https: networks, and plain http to anywhere."""

    allowed: tuple[Network, ...] = ()
    allow_http: bool = False

    def lists(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.allowed)


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that has the right form; `address` is set if its host is an IP literal."""

    url: URL
    host: str
    port: int
    address: Address | None

    @property
    def plain(self) -> bool:
        return self.url.scheme == "http"


@lru_cache(maxsize=REMEMBERED)
def destination(text: str) -> Destination:
    """The destination that `text` names. Raises Invalid: a scheme, host or port that no webhook has."""
    if len(text) > URL_MAX_LENGTH:
        _refuse(f"longer than {URL_MAX_LENGTH} characters")
    if _FORBIDDEN.search(text):
        _refuse("holds a space, backslash, control or other forbidden character")
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError as error:
        _refuse(f"not a URL: {error}")
    if url.scheme not in ("http", "https"):
        _refuse("the scheme is neither https nor http")
    _check_authority(text)
    if not host or not port:
        _refuse("no host, or port 0")
    if url.raw_fragment:
        _refuse("a fragment is never sent")
    if host.rstrip(".").rpartition(".")[2].isdecimal() and not host.isascii():
        _refuse("the host ends in digits of another script")
    name, address = _host(url.raw_host or "")
    return Destination(url, name, port, address)


def check(addresses: Iterable[Address], policy: Policy, *, plain: bool) -> None:
    """Refuses a host unless every one of its `addresses` may be reached, by `plain` http or not. Raises Invalid."""
    found = list(addresses)
    if not found:
        _refuse("the name has no address")
    for address in found:
        listed = policy.lists(address)
        if not listed and not is_public(address):
            _refuse(f"{address} is not a public address")
        if plain and not listed and not policy.allow_http:
            _refuse("plain http is not allowed; use https")


def is_public(address: Address) -> bool:
    """Whether anyone on the internet may be meant by `address`."""
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address not in GLOBAL_IPV6):
        return False
    return not any(address.version == network.version and address in network for network in REFUSED)


def _check_authority(text: str) -> None:
    """What stands between the scheme and the path, as it was written: libraries forgive what people cannot read."""
    written = _AUTHORITY.match(text)
    authority = written[1] if written else ""
    if "@" in authority:
        _refuse("a user name or password in a URL is not taken")
    port = _PORT.search(authority)
    if port is not None and not (port[1].isascii() and (port[1].isdecimal() or not port[1])):
        _refuse("the port is no number in plain digits")


def _host(raw: str) -> tuple[str, Address | None]:
    """The host as it will be connected to, and its address if it is a literal in the usual spelling."""
    host = raw.lower()
    try:
        return host, ip_address(host)
    except ValueError:
        pass
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        _refuse("the host is no name of the DNS")
    if _NUMBER.fullmatch(labels[-1]):
        _refuse("the host is an unusual spelling of an IP address")
    return host, None


def _refuse(detail: str) -> NoReturn:
    raise Invalid([Fault("url", "destination", detail)])
