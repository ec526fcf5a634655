"""
Objects and buckets as rows: the SQL, and nothing but.

Functions with a `Change` run in the index's writer and count on commit; functions with a connection only read. A key
is text outside and bytes inside, because S3 orders keys by their bytes.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pupload.adapters.s3.embedded.conditions import Conditions
from pupload.adapters.s3.embedded.index import Change
from pupload.adapters.s3.embedded.refusals import Refusal

ARRIVALS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Extent:
    """A blob and how many bytes of the object it holds."""

    blob: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object: what is said of it, and where its bytes are."""

    bucket: str
    key: str
    size: int
    etag: str
    modified_ms: int
    """Milliseconds since 1970."""
    sha256: str | None
    """Hex; None while nobody has read all parts yet."""
    headers: Mapping[str, str]
    """To be sent with it, names in lower case: its type, its user metadata."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """What the client gave and the server checked: name → Base64."""
    extents: Sequence[Extent] = ()
    data: bytes | None = None
    """All of it, when it is small enough to live in its row."""
    id: int = 0
    """Of this version; the next one under the same key has another."""

    @property
    def modified_at(self) -> datetime:
        """In UTC."""
        return datetime.fromtimestamp(self.modified_ms / 1000, UTC)

    @property
    def content_type(self) -> str:
        """As it was given."""
        return self.headers.get("content-type", "binary/octet-stream")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and its CORS rules (as `cors` writes them; empty: none)."""

    name: str
    created_ms: int
    cors: str


# ── Buckets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def find_bucket(db: sqlite3.Connection, name: str) -> Bucket:
    """Raises `Refusal` NoSuchBucket."""
    row = db.execute("SELECT name, created_ms, cors FROM buckets WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise Refusal("NoSuchBucket", BucketName=name)
    return Bucket(*row)


def all_buckets(db: sqlite3.Connection) -> list[Bucket]:
    """By name."""
    return [Bucket(*row) for row in db.execute("SELECT name, created_ms, cors FROM buckets ORDER BY name")]


def add_bucket(change: Change, name: str, *, now_ms: int) -> bool:
    """Whether it is new."""
    added = change.db.execute("INSERT OR IGNORE INTO buckets (name, created_ms) VALUES (?, ?)", (name, now_ms))
    return added.rowcount == 1


def set_cors(change: Change, name: str, cors: str) -> None:
    """Raises `Refusal` NoSuchBucket."""
    find_bucket(change.db, name)
    change.db.execute("UPDATE buckets SET cors = ? WHERE name = ?", (cors, name))


def drop_bucket(change: Change, name: str) -> None:
    """Raises `Refusal`: NoSuchBucket, BucketNotEmpty. Its unfinished uploads must be gone already."""
    find_bucket(change.db, name)
    if change.db.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (name,)).fetchone():
        raise Refusal("BucketNotEmpty", BucketName=name)
    change.db.execute("DELETE FROM buckets WHERE name = ?", (name,))


# ── Objects ──────────────────────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = "id, bucket, key, size, etag, modified_ms, sha256, headers, checksums, extents, data"


