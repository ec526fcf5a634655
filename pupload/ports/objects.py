"""Objects, and the stores that hold them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from pupload.domain import flow, watermark

Audience = Literal["user", "server", "node"]
"""Who will use a URL: SigV4 signs the host, so it is signed for the name its user will use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """What a store knows of an object."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Without quotes. It is no hash."""
    content_type: str
    modified_at: datetime
    sha256: str | None = None
    """Lower-case hex, where the store computed it from the bytes itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a multipart upload that the store has."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLine:
    """One thing that was tried on a store."""

    what: str
    ok: bool
    warning: bool = False
    """Whether what works so could be better, or safer; with `ok` only."""
    detail: str = ""
    """What is lacking and what it costs, or how to mend it."""


class ObjectStore(Protocol):
    """
    One bucket of an S3-compatible store.

    Every method that asks the store raises `errors.StoreUnavailable` after its own retries when it cannot be reached,
    `errors.ObjectForbidden` when it says no, `errors.StoreRefused` for other refusals. Absent is `errors.ObjectAbsent`
    and nothing else is: an error is never read as "absent".
    """

    name: str
    """The flow's name for it, such as `default`."""
    notifies: bool
    """Whether `arrivals` tells of every object put: else the engine looks for itself."""
    single_put_limit: int
    """Bytes; above it an object is put in parts."""

    def presign_put(
        self,
        key: str,
        *,
        expires_seconds: int,
        content_type: str | None = None,
        size: int | None = None,
        audience: Audience = "user",
    ) -> str:
        """A URL that takes one PUT of this key. Local arithmetic, no network. A given type or size is signed in."""

    def presign_get(
        self,
        key: str,
        *,
        expires_seconds: int,
        filename: str | None = None,
        content_type: str | None = None,
        audience: Audience = "user",
    ) -> str:
        """A URL that gives the object; with `filename` as an attachment of that name, with `content_type` as that."""

    def presign_part(
        self, key: str, upload_id: str, number: int, *, expires_seconds: int, audience: Audience = "user"
    ) -> str:
        """A URL that takes one part of a multipart upload."""

    async def ensure_ready(self) -> None:
        """The bucket exists afterwards (made where the store lets us), with the CORS rules that browsers need."""

    async def stat(self, key: str) -> ObjectStat:
        """What the store knows of the object. Raises `errors.ObjectAbsent`."""

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of the object from `start`, fewer where it ends; for small pieces. Raises `errors.ObjectAbsent`."""

    def stream(self, key: str, *, if_etag: str | None = None) -> AsyncIterator[bytes]:
        """The object's bytes in pieces. Raises `errors.ObjectAbsent`, `errors.PreconditionFailed`."""

    async def fetch(self, key: str, path: Path, *, if_etag: str | None = None, size: int | None = None) -> str | None:
        """
        Makes the object a new file at `path` (its parent exists), readable by everybody. Constant memory.

        Whoever says `size` knows how many bytes it has: then a large one may come in several ranges at a time.

        The file may share its bytes with the store (a hard link): nobody may write to it. Returns the SHA-256 hex of
        the bytes written where they passed through our hands, None where they were linked (and were hashed when they
        came in). Raises `errors.ObjectAbsent`, `errors.PreconditionFailed`, `errors.DiskFull`.
        """

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ObjectStat:
        """
        Makes the file the object, in place of an earlier one. Constant memory; multipart above the limit.

        The file is given away: a store on this machine may move it. Returns the new object's stat with `sha256` set.
        `path` must be a regular file that nobody writes to any more.
        """

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> ObjectStat:
        """Makes the bytes the object. Returns its stat with `sha256` set."""

    async def copy(self, source: str, target: str, *, if_etag: str, content_type: str | None = None) -> ObjectStat:
        """
        Makes a copy inside the store; `content_type` replaces the source's.

        Raises `errors.ObjectAbsent`, `errors.PreconditionFailed` when the source has another ETag by now.
        """

    async def delete(self, key: str) -> None:
        """The object is not there afterwards; nothing happens where it was not."""

    def list(self, prefix: str = "") -> AsyncIterator[ObjectStat]:
        """All objects whose key starts so, in order of their keys."""

    async def begin_multipart(self, key: str, *, content_type: str | None = None) -> str:
        """Returns the upload's id."""

    async def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """The parts received so far. Raises `errors.ObjectAbsent` when there is no such upload."""

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectStat:
        """Makes the parts the object."""

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Throws the parts away; nothing happens where there is no such upload."""

    def multiparts(self, prefix: str = "") -> AsyncIterator[MultipartUpload]:
        """All unfinished multipart uploads whose key starts so."""

    def arrivals(self) -> AsyncIterator[str]:
        """
        Keys of objects put by anybody, as they arrive; an empty string when arrivals may have been missed.

        So it comes first, when listening has begun, and after a reconnect: "look at everything". Never ends; a store
        that does not notify yields nothing.
        """

    async def probe(self) -> Sequence[ProbeLine]:
        """Tries what pupload needs of the store under a scratch key; every line says what works and what does not."""

    async def close(self) -> None:
        """Gives up connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A copy that sealing made."""

    stat: ObjectStat
    """With `sha256` set."""
    head: bytes
    """Its first bytes."""


@runtime_checkable
class SealsAtOnce(Protocol):
    """An `ObjectStore` that does in one step what sealing an upload takes of any other: look, copy, look, read."""

    async def seal(self, source: str, target: str, *, head_bytes: int, most_bytes: int) -> Sealed | None:
        """
        Makes a copy inside the store, of the object as it is at this moment. Returns it with so many of its bytes.

        None where it cannot be done so just now: whoever asks takes the steps one by one. Raises as
        `ObjectStore.copy`; `errors.TooLarge`, and makes no copy, of an object of more than `most_bytes`.
        """


@runtime_checkable
class Lends(Protocol):
    """An `ObjectStore` on this machine, whose objects are files here."""

    async def lend(self, key: str, path: Path) -> bool:
        """
        Whether the object is a new file at `path` now, without its bytes having been moved; nobody may write to it.

        The parent exists, and nothing is at `path`. Raises as `ObjectStore.fetch`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A file that is given away to a store."""

    key: str
    path: Path
    content_type: str


@runtime_checkable
class TakesMany(Protocol):
    """An `ObjectStore` that takes many files in one step, where each alone takes as long as all together."""

    async def put_files(self, files: Sequence[Given]) -> Sequence[ObjectStat]:
        """
        As `ObjectStore.put_file` for each; their stats in the same order.

        Some may be objects where it raises.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An object that is to become a file."""

    key: str
    path: Path
    if_etag: str | None = None
    size: int | None = None


@runtime_checkable
class GivesMany(Protocol):
    """An `ObjectStore` that gives many objects in one step: to ask for each takes longer than to give it."""

    async def fetch_files(self, wanted: Sequence[Wanted]) -> Sequence[str | None]:
        """
        As `ObjectStore.fetch` for each; what it returns for them in the same order.

        Some may be files where it raises.
        """


class Stores(Protocol):
    """Makes the stores that flows name."""

    def default(self) -> ObjectStore:
        """The server's own store, named `default`."""

    def open(self, store: flow.Store) -> ObjectStore:
        """
        The store that a flow describes; one object for equal descriptions, kept open. No network.

        Raises `errors.Refused` when the description cannot be used.
        """

    async def prepare(self, store: flow.Store) -> None:
        """
        Has the keys at hand that the description names as secrets, so that its store can sign URLs at once.

        Where one is not set, signing raises `errors.StoreUnavailable` as everything else does. Raises as `open` does.
        """


class Disks(Protocol):
    """The file systems that fill up when pupload works."""

    async def look(self) -> Sequence[watermark.Space]:
        """Each of them as it is now, that of the data folder first. One that cannot be seen is left out."""
