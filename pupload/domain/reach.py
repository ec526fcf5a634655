"""
Which addresses the server may be sent to by those who describe flows.

Whoever names a host makes the server talk to it, from where the server stands: beside the machine's metadata service,
and inside a network that strangers do not see. A name proves nothing, for it may resolve to anything, and to something
else a moment later; so addresses are judged, those that are really connected to.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = "a metadata service's address"

_NEVER = tuple(
    (ipaddress.ip_network(network), why)
    for why, networks in {
        "no host's address": ("0.0.0.0/8", "240.0.0.0/4", "::/128", "::/96"),
        _METADATA: (
            *("169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32"),  # Amazon, Google, Azure and most others
            *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),  # Alibaba, Azure's host, Oracle
            *("fd00:ec2::/32", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128"),
        ),
        "a link-local address": ("169.254.0.0/16", "fe80::/10"),
        "a multicast address": ("224.0.0.0/4", "ff00::/8"),
        "a translator's address": ("64:ff9b:1::/48",),  # which leads to an IPv4 address that cannot be told from it
    }.items()
    for network in networks
)
_OWN = tuple(ipaddress.ip_network(network) for network in ("100.64.0.0/10", "fec0::/10"))
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator allows."""

    private: bool = False
    """Whether the server's own network and its own machine (loopback) may be reached."""

    def objection(self, address: str) -> str | None:
        """What `address`, as sockets tell it, is that the server must not be sent to; None where it may."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return "no address"
        return next(filter(None, map(self._judge, _meant(found))), None)

    def _judge(self, address: Address) -> str | None:
        if not address.is_loopback:
            for network, why in _NEVER:
                if address in network:
                    return why
        if self.private:
            return None
        if address.is_loopback:
            return "an address of this machine itself"
        if not address.is_global or any(address in network for network in _OWN):
            return "an address of a private network"
        return None


def _meant(address: Address) -> Iterator[Address]:
    """The address, and those in IPv4 that it carries to its way's end."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            yield address.ipv4_mapped
            return
        if address in _TRANSLATED:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
    yield address


def spelled(host: str) -> str | None:
    """
    The address that `host` spells out, None where it is a name.

    In every spelling that resolvers read: `[::1]`, `127.1`, `0x7f000001`, `0177.0.0.1`, `2130706433`.
    """
    bare = host.removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return _spelled_in_numbers(bare.split("."))


def _spelled_in_numbers(pieces: list[str]) -> str | None:
    """Up to four numbers, of which the last fills all bytes that are left."""
    if len(pieces) > 4 or not all(piece.isascii() and _NUMBER(piece) for piece in pieces):
        return None
    try:
        *first, last = (_number(piece) for piece in pieces)
    except ValueError:  # a digit that octal numbers do not have
        return None
    if any(one > 255 for one in first) or last >= 256 ** (4 - len(first)):
        return None
    high = sum(one << 8 * (3 - place) for place, one in enumerate(first))
    return str(ipaddress.IPv4Address(high + last))


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text, 8 if text[0] == "0" else 10)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
