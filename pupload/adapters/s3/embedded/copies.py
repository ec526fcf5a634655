"""
Copies inside the store. Blobs never change, so a copy is a second name for them: no byte is read.

Only a part cut from the middle of an object has to be written anew; the kernel does that.
"""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import unquote_to_bytes

from aiohttp import web

from pupload.adapters.s3.embedded import multipart, ranges, replies, rows, sending, uploads, xml
from pupload.adapters.s3.embedded.blobs import Blobs
from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.conditions import Conditions
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

_SOURCE = "x-amz-copy-source-"
_STEP = 1 << 20


async def copy_object(store: Store, call: Call) -> web.StreamResponse:
    """The source's bytes under the target's key, with the source's metadata or new."""
    conditions = Conditions.read(call.header)
    async with _source(store, call) as source:
        Conditions.read(call.header, _SOURCE).check_source(source)
        headers = _copied_headers(call, source)
        async with store.room.promised(source.size, on_disk=True):
            blobs = [extent.blob for extent in source.extents]
            twins = await store.in_thread(lambda: store.blobs.twins(blobs))
            new = rows.StoredObject(
                bucket=call.bucket,
                key=call.key,
                size=source.size,
                etag=source.etag,
                modified_ms=store.now_ms(),
                sha256=source.sha256,
                headers=headers,
                checksums=source.checksums,
                extents=tuple(
                    rows.Extent(twin, extent.size) for twin, extent in zip(twins, source.extents, strict=True)
                ),
                data=source.data,
            )
            stored = await store.commit(lambda change: rows.put(change, new, conditions), twins)
    store.digests.begin(stored)
    return replies.document(call, "CopyObjectResult", _result(stored.etag, stored.modified_ms))


async def copy_part(store: Store, call: Call) -> web.StreamResponse:
    """A part of an upload, from an object or a range of it."""
    number = multipart.part_number(call)
    await multipart.find(store, call)
    async with _source(store, call) as source:
        Conditions.read(call.header, _SOURCE).check_source(source)
        wanted = call.header(f"{_SOURCE}range")
        start, length = (0, source.size) if wanted is None else ranges.read_copy(wanted, source.size)
        async with store.room.promised(length):
            blob, md5, sha256 = await store.in_thread(lambda: _cut(store.blobs, source, start, length))
            part = uploads.Part(
                number=number,
                size=length,
                etag=md5,
                modified_ms=store.now_ms(),
                sha256=sha256,
                checksums={},
                blob=blob,
            )
            await multipart.keep_part(store, call, part)
    return replies.document(call, "CopyPartResult", _result(part.etag, part.modified_ms))


def _source(store: Store, call: Call) -> AbstractAsyncContextManager[rows.StoredObject]:
    given, _, version = (call.header("x-amz-copy-source") or "").partition("?")
    if version:
        raise Refusal("NotImplemented", "This store keeps no versions.")
    try:
        bucket, slash, key = unquote_to_bytes(given).decode().removeprefix("/").partition("/")
    except UnicodeDecodeError:
        raise Refusal("InvalidArgument", "The copy source must be UTF-8.") from None
    if not bucket or not slash or not key:
        raise Refusal("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    return store.reading(bucket, key)


def _copied_headers(call: Call, source: rows.StoredObject) -> Mapping[str, str]:
    directive = call.header("x-amz-metadata-directive") or "COPY"
    if directive == "REPLACE":
        return call.kept_headers()
    if directive != "COPY":
        raise Refusal("InvalidArgument", "Unknown metadata directive.", ArgumentName="x-amz-metadata-directive")
    if (source.bucket, source.key) == (call.bucket, call.key):
        raise Refusal(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata.",
        )
    return source.headers


def _cut(blobs: Blobs, source: rows.StoredObject, start: int, length: int) -> tuple[str, str, str]:
    """A blob of those bytes, its MD5 and its SHA-256."""
    writer = blobs.create()
    try:
        if source.data is not None:
            writer.write([source.data[start : start + length]])
        for blob, offset, count in sending.pieces(source, start, length):
            with blobs.path(blob).open("rb", buffering=0) as file:
                writer.copy_from(file.fileno(), offset, count)
        writer.finish()
        return writer.name, *_hash(blobs.path(writer.name))
    except BaseException:
        writer.discard()
        raise


def _hash(path: Path) -> tuple[str, str]:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_STEP):
            md5.update(piece)
            sha256.update(piece)
    return md5.hexdigest(), sha256.hexdigest()


def _result(etag: str, modified_ms: int) -> list[xml.Element]:
    return [("ETag", replies.quoted(etag)), ("LastModified", replies.xml_date(modified_ms))]
