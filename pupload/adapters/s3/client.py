"""
`ports.ObjectStore` on any S3-compatible store.

What is asked often (HEAD, GET, PUT, LIST, DELETE, multipart) goes through our own signing and aiohttp (`calls`);
making the bucket and its rules, once at the start, is left to boto3 (`admin`).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from hashlib import sha256
from pathlib import Path

from pupload import errors, ports
from pupload.adapters.s3 import (
    admin,
    answers,
    calls,
    checksums,
    completing,
    confirming,
    copying,
    keys,
    large,
    places,
    probe,
    ranges,
    reach,
    signing,
    transfer,
    urls,
    xml,
)

log = logging.getLogger(__name__)

SINGLE_PUT_BYTES = 5 * 10**9
PART_BYTES = 16 << 20
COPY_PART_BYTES = 1 << 30
PARALLEL = 4
PARALLEL_BYTES = 64 << 20
_SMALL_BYTES = 1 << 20
_BUCKET_SEEN_SECONDS = 60.0


class S3Store(urls.Urls):
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
        guard: reach.Guard | None = None,
        parallel: int = PARALLEL,
        parallel_bytes: int = PARALLEL_BYTES,
    ) -> None:
        """
        `public_endpoint` and `node_endpoint` are the store's names for users and for containers, where they differ.
        `listener` opens the stream of keys as they arrive, where the store tells. Sizes are bytes. A HEAD is given up
        after a silence of `patience_seconds`, a longer work after multiples of it. `guard` is None for a store that the
        operator named. Files of more than `parallel_bytes` are moved in parts, `parallel` at a time; 1: in one go.
        """
        known = keys.FixedKeys(credentials) if isinstance(credentials, signing.Credentials) else credentials
        here, public, node = (
            places.Bucket(endpoint=one or endpoint, name=bucket, path_style=path_style)
            for one in (endpoint, public_endpoint, node_endpoint)
        )
        buckets: Mapping[ports.Audience, places.Bucket] = {"server": here, "user": public, "node": node}
        super().__init__(name=name, buckets=buckets, region=region, credentials=known, clock=clock)
        self.bucket = here
        self.notifies = listener is not None
        self.single_put_limit = single_put_limit
        self._listener = listener
        self._part_bytes = part_bytes
        self._parallel = parallel
        self._parallel_bytes = parallel_bytes
        self._copy_part_bytes = copy_part_bytes
        self._calls = calls.Caller(
            store=name,
            bucket=here,
            region=region,
            credentials=known,
            clock=clock,
            attempts=attempts,
            patience_seconds=patience_seconds,
            guard=guard,
        )
        self._bucket_seen_at: float | None = None

    # ── The bucket ───────────────────────────────────────────────────────────────────────────────────────────────

    async def ensure_ready(self) -> None:
        await self.keys.ready()
        await admin.ensure_bucket(self.name, self.bucket, self.region, self.keys.current(), guard=self._calls.guard)

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def stat(self, key: str) -> ports.ObjectStat:
        # Costs nothing, and makes stores that keep a checksum of the whole object tell it.
        call = calls.Call(method="HEAD", key=key, headers={"x-amz-checksum-mode": "ENABLED"}, patience=1)
        try:
            answer = await self._calls.ask(call)
        except errors.ObjectAbsent:
            await self._see_bucket()
            raise
        with self._calls.reading():
            return answers.stat_of_head(key, answer.headers, now=self._clock.now())

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

    async def fetch(self, key: str, path: Path, *, if_etag: str | None = None, size: int | None = None) -> str | None:
        if if_etag and size is not None and self._parallel > 1 and size > self._parallel_bytes:
            with suppress(ranges.NoRanges):
                ranged = ranges.pieces(self._calls, key, etag=if_etag, size=size, at_once=self._parallel)
                async with aclosing(ranged) as pieces:
                    return await transfer.write_file(pieces, path)
        async with aclosing(transfer.pieces(self._calls, key, if_etag=if_etag)) as pieces:
            return await transfer.write_file(pieces, path)

    async def list(self, prefix: str = "") -> AsyncIterator[ports.ObjectStat]:
        query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", "1000"), ("prefix", prefix)]
        token: str | None = None
        while True:
            more = [("continuation-token", token)] if token else []
            page = await self._calls.ask_for(calls.Call(method="GET", query=(*query, *more)), xml.read_objects)
            for stat in page.objects:
                yield stat
            if not page.next_token:
                return
            token = page.next_token

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> ports.ObjectStat:
        headers = {"Content-Type": content_type, "Content-Length": str(len(data))}
        call = calls.Call(method="PUT", key=key, headers=headers, body=data)
        return self._stat_of_put(call, await self._calls.ask(call), sha256(data).hexdigest())

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ports.ObjectStat:
        size = (await asyncio.to_thread(path.stat)).st_size
        if size > self.single_put_limit:
            return await self._put_in_parts(key, path, size, content_type)

        async def put() -> ports.ObjectStat:
            if self._parallel > 1 and size > self._parallel_bytes:
                try:
                    return await self._put_in_parts(key, path, size, content_type)
                except errors.ObjectAbsent as absent:
                    why = f"it took all parts of {key}, and has no such object"
                    raise calls.TryAgain(self._calls.unavailable(why)) from absent
                except errors.StoreRefused as refused:
                    log.info("store %s takes no parts, and is given %s whole: %s", self.name, key, refused)
            if size <= _SMALL_BYTES:
                return await self.put_bytes(key, await asyncio.to_thread(path.read_bytes), content_type=content_type)
            return await self._put_whole(key, path, size, content_type)

        return await confirming.confirmed(self, self._calls, put)

    async def _put_in_parts(self, key: str, path: Path, size: int, content_type: str) -> ports.ObjectStat:
        return await large.put(
            *(self, self._calls, key, path),
            size=size,
            content_type=content_type,
            part_bytes=self._part_bytes,
            at_a_time=max(self._parallel, 1),
        )

    async def _put_whole(self, key: str, path: Path, size: int, content_type: str) -> ports.ObjectStat:
        call = calls.Call(
            method="PUT",
            key=key,
            headers={"Content-Type": content_type, "Content-Length": str(size)},
            source=transfer.file_source(path, 0, size),
            patience=large.PATIENCE_TO_PUT,
        )
        answer, digest = await transfer.both(self._calls.ask(call), transfer.hash_file(path))
        return self._stat_of_put(call, answer, digest)

    def _stat_of_put(self, call: calls.Call, answer: calls.Answer, digest: str) -> ports.ObjectStat:
        if checksums.read_sha256(answer.headers) not in (None, digest):
            reason = "what it stored has another SHA-256 than what was sent"
            raise errors.StoreRefused(store=self.name, code="BadDigest", reason=reason)
        return ports.ObjectStat(
            key=call.key or "",
            size=int(call.headers["Content-Length"]),
            etag=answers.etag(answer.headers),
            content_type=call.headers["Content-Type"],
            modified_at=answers.date(answer.headers, "Date", otherwise=self._clock.now()),
            sha256=digest,
        )

    async def copy(
        self, source: str, target: str, *, if_etag: str, content_type: str | None = None
    ) -> ports.ObjectStat:
        return await copying.copy(
            self,
            self._calls,
            source,
            target,
            if_etag=if_etag,
            content_type=content_type,
            part_bytes=self._copy_part_bytes,
        )

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
        return await self._calls.ask_for(call, xml.read_upload_id)

    async def parts(self, key: str, upload_id: str) -> Sequence[ports.Part]:
        found: list[ports.Part] = []
        marker: str | None = None
        while True:
            more = [("part-number-marker", marker)] if marker else []
            call = calls.Call(method="GET", key=key, query=(("uploadId", upload_id), *more))
            page = await self._calls.ask_for(call, xml.read_parts)
            found += page.parts
            if not page.next_marker:
                return found
            marker = page.next_marker

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[ports.Part]) -> ports.ObjectStat:
        return await completing.complete(self, self._calls, key, upload_id, parts)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        try:
            await self._calls.ask(calls.Call(method="DELETE", key=key, query=(("uploadId", upload_id),)))
        except errors.ObjectAbsent:
            return

    async def multiparts(self, prefix: str = "") -> AsyncIterator[ports.MultipartUpload]:
        # Not asked for URL-encoded: radosgw encodes these keys and does not say so.
        query = [("uploads", ""), ("prefix", prefix)]
        markers: tuple[str, str] | None = None
        while True:
            more = [("key-marker", markers[0]), ("upload-id-marker", markers[1])] if markers else []
            page = await self._calls.ask_for(calls.Call(method="GET", query=(*query, *more)), xml.read_uploads)
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
