"""
What the node types share that ask the web: not this machine, its neighbours, or a cloud's metadata service.

Names are looked up here, every address that comes of it must be public, and the connection is made to the very address
that was looked at, so that a name cannot mean one thing when it is judged and another when it is used.
"""

import http.client
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

import node

CHUNK = 1 << 16
REDIRECTS = (301, 302, 303, 307, 308)
WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)
PORTS = (80, 443)
LONGEST_SILENCE_SECONDS = 20


class Late(Exception):
    """The time is over."""


def time_is_over(*_: object) -> NoReturn:
    """What the alarm does, whatever is waited for: a name, a connection, a handshake, a header, the body."""
    raise Late


def parts_of(url: str, *, any_port: bool) -> SplitResult:
    """The parts of a URL that may be asked for; ends the node where it may not."""
    if not re.fullmatch(r"[!-~]{1,8000}", url):
        node.die(node.WRONG_FLAG, "flag url must be a URL of printable ASCII; write other letters as %XX")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        node.die(node.WRONG_FLAG, "flag url must be a URL such as https://example.org/file")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        node.die(node.WRONG_INPUT, "only http:// and https:// are fetched, and it must name a host")
    if parts.username is not None or "\\" in url:
        node.die(
            node.WRONG_INPUT, "a URL with a user name or a backslash is not fetched: it may not be what it looks like"
        )
    if port is not None and port not in PORTS and not any_port:
        node.die(node.WRONG_INPUT, f"port {port} is neither 80 nor 443; set any_port if that is right")
    return parts


def shown(parts: SplitResult) -> str:
    """The URL without its query, which may let in whoever has it."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def addresses(host: str, port: int) -> list[str]:
    """Where the host is; ends the node where any of it is no public address."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        node.die(node.FAILED, f"there is no {host}, or no network to look for it ({error})")
    told = [str(each[4][0]).partition("%")[0] for each in found]
    for address in told:
        if not public(address):
            node.die(
                node.WRONG_INPUT,
                f"{host} is {address}, which is not a public address, so nothing is fetched from there",
            )
    return told


def public(address: str) -> bool:
    """Whether the address is of the public internet, and hides none that is not."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = [parsed.ipv4_mapped, parsed.sixtofour, *(parsed.teredo or ())]
        # The prefixes by which translators reach IPv4.
        if parsed in ipaddress.ip_network("64:ff9b::/96") or int(parsed) >> 32 == 0:
            inner.append(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF))
        if parsed in ipaddress.ip_network("64:ff9b:1::/48") or any(each and not _plain(each) for each in inner):
            return False
        if parsed.ipv4_mapped is not None:
            return True
    return _plain(parsed)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def trust() -> ssl.SSLContext:
    """Whom a server may name to prove who it is: the authorities of the image, and those that were given."""
    context = ssl.create_default_context()
    if os.environ.get("INPUT_AUTHORITIES"):
        given = node.source("INPUT_AUTHORITIES")
        try:
            context.load_verify_locations(cafile=given)
        except (ssl.SSLError, OSError):
            node.die(node.WRONG_INPUT, "input authorities holds no certificates that can be read; give them as PEM")
    return context


def connected(found: list[str], port: int) -> socket.socket:
    """A connection to the first of the addresses that takes one; raises what the last said."""
    last: OSError = OSError("no address")
    for address in found:
        try:
            return socket.create_connection((address, port), timeout=LONGEST_SILENCE_SECONDS)
        except OSError as error:
            last = error
    raise last


def asked(
    parts: SplitResult,
    trusted: ssl.SSLContext,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> http.client.HTTPResponse:
    """The answer to a request, from the first address that takes the connection."""
    host = str(parts.hostname)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = http.client.HTTPConnection(host, port)
    connection.sock = connected(addresses(host, port), port)
    if parts.scheme == "https":
        connection.sock = trusted.wrap_socket(connection.sock, server_hostname=host)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    name = f"[{host}]" if ":" in host else host
    usual = {"User-Agent": "pupload", "Accept": "*/*", **(headers or {})}
    fixed = {
        "Host": f"{name}:{parts.port}" if parts.port else name,
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    connection.request(method, target, body=body, headers={**usual, **fixed})
    return connection.getresponse()


def untrusted(host: str | None, error: ssl.SSLCertVerificationError) -> NoReturn:
    """Ends the node: the host cannot prove who it is."""
    node.die(
        node.WRONG_INPUT,
        f"{host} cannot prove who it is: {error.verify_message}; where an authority of your own speaks "
        "for it, bind the authority's certificate to input authorities",
    )
