"""What the headers of an answer tell of an object."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pupload import ports
from pupload.adapters.s3 import checksums

_MD5 = re.compile(r"[0-9a-f]{32}").fullmatch


def etag(headers: Mapping[str, str]) -> str:
    """Without quotes; empty where none is told."""
    return headers.get("ETag", "").strip('"')


def date(headers: Mapping[str, str], name: str, *, otherwise: datetime) -> datetime:
    """The header's time in UTC; `otherwise` where it tells none."""
    try:
        when = parsedate_to_datetime(headers[name])
    except (KeyError, ValueError):
        return otherwise
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def stat_of_head(key: str, headers: Mapping[str, str], *, now: datetime) -> ports.ObjectStat:
    """What a HEAD tells. Raises `ValueError` where the size is missing."""
    if "Content-Length" not in headers:
        raise ValueError("it tells no Content-Length")
    return ports.ObjectStat(
        key=key,
        size=int(headers["Content-Length"]),
        etag=etag(headers),
        content_type=headers.get("Content-Type", "application/octet-stream"),
        modified_at=date(headers, "Last-Modified", otherwise=now),
        sha256=checksums.read_sha256(headers),
    )


def etag_of_parts(parts: Sequence[ports.Part]) -> str | None:
    """The ETag that S3 gives an object made of these parts, None where their own are no MD5s."""
    if not all(_MD5(part.etag) for part in parts):
        return None
    together = b"".join(bytes.fromhex(part.etag) for part in sorted(parts, key=lambda part: part.number))
    return f"{hashlib.md5(together, usedforsecurity=False).hexdigest()}-{len(parts)}"
