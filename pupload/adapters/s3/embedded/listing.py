"""
Lists of a bucket's objects: both versions of ListObjects.

Keys come in the order of their bytes. With a delimiter, keys that share what stands before it are one common prefix;
the walk jumps over all of them at once, so a listing costs what it returns and not what it leaves out.
"""

import base64
import binascii
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from pupload.adapters.s3.embedded import replies, rows, xml
from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

MOST_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """An object in a list, or a common prefix."""

    name: bytes
    is_prefix: bool = False
    size: int = 0
    etag: str = ""
    modified_ms: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the keys and common prefixes, in order."""

    lines: list[Line]
    is_truncated: bool


def walk(
    db: sqlite3.Connection, bucket: str, *, prefix: bytes, delimiter: bytes, after: bytes, jump: bool, limit: int
) -> Page:
    """
    Up to `limit` lines behind `after`; when `jump` is set, `after` is a common prefix and all below it is left out.
    """
    lines: list[Line] = []
    at, strict = (successor(after), False) if jump else (after, True)
    if at is not None and at < prefix:
        at, strict = prefix, False
    end = successor(prefix)
    while at is not None and len(lines) <= limit:
        at, strict = _take(db, bucket, lines, prefix, delimiter, at, end, strict=strict, limit=limit + 1)
    return Page(lines[:limit], is_truncated=len(lines) > limit > 0)


def _take(
    db: sqlite3.Connection,
    bucket: str,
    lines: list[Line],
    prefix: bytes,
    delimiter: bytes,
    at: bytes,
    end: bytes | None,
    *,
    strict: bool,
    limit: int,
) -> tuple[bytes | None, bool]:
    """Adds lines up to the first common prefix; returns where to go on (None: at the end)."""
    rows_found = db.execute(
        f"SELECT key, size, etag, modified_ms FROM objects WHERE bucket = ? AND key {'>' if strict else '>='} ? "  # noqa: S608 - our own words
        + ("AND key < ? " if end is not None else "AND ? IS NULL ")
        + "ORDER BY key LIMIT ?",
        (bucket, at, end, limit - len(lines)),
    )
    for key, size, etag, modified_ms in rows_found:
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut >= 0:
            common = key[: cut + len(delimiter)]
            lines.append(Line(common, is_prefix=True))
            return (successor(common), False) if len(lines) < limit else (None, False)
        lines.append(Line(key, size=size, etag=etag, modified_ms=modified_ms))
    # Fewer rows than asked for is the end of them, as many is the end of the page.
    return None, False


def successor(prefix: bytes) -> bytes | None:
    """The first of all byte strings behind those that begin so; None when there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


# ── The two requests ─────────────────────────────────────────────────────────────────────────────────────────────


async def list_v2(store: Store, call: Call) -> web.StreamResponse:
    """ListObjectsV2."""
    token = call.query.get("continuation-token")
    after, jump = (call.query.get("start-after", "").encode(), False) if token is None else read_token(token)
    page, content, name = await _page(store, call, after, jump=jump)
    if token is not None:
        content.append(("ContinuationToken", token))
    if (start_after := call.query.get("start-after")) is not None:
        content.append(("StartAfter", name(start_after.encode())))
    if page.is_truncated:
        content.append(("NextContinuationToken", write_token(page.lines[-1])))
    content.append(("KeyCount", str(len(page.lines))))
    content += _lines(page, name, with_owner=call.query.get("fetch-owner", "").lower() == "true")
    return replies.document(call, "ListBucketResult", content)


async def list_v1(store: Store, call: Call) -> web.StreamResponse:
    """ListObjects, where the marker is a name that came last."""
    marker, delimiter = call.query.get("marker", "").encode(), call.query.get("delimiter", "").encode()
    prefix = call.query.get("prefix", "").encode()
    # A marker that is itself a common prefix was the last line of the page before.
    jump = bool(delimiter) and marker.endswith(delimiter) and marker.startswith(prefix) and len(marker) > len(prefix)
    page, content, name = await _page(store, call, marker, jump=jump)
    content.append(("Marker", name(marker)))
    if page.is_truncated and delimiter:
        content.append(("NextMarker", name(page.lines[-1].name)))
    content += _lines(page, name, with_owner=True)
    return replies.document(call, "ListBucketResult", content)


Naming = Callable[[bytes], str]


async def _page(store: Store, call: Call, after: bytes, *, jump: bool) -> tuple[Page, list[xml.Element], Naming]:
    """The page, the elements that every list begins with, and how its names are written."""
    name = naming(call)
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    limit = call.number("max-keys", MOST_KEYS, most=MOST_KEYS)

    def read(db: sqlite3.Connection) -> Page:
        rows.find_bucket(db, call.bucket)
        return walk(
            db,
            call.bucket,
            prefix=prefix.encode(),
            delimiter=delimiter.encode(),
            after=after,
            jump=jump,
            limit=limit,
        )

    page = await store.index.read(read)
    content: list[xml.Element] = [
        ("Name", call.bucket),
        ("Prefix", name(prefix.encode())),
        ("MaxKeys", str(limit)),
        ("IsTruncated", str(page.is_truncated).lower()),
    ]
    if delimiter:
        content.append(("Delimiter", name(delimiter.encode())))
    if "encoding-type" in call.query:
        content.append(("EncodingType", "url"))
    return page, content, name


def _lines(page: Page, name: Naming, *, with_owner: bool) -> list[xml.Element]:
    owner: list[xml.Element] = [("Owner", [("ID", replies.OWNER), ("DisplayName", replies.OWNER)])]
    objects: list[xml.Element] = [
        (
            "Contents",
            [
                ("Key", name(line.name)),
                ("LastModified", replies.xml_date(line.modified_ms)),
                ("ETag", replies.quoted(line.etag)),
                ("Size", str(line.size)),
                *(owner if with_owner else ()),
                ("StorageClass", "STANDARD"),
            ],
        )
        for line in page.lines
        if not line.is_prefix
    ]
    return objects + [("CommonPrefixes", [("Prefix", name(line.name))]) for line in page.lines if line.is_prefix]


def naming(call: Call) -> Naming:
    """How keys are written: as they are, or URL-encoded when `encoding-type=url` asks for it. Raises `Refusal`."""
    encoding = call.query.get("encoding-type")
    if encoding not in (None, "url"):
        raise Refusal("InvalidArgument", "Invalid Encoding Method specified in Request", ArgumentName="encoding-type")
    return bytes.decode if encoding is None else lambda key: quote(key, safe="/")


def write_token(line: Line) -> str:
    """Where the next page begins, opaque to clients."""
    return base64.urlsafe_b64encode((b"p" if line.is_prefix else b"k") + line.name).decode()


def read_token(token: str) -> tuple[bytes, bool]:
    """What `write_token` wrote: the name, and whether it is a common prefix. Raises `Refusal` InvalidArgument."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if raw[:1] not in (b"k", b"p"):
        raise Refusal("InvalidArgument", "The continuation token provided is incorrect")
    return raw[1:], raw[:1] == b"p"
