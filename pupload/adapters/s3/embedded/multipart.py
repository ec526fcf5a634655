"""
Uploads in parts: begin, put a part, list, abort. Every part is a blob. `completing` makes them an object.
"""

import re
import secrets
import sqlite3

from aiohttp import web

from pupload.adapters.s3.embedded import checksums, composites, listing, replies, rows, uploads, xml
from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.index import Change
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

MOST_PARTS = 10_000

_NUMBER = re.compile(r"[0-9]{1,5}")


async def begin(store: Store, call: Call) -> web.StreamResponse:
    """A new upload."""
    algorithm = (call.header("x-amz-checksum-algorithm") or "").lower()
    if algorithm:
        checksums.start(algorithm)
    new = uploads.Upload(
        id=secrets.token_urlsafe(24),
        bucket=call.bucket,
        key=call.key,
        started_ms=store.now_ms(),
        headers=call.kept_headers(),
        algorithm=algorithm,
    )

    def work(change: Change) -> None:
        rows.find_bucket(change.db, call.bucket)
        uploads.begin(change, new)

    await store.commit(work)
    headers = {}
    if algorithm:
        kind = call.header("x-amz-checksum-type") or composites.usual_kind(algorithm)
        headers = {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": kind}
    content: list[xml.Element] = [("Bucket", call.bucket), ("Key", xml.approximate(call.key)), ("UploadId", new.id)]
    return replies.document(call, "InitiateMultipartUploadResult", content, headers=headers)


async def put_part(store: Store, call: Call) -> web.StreamResponse:
    """The body is that part when this returns, and on the disk."""
    number, upload = part_number(call), await find(store, call)
    async with store.room.promised(call.length()):
        received = await store.receive(call, inline=False, also=upload.algorithm)
        part = uploads.Part(
            number=number,
            size=received.size,
            etag=received.md5,
            modified_ms=store.now_ms(),
            sha256=received.sha256,
            checksums=received.checksums,
            blob=received.blob,
        )
        await keep_part(store, call, part)
    headers = {"ETag": replies.quoted(part.etag)}
    headers |= {checksums.PREFIX + name: value for name, value in received.checksums.items()}
    return replies.empty(call, headers=headers)


async def list_parts(store: Store, call: Call) -> web.StreamResponse:
    """Those that came in so far."""
    upload_id = call.query["uploadId"]
    limit = call.number("max-parts", 1000, most=1000)
    marker = call.number("part-number-marker", 0, most=MOST_PARTS)
    name = listing.naming(call)

    def read(db: sqlite3.Connection) -> tuple[uploads.Upload, list[uploads.Part]]:
        upload = uploads.find(db, call.bucket, call.key, upload_id)
        return upload, uploads.parts(db, upload_id, after_number=marker, limit=limit + 1)

    upload, found = await store.index.read(read)
    page = found[:limit]
    content: list[xml.Element] = [
        ("Bucket", call.bucket),
        ("Key", name(call.key.encode())),
        ("UploadId", upload_id),
        ("StorageClass", "STANDARD"),
        ("PartNumberMarker", str(marker)),
        ("NextPartNumberMarker", str(page[-1].number if page else 0)),
        ("MaxParts", str(limit)),
        ("IsTruncated", str(len(found) > limit > 0).lower()),
    ]
    if upload.algorithm:
        content.append(("ChecksumAlgorithm", upload.algorithm.upper()))
    content += (("Part", _describe(part)) for part in page)
    return replies.document(call, "ListPartsResult", content)


async def list_uploads(store: Store, call: Call) -> web.StreamResponse:
    """Those of a bucket that were neither completed nor aborted."""
    if call.query.get("delimiter"):
        raise Refusal("NotImplemented", "Uploads are listed without a delimiter.")
    name = listing.naming(call)
    prefix, limit = call.query.get("prefix", ""), call.number("max-uploads", 1000, most=1000)
    key_marker, id_marker = call.query.get("key-marker", ""), call.query.get("upload-id-marker")

    def read(db: sqlite3.Connection) -> list[uploads.Upload]:
        rows.find_bucket(db, call.bucket)
        return uploads.after(db, call.bucket, key_marker, id_marker if key_marker else None, prefix, limit=limit + 1)

    found = await store.index.read(read)
    page, is_truncated = found[:limit], len(found) > limit > 0
    content: list[xml.Element] = [
        ("Bucket", call.bucket),
        ("KeyMarker", name(key_marker.encode())),
        ("UploadIdMarker", id_marker or ""),
        ("Prefix", name(prefix.encode())),
        ("MaxUploads", str(limit)),
        ("IsTruncated", str(is_truncated).lower()),
    ]
    if "encoding-type" in call.query:
        content.append(("EncodingType", "url"))
    if is_truncated:
        content += [("NextKeyMarker", name(page[-1].key.encode())), ("NextUploadIdMarker", page[-1].id)]
    for upload in page:
        content.append(
            (
                "Upload",
                [
                    ("Key", name(upload.key.encode())),
                    ("UploadId", upload.id),
                    ("StorageClass", "STANDARD"),
                    ("Initiated", replies.xml_date(upload.started_ms)),
                ],
            )
        )
    return replies.document(call, "ListMultipartUploadsResult", content)


async def abort(store: Store, call: Call) -> web.StreamResponse:
    """The upload and its parts are gone."""

    def work(change: Change) -> None:
        uploads.find(change.db, call.bucket, call.key, call.query["uploadId"])
        uploads.drop(change, call.query["uploadId"])

    await store.commit(work)
    return replies.empty(call, status=204)


# ── For copies of parts too ──────────────────────────────────────────────────────────────────────────────────────


def part_number(call: Call) -> int:
    """From 1 to 10 000. Raises `Refusal` InvalidArgument."""
    text = call.query["partNumber"]
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MOST_PARTS:
        raise Refusal("InvalidArgument", f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive")
    return int(text)


async def find(store: Store, call: Call) -> uploads.Upload:
    """The upload that the call names. Raises `Refusal` NoSuchUpload."""
    return await store.index.read(lambda db: uploads.find(db, call.bucket, call.key, call.query["uploadId"]))


async def keep_part(store: Store, call: Call, part: uploads.Part) -> None:
    """Its blob is durable already. Raises `Refusal` NoSuchUpload when the upload ended meanwhile."""

    def work(change: Change) -> None:
        uploads.find(change.db, call.bucket, call.key, call.query["uploadId"])
        uploads.put_part(change, call.query["uploadId"], part)

    await store.commit(work, [part.blob])


def _describe(part: uploads.Part) -> list[xml.Element]:
    content: list[xml.Element] = [
        ("PartNumber", str(part.number)),
        ("LastModified", replies.xml_date(part.modified_ms)),
        ("ETag", replies.quoted(part.etag)),
        ("Size", str(part.size)),
    ]
    return content + [(f"Checksum{name.upper()}", value) for name, value in part.checksums.items()]
