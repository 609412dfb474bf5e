"""Where a webhook may lead: to public addresses by https, and to those that a setting allows (SSRF, OWASP).

Promises that addresses are judged after the name was looked up, however it is written, and that the caller gets those that
were judged, to connect to them and to no other.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from cloud.errors import StartError
from cloud.notifications.failures import Undelivered

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LookUp = Callable[..., Sequence[Any]]
"""`socket.getaddrinfo`."""

NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that is meant."""


@dataclass(frozen=True)
class Allowed:
    """Networks and hosts beside the public ones, which may also be spoken to without TLS."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str) -> "Allowed":
        """From `10.1.0.0/16,chat.lan`. StartError where one is neither a network nor a name."""
        networks: list[Network] = []
        hosts: set[str] = set()
        for each in filter(None, (part.strip().lower() for part in text.split(","))):
            try:
                networks.append(ipaddress.ip_network(each))
            except ValueError:
                if "/" in each or ":" in each or each.replace(".", "").isdecimal():
                    raise StartError(
                        f"ROOMLINK_WEBHOOK_ALLOW names {each}, which is neither a network nor a host; an example is "
                        "ROOMLINK_WEBHOOK_ALLOW=10.1.0.0/16,chat.lan"
                    ) from None
                hosts.add(each)
        return cls(tuple(networks), frozenset(hosts))

    def takes(self, host: str, address: Address) -> bool:
        """Whether this address of this host is allowed expressly."""
        return host in self.hosts or any(address in network for network in self.networks)


def parse(url: str) -> SplitResult:
    """The parts of a webhook's URL. ValueError with a code of the catalogues where it is none that we take."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("url") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("url")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url_password")
    if parts.fragment:
        raise ValueError("url_fragment")
    return parts


def judged(host: str, port: int, allowed: Allowed, *, tls: bool, look_up: LookUp = socket.getaddrinfo) -> list[str]:
    """The addresses of a host, all of which may be connected to. Undelivered where one may not, or there is none."""
    try:
        found = look_up(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Undelivered("host_unknown", host=host) from error
    written = list(dict.fromkeys(str(each[4][0]) for each in found))
    addresses = [meant(ipaddress.ip_address(each)) for each in written]
    if not addresses:
        raise Undelivered("host_unknown", host=host)
    for address in addresses:
        if allowed.takes(host, address):
            continue
        if not is_public(address):
            raise Undelivered("private_address", final=True, host=host)
        if not tls:
            raise Undelivered("https_needed", final=True)
    return written


def meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), or itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could be meant (IANA's special-purpose registries), and one machine only.

    Of IPv6 nothing outside of what is given out is (RFC 4291, section 2.4): Python calls a site's own addresses (fec0::/10) and
    such as hold an IPv4 one (::/96, 64:ff9b:1::/48) global.
    """
    if isinstance(address, ipaddress.IPv6Address) and (address.is_site_local or address.is_reserved):
        return False
    return address.is_global and not address.is_multicast
