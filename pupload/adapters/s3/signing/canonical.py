"""
A request in the one form that is signed.

A path is the decoded one (`/bucket/key`), and is encoded exactly once. There is no path normalisation; every query pair
counts (duplicates too), and header values are folded to single spaces.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

Pairs = Iterable[tuple[str, str]]

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}
# Proxies and HTTP libraries add or change these on the way: a signature over them would break.
_NEVER_SIGNED = frozenset({"authorization", "expect", "transfer-encoding", "connection", "user-agent"})


def wire_host(scheme: str, host: str) -> str:
    """The `Host` header every HTTP client sends for this name: lower case, without the scheme's own port."""
    return host.lower().removesuffix(_DEFAULT_PORT.get(scheme, "\n"))


def encode_path(path: str | bytes) -> str:
    """The decoded path as it is signed and sent."""
    if isinstance(path, str) and _PLAIN_PATH(path):
        return path
    return quote(path, safe="/")


def encode_query(pairs: Pairs) -> str:
    """The decoded pairs as they are signed and sent: encoded, then sorted."""
    return "&".join(f"{name}={value}" for name, value in sorted((_encode(n), _encode(v)) for n, v in pairs))


def _encode(text: str) -> str:
    return text if _PLAIN(text) else quote(text, safe="", errors="surrogateescape")


def signed_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Those that are signed, named in lower case and in order."""
    folded = ((name.lower(), fold(value)) for name, value in headers.items())
    return sorted((name, value) for name, value in folded if name not in _NEVER_SIGNED)


def fold(value: str) -> str:
    """A header's value with its blanks as they are signed."""
    return _BLANKS.sub(" ", value).strip(" ")


def request(method: str, path: str, query: str, headers: Sequence[tuple[str, str]], payload_hash: str) -> str:
    """The whole of it, from parts that are encoded, folded and in order already."""
    lines = "".join(f"{name}:{value}\n" for name, value in headers)
    names = ";".join(name for name, _ in headers)
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_hash}"