def find(db: sqlite3.Connection, bucket: str, key: str) -> StoredObject | None:
    """The object, or None where the key has none."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key = ?",  # noqa: S608 - our own columns
        (bucket, key.encode()),
    ).fetchone()
    return None if row is None else _read(row)


def must_find(db: sqlite3.Connection, bucket: str, key: str) -> StoredObject:
    """The object. Raises `Refusal`: NoSuchKey, NoSuchBucket."""
    found = find(db, bucket, key)
    if found is None:
        find_bucket(db, bucket)
        raise Refusal("NoSuchKey")
    return found


def check_writing(db: sqlite3.Connection, bucket: str, key: str, conditions: Conditions) -> None:
    """Whether it may be written as things are now. Raises `Refusal`."""
    find_bucket(db, bucket)
    if conditions:
        conditions.check_writing(find(db, bucket, key))


def put(change: Change, new: StoredObject, conditions: Conditions) -> StoredObject:
    """
    Makes it the object of its key, in place of an earlier one, and notes its arrival.

    Returns it with its id. Raises `Refusal`: NoSuchBucket, and what the conditions say of the object before it.
    """
    find_bucket(change.db, new.bucket)
    before = find(change.db, new.bucket, new.key)
    conditions.check_writing(before)
    if before is not None:
        _drop(change, before)
    cursor = change.db.execute(
        "INSERT INTO objects (bucket, key, size, etag, modified_ms, sha256, headers, checksums, extents, data) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(new.bucket, new.key.encode(), new.size, new.etag, new.modified_ms, new.sha256),
            *(json.dumps(dict(new.headers)), json.dumps(dict(new.checksums)), _write_extents(new.extents), new.data),
        ),
    )
    change.objects += 1
    change.bytes += new.size
    _note_arrival(change, new)
    return replace(new, id=cursor.lastrowid or 0)


def share(change: Change, source: StoredObject) -> bool:
    """
    Another object may name the blobs of `source`, too: they go with the last of them.

    False, and nothing is changed, where that version is there no more: its blobs are on their way out.
    """
    if change.db.execute("SELECT 1 FROM objects WHERE id = ?", (source.id,)).fetchone() is None:
        return False
    change.db.executemany(
        "INSERT INTO shared (blob, names) VALUES (?, 2) ON CONFLICT (blob) DO UPDATE SET names = names + 1",
        [(extent.blob,) for extent in source.extents],
    )
    return True


def delete(change: Change, bucket: str, key: str, conditions: Conditions) -> None:
    """Nothing happens where there is none. Raises `Refusal`: NoSuchBucket, and what the conditions say."""
    find_bucket(change.db, bucket)
    before = find(change.db, bucket, key)
    conditions.check_writing(before)
    if before is not None:
        _drop(change, before)


def set_sha256(change: Change, object_id: int, sha256: str) -> None:
    """Nothing happens when that version is gone by now."""
    change.db.execute("UPDATE objects SET sha256 = ? WHERE id = ?", (sha256, object_id))


def totals(db: sqlite3.Connection) -> tuple[int, int]:
    """How many objects there are, and the bytes of objects and parts."""
    objects, size = db.execute("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM objects").fetchone()
    (parts,) = db.execute("SELECT COALESCE(SUM(size), 0) FROM parts").fetchone()
    return objects, size + parts


def blobs_in_use(db: sqlite3.Connection) -> set[str]:
    """The names of all blobs that a row speaks of."""
    used = {extent.blob for (text,) in db.execute("SELECT extents FROM objects") for extent in _read_extents(text)}
    used.update(blob for (blob,) in db.execute("SELECT blob FROM parts"))
    return used


def _drop(change: Change, before: StoredObject) -> None:
    change.db.execute("DELETE FROM objects WHERE id = ?", (before.id,))
    change.unneeded += (extent.blob for extent in before.extents if not _is_shared(change, extent.blob))
    change.objects -= 1
    change.bytes -= before.size


def _is_shared(change: Change, blob: str) -> bool:
    """Whether another object names the blob that one names no more."""
    if not change.db.execute("UPDATE shared SET names = names - 1 WHERE blob = ?", (blob,)).rowcount:
        return False
    change.db.execute("DELETE FROM shared WHERE blob = ? AND names = 1", (blob,))
    return True


def _note_arrival(change: Change, new: StoredObject) -> None:
    cursor = change.db.execute(
        "INSERT INTO arrivals (bucket, key, size, etag, sha256) VALUES (?, ?, ?, ?, ?)",
        (new.bucket, new.key, new.size, new.etag, new.sha256),
    )
    change.db.execute("DELETE FROM arrivals WHERE seq <= ?", ((cursor.lastrowid or 0) - ARRIVALS_KEPT,))
    change.arrived = True


def _read(row: tuple[int, str, bytes, int, str, int, str | None, str, str, str, bytes | None]) -> StoredObject:
    object_id, bucket, key, size, etag, modified_ms, sha256, headers, checksums, extents, data = row
    return StoredObject(
        id=object_id,
        bucket=bucket,
        key=key.decode(),
        size=size,
        etag=etag,
        modified_ms=modified_ms,
        sha256=sha256,
        headers=json.loads(headers),
        checksums=json.loads(checksums),
        extents=_read_extents(extents),
        data=data,
    )


def _write_extents(extents: Sequence[Extent]) -> str:
    return json.dumps([[extent.blob, extent.size] for extent in extents])


def _read_extents(text: str) -> tuple[Extent, ...]:
    return tuple(Extent(blob, size) for blob, size in json.loads(text))
