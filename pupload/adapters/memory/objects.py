"""
`ports.ObjectStore` in memory.

Its URLs begin with `memory://` and mean nothing to the network; `Objects.use` does with one what an HTTP client does
with a store's.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pupload import errors, ports
from pupload.domain import flow

_PIECE_BYTES = 1 << 20
_LONGEST_KEY_BYTES = 1024
_DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class _Object:
    stat: ports.ObjectStat
    data: bytes = field(repr=False)


@dataclass(slots=True)
class _Upload:
    key: str
    content_type: str
    started_at: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


class Objects:
    """One bucket."""

    notifies = True

    def __init__(
        self,
        *,
        clock: ports.Clock,
        name: str = "default",
        single_put_limit: int = 5 * 10**9,
        hands: ports.Hands | None = None,
    ) -> None:
        """`hands` read and write files, which are small then; without any the event loop's own threads do."""
        self._do = asyncio.to_thread if hands is None else hands.do
        self.name = name
        self.single_put_limit = single_put_limit
        self._clock = clock
        self._objects: dict[str, _Object] = {}
        self._uploads: dict[str, _Upload] = {}
        self._numbers = itertools.count(1)
        self._listeners: set[asyncio.Queue[str]] = set()

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
        bound = {"type": content_type, "size": None if size is None else str(size)}
        return self._url("PUT", key, expires_seconds, audience, bound)

    def presign_get(
        self,
        key: str,
        *,
        expires_seconds: int,
        filename: str | None = None,
        content_type: str | None = None,
        audience: ports.Audience = "user",
    ) -> str:
        return self._url("GET", key, expires_seconds, audience, {"filename": filename, "type": content_type})

    def presign_part(
        self, key: str, upload_id: str, number: int, *, expires_seconds: int, audience: ports.Audience = "user"
    ) -> str:
        return self._url("PUT", key, expires_seconds, audience, {"upload": upload_id, "part": str(number)})

    def _url(
        self, method: str, key: str, expires_seconds: int, audience: ports.Audience, more: dict[str, str | None]
    ) -> str:
        self._check_key(key)
        until = self._clock.now() + timedelta(seconds=expires_seconds)
        query = {"method": method, "until": until.isoformat(), "for": audience, **more}
        given = {name: value for name, value in query.items() if value is not None}
        return f"memory://{quote(self.name, safe='')}/{quote(key, safe='')}?{urlencode(given)}"

    async def use(self, method: str, url: str, data: bytes = b"", *, content_type: str = _DEFAULT_TYPE) -> bytes:
        """
        The object's bytes (GET), or the ETag of what was put (PUT).

        Raises `errors.ObjectForbidden` where the URL does not allow exactly this, or no longer.
        """
        parts = urlsplit(url)
        key, query = unquote(parts.path[1:]), dict(parse_qsl(parts.query))
        self._check(key, method, query, data, content_type)
        if method == "GET":
            return await self.read(key)
        if "upload" in query:
            return self._put_part(key, query["upload"], int(query["part"]), data).encode()
        return (await self.put_bytes(key, data, content_type=content_type)).etag.encode()

    def _check(self, key: str, method: str, query: dict[str, str], data: bytes, content_type: str) -> None:
        wrong = None
        if query["method"] != method:
            wrong = f"the URL is for {query['method']}"
        elif self._clock.now() > datetime.fromisoformat(query["until"]):
            wrong = "the URL has expired"
        elif method == "PUT" and query.get("type", content_type) != content_type:
            wrong = f"the URL is for {query['type']}"
        elif method == "PUT" and int(query.get("size", len(data))) != len(data):
            wrong = f"the URL is for {query['size']} bytes"
        if wrong is not None:
            raise errors.ObjectForbidden(key=key, store=self.name, reason=wrong)

    # ── Objects ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def ensure_ready(self) -> None:
        return

    async def stat(self, key: str) -> ports.ObjectStat:
        return self._find(key).stat

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        return self._find(key).data[start : None if length is None else start + length]

    async def stream(self, key: str, *, if_etag: str | None = None) -> AsyncIterator[bytes]:
        data = self._find(key, if_etag=if_etag).data
        for start in range(0, len(data), _PIECE_BYTES):
            yield data[start : start + _PIECE_BYTES]

    async def fetch(
        self,
        key: str,
        path: Path,
        *,
        if_etag: str | None = None,
        size: int | None = None,  # noqa: ARG002 - the promise's; all of it is at hand here
    ) -> str | None:
        found = self._find(key, if_etag=if_etag)
        await self._do(_write, path, found.data)
        return found.stat.sha256

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ports.ObjectStat:
        return await self.put_bytes(key, await self._do(path.read_bytes), content_type=content_type)

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> ports.ObjectStat:
        return self._keep(key, data, content_type, etag=sha256(data).hexdigest()[:32])

    async def copy(
        self, source: str, target: str, *, if_etag: str, content_type: str | None = None
    ) -> ports.ObjectStat:
        found = self._find(source, if_etag=if_etag)
        return self._keep(target, found.data, content_type or found.stat.content_type, etag=found.stat.etag)

    async def delete(self, key: str) -> None:
        self._check_key(key)
        self._objects.pop(key, None)

    async def list(self, prefix: str = "") -> AsyncIterator[ports.ObjectStat]:
        for key in sorted(self._objects, key=str.encode):
            if key.startswith(prefix) and (found := self._objects.get(key)) is not None:
                yield found.stat

    def _check_key(self, key: str) -> None:
        """What no store takes as a key: nothing at all, too much, or what cannot be written in UTF-8."""
        if (
            not 1 <= len(key.encode(errors="replace")) <= _LONGEST_KEY_BYTES
            or key != key.encode(errors="replace").decode()
        ):
            reason = f"a key has 1 to {_LONGEST_KEY_BYTES} bytes of UTF-8"
            raise errors.StoreRefused(store=self.name, code="InvalidKey", reason=reason)

    def _find(self, key: str, *, if_etag: str | None = None) -> _Object:
        self._check_key(key)
        found = self._objects.get(key)
        if found is None:
            raise errors.ObjectAbsent(key=key, store=self.name)
        if if_etag is not None and found.stat.etag != if_etag:
            raise errors.PreconditionFailed(key=key, store=self.name)
        return found

    def _keep(self, key: str, data: bytes, content_type: str, *, etag: str) -> ports.ObjectStat:
        self._check_key(key)
        stat = ports.ObjectStat(
            key=key,
            size=len(data),
            etag=etag,
            content_type=content_type,
            modified_at=self._clock.now(),
            sha256=sha256(data).hexdigest(),
        )
        self._objects[key] = _Object(stat, bytes(data))
        for listener in self._listeners:
            listener.put_nowait(key)
        return stat

    # ── Multipart uploads ────────────────────────────────────────────────────────────────────────────────────────

    async def begin_multipart(self, key: str, *, content_type: str | None = None) -> str:
        self._check_key(key)
        upload_id = f"upload-{next(self._numbers)}"
        self._uploads[upload_id] = _Upload(key, content_type or _DEFAULT_TYPE, self._clock.now())
        return upload_id

    async def parts(self, key: str, upload_id: str) -> Sequence[ports.Part]:
        return _list_parts(self._find_upload(key, upload_id))

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[ports.Part]) -> ports.ObjectStat:
        upload = self._find_upload(key, upload_id)
        there = {part.number: part for part in _list_parts(upload)}
        wanted = sorted(parts, key=lambda part: part.number)
        if not wanted or any(there.get(part.number) != part for part in wanted):
            reason = "one or more of the parts are not those that were put"
            raise errors.StoreRefused(store=self.name, code="InvalidPart", reason=reason)
        data = b"".join(upload.parts[part.number] for part in wanted)
        del self._uploads[upload_id]
        return self._keep(key, data, upload.content_type, etag=f"{sha256(data).hexdigest()[:32]}-{len(wanted)}")

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        upload = self._uploads.get(upload_id)
        if upload is not None and upload.key == key:
            del self._uploads[upload_id]

    async def multiparts(self, prefix: str = "") -> AsyncIterator[ports.MultipartUpload]:
        uploads = sorted(self._uploads.items(), key=lambda item: (item[1].key.encode(), item[0]))
        for upload_id, upload in uploads:
            if upload.key.startswith(prefix):
                yield ports.MultipartUpload(key=upload.key, upload_id=upload_id, started_at=upload.started_at)

    def _put_part(self, key: str, upload_id: str, number: int, data: bytes) -> str:
        upload = self._find_upload(key, upload_id)
        upload.parts[number] = data
        return _part(number, data).etag

    def _find_upload(self, key: str, upload_id: str) -> _Upload:
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise errors.ObjectAbsent(key=key, store=self.name)
        return upload

    # ── The rest ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def arrivals(self) -> AsyncIterator[str]:
        listener: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(listener)
        try:
            yield ""
            while True:
                yield await listener.get()
        finally:
            self._listeners.discard(listener)

    async def probe(self) -> Sequence[ports.ProbeLine]:
        return [ports.ProbeLine(what="keep objects", ok=True, detail="in memory: all are gone when the process ends")]

    async def close(self) -> None:
        return


class ObjectStores:
    """`ports.Stores` in memory: whatever a flow describes is an empty bucket of its own."""

    def __init__(self, *, clock: ports.Clock, default: Objects | None = None) -> None:
        self._clock = clock
        self._default = default or Objects(clock=clock)
        self._open: dict[object, Objects] = {}

    def default(self) -> Objects:
        return self._default

    def open(self, store: flow.Store) -> Objects:
        described = (store.name, store.type, frozenset(store.params.items()))
        if described not in self._open:
            self._open[described] = Objects(clock=self._clock, name=store.name)
        return self._open[described]

    async def prepare(self, store: flow.Store) -> None:
        self.open(store)


def _list_parts(upload: _Upload) -> Sequence[ports.Part]:
    return [_part(number, data) for number, data in sorted(upload.parts.items())]


def _part(number: int, data: bytes) -> ports.Part:
    return ports.Part(number=number, size=len(data), etag=sha256(data).hexdigest()[:32])


def _write(path: Path, data: bytes) -> None:
    """There only when it is whole, as with a real store."""
    beside = path.with_name(f".{sha256(path.name.encode()).hexdigest()[:16]}.part")
    beside.write_bytes(data)
    beside.chmod(0o444)
    beside.rename(path)
