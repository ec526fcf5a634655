"""
What a request is addressed to: its target on the wire and its Host, taken apart once and never normalised.

`/bucket/key` and `bucket.host/key` mean the same. The key is everything behind that slash, decoded exactly once:
`..`, `//` and control characters are part of its name and lead nowhere.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from pupload.adapters.s3.embedded.refusals import Refusal

LONGEST_KEY = 1024

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS_LIKE = re.compile(r"\d+\.\d+\.\d+\.\d+")
_ORIGIN = re.compile(r"https?://[^/?]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """A request's target, raw for its signature and decoded for its meaning."""

    raw_path: str
    raw_query: str
    bucket: str
    """Empty: the store itself."""
    key: str
    """Empty: the bucket itself."""
    query: tuple[tuple[str, str], ...]


def read(raw_target: str, host: str, domains: Iterable[str]) -> Target:
    """
    `domains` are the names of this store below which a bucket may be named. Raises `Refusal` InvalidURI and
    KeyTooLongError.
    """
    raw_target = _ORIGIN.sub("", raw_target, count=1) if not raw_target.startswith("/") else raw_target
    raw_path, _, raw_query = raw_target.partition("?")
    if not raw_path.startswith("/"):
        raise Refusal("InvalidURI")
    bucket, rest = _bucket_of_host(host, domains), raw_path[1:]
    if not bucket:
        raw_bucket, _, rest = rest.partition("/")
        bucket = _decode(raw_bucket)
    key = _decode(rest)
    if len(key.encode()) > LONGEST_KEY:
        raise Refusal("KeyTooLongError", MaxSizeAllowed=str(LONGEST_KEY))
    return Target(raw_path, raw_query, bucket, key, tuple(_query(raw_query)))


def is_bucket_name(name: str) -> bool:
    """Whether a bucket may be named so (the rules of S3's general purpose buckets)."""
    return bool(_BUCKET.fullmatch(name)) and ".." not in name and not _ADDRESS_LIKE.fullmatch(name)


def _bucket_of_host(host: str, domains: Iterable[str]) -> str:
    name = re.sub(r":\d+$", "", host).lower()
    for domain in domains:
        if name.endswith(f".{domain}"):
            return name.removesuffix(f".{domain}")
    return ""


def _query(raw: str) -> Iterable[tuple[str, str]]:
    for piece in raw.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            yield _decode(name.replace("+", " ")), _decode(value.replace("+", " "))


def _decode(text: str) -> str:
    try:
        return unquote_to_bytes(text.encode(errors="surrogateescape")).decode()
    except UnicodeDecodeError:
        raise Refusal("InvalidURI", "Keys and parameters must be UTF-8.") from None
