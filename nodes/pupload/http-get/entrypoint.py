#!/usr/bin/python3
"""
Gets a file from the web, and from nowhere else: not from this machine, its neighbours or a cloud's metadata service.

Names are looked up here, every address that comes of it must be public, and the connection is made to the very address
that was looked at, so that a name cannot mean one thing when it is judged and another when it is used. Each redirect
goes the same way.

    FLAG_URL            what to get                                     OUTPUT_FILE   the file to write
    INPUT_AUTHORITIES   certificates of authorities to trust besides, PEM
"""

import hashlib
import http.client
import ipaddress
import os
import re
import signal
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit

import node

CHUNK = 1 << 16
REDIRECTS = (301, 302, 303, 307, 308)
WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)
PORTS = (80, 443)


LONGEST_SILENCE_SECONDS = 20


class Late(Exception):
    """The time is over."""


def late(*_: object) -> NoReturn:
    """What the alarm does, whatever is waited for: a name, a connection, a handshake, a header, the body."""
    raise Late


def main() -> None:
    """Does what the flags say."""
    url = node.flag("url")
    hops = node.number("max_redirects", 5, 0, 20)
    most = node.number("max_bytes", 1 << 30, 1, 1 << 44)
    seconds = node.number("seconds", 300, 1, 86_400)
    any_port = node.boolean("any_port")
    expected = node.flag("sha256").lower()
    if expected and not re.fullmatch(r"[0-9a-f]{64}", expected):
        node.die(node.WRONG_FLAG, "flag sha256 must be 64 hexadecimal digits")
    output, trusted = node.place("OUTPUT_FILE"), trust()
    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    parts = checked(url, any_port=any_port)
    try:
        for _ in range(hops + 1):
            answer = asked(parts, trusted)
            if answer.status not in REDIRECTS:
                keep(answer, output, most, expected, shown(parts))
                return
            url = urljoin(url, answer.getheader("location") or "")
            answer.close()
            parts = followed(parts, checked(url, any_port=any_port), expected)
    except Late:
        output.unlink(missing_ok=True)
        node.die(node.FAILED, "the file was not there within the time of flag seconds; raise it, or try again later")
    except ssl.SSLCertVerificationError as error:
        node.die(
            node.WRONG_INPUT,
            f"{parts.hostname} cannot prove who it is: {error.verify_message}; where an authority of your own speaks "
            "for it, bind the authority's certificate to input authorities",
        )
    except (OSError, http.client.HTTPException) as error:
        output.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        node.die(node.FAILED, f"{parts.hostname} could not be asked: {reason}")
    node.die(node.WRONG_INPUT, f"there were more than {hops} redirects; raise max_redirects if that is right")


def checked(url: str, *, any_port: bool) -> SplitResult:
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


def followed(before: SplitResult, after: SplitResult, expected: str) -> SplitResult:
    """Where a redirect leads; ends the node where that is from https to http, and no checksum tells a change."""
    if before.scheme == "https" and after.scheme == "http" and not expected:
        node.die(
            node.WRONG_INPUT,
            f"{before.hostname} redirects from https to {shown(after)}, where anybody on the way can change the file; "
            "set sha256, or ask for that URL if it is right",
        )
    return after


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


def asked(parts: SplitResult, trusted: ssl.SSLContext) -> http.client.HTTPResponse:
    """The answer to a GET, from the first address that takes the connection."""
    host = str(parts.hostname)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = http.client.HTTPConnection(host, port)
    connection.sock = connected(addresses(host, port), port)
    if parts.scheme == "https":
        connection.sock = trusted.wrap_socket(connection.sock, server_hostname=host)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    name = f"[{host}]" if ":" in host else host
    headers = {"Host": f"{name}:{parts.port}" if parts.port else name, "User-Agent": "pupload", "Accept": "*/*"}
    connection.request("GET", target, headers={**headers, "Accept-Encoding": "identity", "Connection": "close"})
    return connection.getresponse()


def connected(found: list[str], port: int) -> socket.socket:
    """A connection to the first of the addresses that takes one; raises what the last said."""
    last: OSError = OSError("no address")
    for address in found:
        try:
            return socket.create_connection((address, port), timeout=LONGEST_SILENCE_SECONDS)
        except OSError as error:
            last = error
    raise last


def keep(answer: http.client.HTTPResponse, output: Path, most: int, expected: str, shown_url: str) -> None:
    """Writes the body, and ends the node where it is not what was asked for."""
    if answer.status != 200:
        code = node.FAILED if answer.status in WORTH_ANOTHER_TRY else node.WRONG_INPUT
        node.die(code, f"{shown_url} answers {answer.status} {answer.reason}")
    if answer.getheader("content-encoding", "identity") != "identity":
        node.die(node.WRONG_INPUT, f"{shown_url} sends the file compressed, though it was asked not to")
    whole = int(answer.length or 0)
    refusal = f"the file is larger than {most} bytes; raise max_bytes if that is right"
    if whole > most:
        node.die(node.WRONG_INPUT, refusal)
    done, told, digest = 0, time.monotonic(), hashlib.sha256()
    with output.open("wb") as file:
        while block := answer.read1(CHUNK):
            done += len(block)
            if done > most:
                output.unlink()
                node.die(node.WRONG_INPUT, refusal)
            digest.update(block)
            file.write(block)
            if time.monotonic() - told > 2:
                told = time.monotonic()
                node.say(f"{done} bytes", done / whole if whole else None)
    if whole and done != whole:
        output.unlink()
        node.die(node.FAILED, f"{shown_url} broke off after {done} of {whole} bytes")
    if expected and digest.hexdigest() != expected:
        output.unlink()
        node.die(node.WRONG_INPUT, f"the file is not what is expected: its sha256 is {digest.hexdigest()}")
    node.say(f"{done} bytes from {shown_url}, sha256 {digest.hexdigest()}", 1)


if __name__ == "__main__":
    sys.exit(main())
