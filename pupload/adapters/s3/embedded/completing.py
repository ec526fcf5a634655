"""
The end of an upload in parts: they are an object.

The parts' blobs become the object's extents, in the order of their numbers; nothing is copied and nobody waits for a
hash of the whole (`digests` sees to that afterwards). An upload that was completed may be completed again with the
same parts: a client that lost the answer must be able to ask twice.
"""

import hashlib
import itertools
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web

from pupload.adapters.s3.embedded import composites, replies, rows, uploads, xml
from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.conditions import Conditions
from pupload.adapters.s3.embedded.index import Change
from pupload.adapters.s3.embedded.multipart import MOST_PARTS
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

SMALLEST_PART = 5 << 20
"""Bytes; only the last may be smaller."""

_NUMBER = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class _Named:
    """A part as the completing request names it."""

    number: int
    etag: str
    checksums: dict[str, str] = field(default_factory=dict)


async def complete(store: Store, call: Call) -> web.StreamResponse:
    """The parts are the object. It is hashed as a whole afterwards, when nobody waits for it."""
    named = _read_named(await call.document(checksummed=False))
    conditions, now_ms = Conditions.read(call.header), store.now_ms()
    claimed = call.checksums()

    def work(change: Change) -> tuple[rows.StoredObject, dict[str, tuple[str, str]]]:
        try:
            upload = uploads.find(change.db, call.bucket, call.key, call.query["uploadId"])
        except Refusal:
            return _completed_before(change.db, call, named), {}
        parts = _pick(uploads.parts(change.db, upload.id), named)
        _check_size(call, parts)
        found = composites.of_parts([part.checksums for part in parts], [part.size for part in parts])
        composites.check(found, claimed)
        stored = rows.put(change, _joined(upload, parts, now_ms), conditions)
        uploads.drop(change, upload.id, keeping=frozenset(part.blob for part in parts))
        return stored, {
            name: both.of_kind(composites.usual_kind(name)) for name, both in found.items() if name == upload.algorithm
        }

    stored, told = await store.commit(work)
    store.digests.begin(stored)
    content: list[xml.Element] = [
        ("Location", call.target.raw_path),
        ("Bucket", call.bucket),
        ("Key", xml.approximate(call.key)),
        ("ETag", replies.quoted(stored.etag)),
    ]
    for name, (value, kind) in told.items():
        content += [(f"Checksum{name.upper()}", value), ("ChecksumType", kind)]
    return replies.document(call, "CompleteMultipartUploadResult", content)


def _joined(upload: uploads.Upload, parts: Sequence[uploads.Part], now_ms: int) -> rows.StoredObject:
    return rows.StoredObject(
        bucket=upload.bucket,
        key=upload.key,
        size=sum(part.size for part in parts),
        etag=_etag([part.etag for part in parts]),
        modified_ms=now_ms,
        sha256=parts[0].sha256 if len(parts) == 1 else None,
        headers=upload.headers,
        extents=tuple(rows.Extent(part.blob, part.size) for part in parts),
    )


def _read_named(document: bytes) -> list[_Named]:
    root = xml.read(document, "CompleteMultipartUpload")
    named = []
    for node in root.all("Part"):
        if not _NUMBER.fullmatch(node.must("PartNumber")):
            raise Refusal("MalformedXML")
        given = {
            child.name.removeprefix("Checksum").lower(): child.text
            for child in node.children
            if child.name.startswith("Checksum")
        }
        named.append(_Named(int(node.must("PartNumber")), node.must("ETag").strip('"'), given))
    if not 1 <= len(named) <= MOST_PARTS:
        raise Refusal("MalformedXML")
    if any(second.number <= first.number for first, second in itertools.pairwise(named)):
        raise Refusal("InvalidPartOrder")
    return named


def _pick(found: Sequence[uploads.Part], named: Sequence[_Named]) -> list[uploads.Part]:
    by_number = {part.number: part for part in found}
    picked = []
    for one in named:
        part = by_number.get(one.number)
        if part is None or part.etag != one.etag or any(part.checksums.get(k) != v for k, v in one.checksums.items()):
            raise Refusal("InvalidPart", PartNumber=str(one.number))
        picked.append(part)
    for part in picked[:-1]:
        if part.size < SMALLEST_PART:
            raise Refusal("EntityTooSmall", PartNumber=str(part.number), MinSizeAllowed=str(SMALLEST_PART))
    return picked


def _check_size(call: Call, parts: Sequence[uploads.Part]) -> None:
    expected = call.header("x-amz-mp-object-size")
    if expected is not None and expected != str(sum(part.size for part in parts)):
        raise Refusal("InvalidRequest", "The object's size is not what x-amz-mp-object-size says.")


def _completed_before(db: sqlite3.Connection, call: Call, named: Sequence[_Named]) -> rows.StoredObject:
    stored = rows.find(db, call.bucket, call.key)
    if stored is None or stored.etag != _etag([one.etag for one in named]):
        raise Refusal("NoSuchUpload", UploadId=call.query["uploadId"])
    return stored


def _etag(etags: Sequence[str]) -> str:
    """S3's: the MD5 of the parts' MD5s, and how many there were."""
    try:
        joined = b"".join(map(bytes.fromhex, etags))
    except ValueError:
        raise Refusal("InvalidPart") from None
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"
