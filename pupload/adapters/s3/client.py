"""
`ports.ObjectStore` on any S3-compatible store.

What is asked often (HEAD, GET, PUT, LIST, DELETE, multipart) goes through our own signing and aiohttp (`calls`);
making the bucket and its rules, once at the start, is left to boto3 (`admin`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from multidict import CIMultiDictProxy

from pupload import errors, ports
from pupload.adapters.s3 import admin, calls, checksums, keys, places, probe, signing, transfer, xml

SINGLE_PUT_BYTES = 5 * 10**9
PART_BYTES = 16 << 20
COPY_PART_BYTES = 1 << 30
_SMALL_BYTES = 1 << 20
_BUCKET_SEEN_SECONDS = 60.0
_PATIENCE_TO_PUT = 15
_PATIENCE_TO_COPY = 45
"""A copy or a completion of hundreds of gigabytes answers late, and some stores are silent until then."""

T = TypeVar("T")


class S3Store:
    """One bucket. Making it touches no network."""

    def __init__(
        self,
        *,
        name: str,
        endpoint: places.Endpoint,
        bucket: str,
        credentials: signing.Credentials | keys.Keys,
        clock: ports.Clock,
        region: str = "us-east-1",
        path_style: bool = True,
        public_endpoint: places.Endpoint | None = None,
        node_endpoint: places.Endpoint | None = None,
        listener: Callable[[], AsyncGenerator[str, None]] | None = None,
        single_put_limit: int = SINGLE_PUT_BYTES,
        part_bytes: int = PART_BYTES,
        copy_part_bytes: int = COPY_PART_BYTES,
        attempts: int = calls.ATTEMPTS,
        patience_seconds: float = 20.0,
    ) -> None:
        """
        `public_endpoint` and `node_endpoint` are the store's names for users and for containers, where they differ.
        `listener` opens the stream of keys as they arrive, where the store tells. Sizes are bytes. A HEAD is given up
        after a silence of `patience_seconds`, a longer work after multiples of it.
        """
        self.name = name
        self.notifies = listener is not None
        self.single_put_limit = single_put_limit
        self.bucket = places.Bucket(endpoint=endpoint, name=bucket, path_style=path_style)
        self.region = region
        self.keys = keys.FixedKeys(credentials) if isinstance(credentials, signing.Credentials) else credentials
        self._clock = clock
        self._listener = listener
        self._part_bytes = part_bytes
        self._copy_part_bytes = copy_part_bytes
        self._buckets: Mapping[ports.Audience, places.Bucket] = {
            "server": self.bucket,
            "user": places.Bucket(endpoint=public_endpoint or endpoint, name=bucket, path_style=path_style),
            "node": places.Bucket(endpoint=node_endpoint or endpoint, name=bucket, path_style=path_style),
        }
        self._calls = calls.Caller(
            store=name,
            bucket=self.bucket,
            region=region,
            credentials=self.keys,
            clock=clock,
            attempts=attempts,
            patience_seconds=patience_seconds,
        )
        self._bucket_seen_at: float | None = None

    # ── URLs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def presign_put(
        self,
        key: str,
        *,
        expires_seconds: int,
        content_type: str | None = None,
        size: int | None = None,
        audience: ports.Audience = "user",
    ) -> str:
        headers = {}
        if content_type is not None:
            headers["content-type"] = content_type
        if size is not None:
            headers["content-length"] = str(size)
        return self._presign("PUT", key, expires_seconds, audience, headers=headers)

    def presign_get(
        self,
        key: str,
        *,
        expires_seconds: int,
        filename: str | None = None,
        content_type: str | None = None,
        audience: ports.Audience = "user",
    ) -> str:
        query = []
        if filename is not None:
            query.append(("response-content-disposition", _attachment(filename)))
        if content_type is not None:
            query.append(("response-content-type", content_type))
        return self._presign("GET", key, expires_seconds, audience, query=query)

    def presign_part(
        self, key: str, upload_id: str, number: int, *, expires_seconds: int, audience: ports.Audience = "user"
    ) -> str:
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        return self._presign("PUT", key, expires_seconds, audience, query=query)

    def _presign(
        self,
        method: str,
        key: str,
        expires_seconds: int,
        audience: ports.Audience,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] = {},
    ) -> str:
        bucket = self._buckets[audience]
        self._calls.path_of(key)
        return signing.presign(
            self.keys.current(),
            method=method,
            scheme=bucket.endpoint.scheme,
            host=bucket.host,
            path=bucket.path(key),
            query=query,
            region=self.region,
            now=self._clock.now(),
            expires_seconds=expires_seconds,
            headers=headers,
        )

    # ── The bucket ───────────────────────────────────────────────────────────────────────────────────────────────

    async def ensure_ready(self) -> None:
        await self.keys.ready()
        await admin.ensure_bucket(self.name, self.bucket, self.region, self.keys.current())

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def stat(self, key: str) -> ports.ObjectStat:
        # Costs nothing, and makes stores that keep a checksum of the whole object tell it.
        call = calls.Call(method="HEAD", key=key, headers={"x-amz-checksum-mode": "ENABLED"}, patience=1)
        try:
            answer = await self._calls.ask(call)
        except errors.ObjectAbsent:
            await self._see_bucket()
            raise
        return self._read_stat(key, answer.headers, size=int(answer.headers.get("Content-Length", "-1")))

    async def _see_bucket(self) -> None:
        """A HEAD's 404 may mean the bucket: asked once a minute, so that waiting uploads stay cheap."""
        now = self._clock.monotonic()
        if self._bucket_seen_at is not None and now - self._bucket_seen_at < _BUCKET_SEEN_SECONDS:
            return
        try:
            await self._calls.ask(calls.Call(method="HEAD", patience=1))
        except errors.ObjectAbsent:
            reason = f"bucket {self.bucket.name} does not exist"
            raise errors.StoreRefused(store=self.name, code="NoSuchBucket", reason=reason) from None
        except errors.ObjectForbidden:
            pass  # keys without the right to see the bucket may see its objects
        self._bucket_seen_at = now

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            await self.stat(key)
            return b""
        end = "" if length is None else str(start + length - 1)
        headers = {} if start == 0 and length is None else {"Range": f"bytes={start}-{end}"}
        try:
            answer = await self._calls.ask(calls.Call(method="GET", key=key, headers=headers))
        except errors.StoreRefused as refused:
            if refused.code in ("InvalidRange", "HTTP 416"):
                return b""  # it begins after the object's end
            raise
        if answer.status == 206 or not headers:
            return answer.body
        return answer.body[start : None if length is None else start + length]  # a store that knows no ranges

    async def stream(self, key: str, *, if_etag: str | None = None) -> AsyncIterator[bytes]:
        async with aclosing(transfer.pieces(self._calls, key, if_etag=if_etag)) as pieces:
            async for piece in pieces:
                yield piece

    async def fetch(self, key: str, path: Path, *, if_etag: str | None = None) -> str | None:
        async with aclosing(transfer.pieces(self._calls, key, if_etag=if_etag)) as pieces:
            return await transfer.write_file(pieces, path)

    async def list(self, prefix: str = "") -> AsyncIterator[ports.ObjectStat]:
        query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", "1000"), ("prefix", prefix)]
        token: str | None = None
        while True:
            more = [("continuation-token", token)] if token else []
            page = await self._ask_for(calls.Call(method="GET", query=(*query, *more)), xml.read_objects)
            for stat in page.objects:
                yield stat
            if not page.next_token:
                return
            token = page.next_token

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> ports.ObjectStat:
        headers = {"Content-Type": content_type, "Content-Length": str(len(data))}
        answer = await self._calls.ask(calls.Call(method="PUT", key=key, headers=headers, body=data))
        return self._stat_of_put(
            key, answer, size=len(data), content_type=content_type, digest=sha256(data).hexdigest()
        )

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ports.ObjectStat:
        size = (await asyncio.to_thread(path.stat)).st_size
        if size <= _SMALL_BYTES:
            return await self.put_bytes(key, await asyncio.to_thread(path.read_bytes), content_type=content_type)
        if size > self.single_put_limit:
            return await self._put_in_parts(key, path, size, content_type)
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        source = transfer.file_source(path, 0, size)
        call = calls.Call(method="PUT", key=key, headers=headers, source=source, patience=_PATIENCE_TO_PUT)
        answer, digest = await transfer.both(self._calls.ask(call), transfer.hash_file(path))
        return self._stat_of_put(key, answer, size=size, content_type=content_type, digest=digest)

    async def _put_in_parts(self, key: str, path: Path, size: int, content_type: str) -> ports.ObjectStat:
        upload_id = await self.begin_multipart(key, content_type=content_type)
        ranges = transfer.split(size, self._part_bytes)
        try:
            work = transfer.at_most(4, [partial(self._put_part, key, upload_id, path, *one) for one in ranges])
            parts, digest = await transfer.both(work, transfer.hash_file(path))
            stat = await self.complete_multipart(key, upload_id, parts)
        except BaseException:
            await transfer.despite_all(self.abort_multipart(key, upload_id))
            raise
        return ports.ObjectStat(
            key=key,
            size=size,
            etag=stat.etag,
            content_type=content_type,
            modified_at=stat.modified_at,
            sha256=digest,
        )

    async def _put_part(self, key: str, upload_id: str, path: Path, number: int, start: int, size: int) -> ports.Part:
        call = calls.Call(
            method="PUT",
            key=key,
            query=(("partNumber", str(number)), ("uploadId", upload_id)),
            headers={"Content-Length": str(size)},
            source=transfer.file_source(path, start, size),
            patience=_PATIENCE_TO_PUT,
        )
        answer = await self._calls.ask(call)
        return ports.Part(number=number, size=size, etag=_etag(answer.headers))

    async def copy(
        self, source: str, target: str, *, if_etag: str, content_type: str | None = None
    ) -> ports.ObjectStat:
        headers = self._copy_headers(source, if_etag)
        if content_type is not None:
            headers |= {"x-amz-metadata-directive": "REPLACE", "Content-Type": content_type}
        call = calls.Call(method="PUT", key=target, headers=headers, patience=_PATIENCE_TO_COPY)
        try:
            await self._calls.ask(call)
        except errors.ObjectAbsent as absent:
            raise errors.ObjectAbsent(key=source, store=self.name) from absent
        except errors.PreconditionFailed as failed:
            raise errors.PreconditionFailed(key=source, store=self.name) from failed
        except errors.StoreRefused as refused:
            if refused.code not in ("InvalidRequest", "EntityTooLarge", "InvalidArgument"):
                raise
            found = await self.stat(source)
            if found.size <= self._copy_part_bytes:
                raise
            return await self._copy_in_parts(found, target, if_etag, content_type or found.content_type)
        return await self.stat(target)

    def _copy_headers(self, source: str, if_etag: str) -> dict[str, str]:
        self._calls.path_of(source)
        where = quote(f"{self.bucket.name}/{source}", safe="/")
        return {"x-amz-copy-source": f"/{where}", "x-amz-copy-source-if-match": f'"{if_etag}"'}

    async def _copy_in_parts(
        self, source: ports.ObjectStat, target: str, if_etag: str, content_type: str
    ) -> ports.ObjectStat:
        upload_id = await self.begin_multipart(target, content_type=content_type)
        ranges = transfer.split(source.size, self._copy_part_bytes)
        try:
            copies = [partial(self._copy_part, source.key, target, upload_id, if_etag, *one) for one in ranges]
            return await self.complete_multipart(target, upload_id, await transfer.at_most(4, copies))
        except BaseException:
            await transfer.despite_all(self.abort_multipart(target, upload_id))
            raise

    async def _copy_part(
        self, source: str, target: str, upload_id: str, if_etag: str, number: int, start: int, size: int
    ) -> ports.Part:
        span = {"x-amz-copy-source-range": f"bytes={start}-{start + size - 1}"}
        call = calls.Call(
            method="PUT",
            key=target,
            query=(("partNumber", str(number)), ("uploadId", upload_id)),
            headers=self._copy_headers(source, if_etag) | span,
            patience=_PATIENCE_TO_COPY,
        )
        return ports.Part(number=number, size=size, etag=await self._ask_for(call, xml.read_etag))

    async def delete(self, key: str) -> None:
        try:
            await self._calls.ask(calls.Call(method="DELETE", key=key))
        except errors.ObjectAbsent:
            return

    # ── Multipart uploads ────────────────────────────────────────────────────────────────────────────────────────

    async def begin_multipart(self, key: str, *, content_type: str | None = None) -> str:
        headers = {} if content_type is None else {"Content-Type": content_type}
        # Tried again after a lost answer it leaves an empty upload behind, which `multiparts` shows: no harm.
        call = calls.Call(method="POST", key=key, query=(("uploads", ""),), headers=headers)
        return await self._ask_for(call, xml.read_upload_id)

    async def parts(self, key: str, upload_id: str) -> Sequence[ports.Part]:
        found: list[ports.Part] = []
        marker: str | None = None
        while True:
            more = [("part-number-marker", marker)] if marker else []
            call = calls.Call(method="GET", key=key, query=(("uploadId", upload_id), *more))
            page = await self._ask_for(call, xml.read_parts)
            found += page.parts
            if not page.next_marker:
                return found
            marker = page.next_marker

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[ports.Part]) -> ports.ObjectStat:
        call = calls.Call(
            method="POST",
            key=key,
            query=(("uploadId", upload_id),),
            headers={"Content-Type": "application/xml"},
            body=xml.write_completion(parts),
            patience=_PATIENCE_TO_COPY,
        )
        began_at = self._clock.now()
        try:
            await self._calls.ask(call)
        except errors.ObjectAbsent:
            return await self._completed_before(key, parts, began_at)
        return await self.stat(key)

    async def _completed_before(self, key: str, parts: Sequence[ports.Part], began_at: datetime) -> ports.ObjectStat:
        """
        An attempt whose answer was lost may have completed the upload, and then there is none any more.

        The object tells: of that size, and no older than our call (to the second, as HTTP's dates are).
        """
        absent = errors.ObjectAbsent(key=key, store=self.name)
        try:
            stat = await self.stat(key)
        except errors.ObjectAbsent:
            raise absent from None
        if stat.size != sum(part.size for part in parts) or stat.modified_at < began_at.replace(microsecond=0):
            raise absent
        return stat

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        try:
            await self._calls.ask(calls.Call(method="DELETE", key=key, query=(("uploadId", upload_id),)))
        except errors.ObjectAbsent:
            return

    async def multiparts(self, prefix: str = "") -> AsyncIterator[ports.MultipartUpload]:
        query = [("uploads", ""), ("encoding-type", "url"), ("prefix", prefix)]
        markers: tuple[str, str] | None = None
        while True:
            more = [("key-marker", markers[0]), ("upload-id-marker", markers[1])] if markers else []
            page = await self._ask_for(calls.Call(method="GET", query=(*query, *more)), xml.read_uploads)
            for upload in page.uploads:
                yield upload
            if page.next_markers is None:
                return
            markers = page.next_markers

    # ── The rest ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def arrivals(self) -> AsyncIterator[str]:
        if self._listener is None:
            await asyncio.Event().wait()
            return
        async with aclosing(self._listener()) as keys_put:
            async for key in keys_put:
                yield key

    async def probe(self) -> Sequence[ports.ProbeLine]:
        return await probe.run(self, self._calls, self._clock)

    async def close(self) -> None:
        await self._calls.close()

    async def _ask_for(self, call: calls.Call, read: Callable[[bytes], T]) -> T:
        answer = await self._calls.ask(call)
        try:
            return read(answer.body)
        except ValueError as error:
            reason = f"its answer cannot be read ({error})"
            raise errors.StoreRefused(store=self.name, code="Unreadable", reason=reason) from error

    def _stat_of_put(
        self, key: str, answer: calls.Answer, *, size: int, content_type: str, digest: str
    ) -> ports.ObjectStat:
        theirs = checksums.read_sha256(answer.headers)
        if theirs is not None and theirs != digest:
            reason = "what it stored has another SHA-256 than what was sent"
            raise errors.StoreRefused(store=self.name, code="BadDigest", reason=reason)
        return ports.ObjectStat(
            key=key,
            size=size,
            etag=_etag(answer.headers),
            content_type=content_type,
            modified_at=self._date(answer.headers, "Date"),
            sha256=digest,
        )

    def _read_stat(self, key: str, headers: CIMultiDictProxy[str], *, size: int) -> ports.ObjectStat:
        return ports.ObjectStat(
            key=key,
            size=size,
            etag=_etag(headers),
            content_type=headers.get("Content-Type", "application/octet-stream"),
            modified_at=self._date(headers, "Last-Modified"),
            sha256=checksums.read_sha256(headers),
        )

    def _date(self, headers: CIMultiDictProxy[str], name: str) -> datetime:
        try:
            return parsedate_to_datetime(headers[name])
        except (KeyError, ValueError):
            return self._clock.now()


def _etag(headers: CIMultiDictProxy[str]) -> str:
    return headers.get("ETag", "").strip('"')


def _attachment(filename: str) -> str:
    """As RFC 6266 wants it: a plain name for old clients, the true one in UTF-8."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
