"""
Uploads in parts as rows: the SQL, and nothing but. Completing one is arithmetic on its parts, no copying.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from pupload.adapters.s3.embedded.index import Change
from pupload.adapters.s3.embedded.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload that was begun and neither completed nor aborted."""

    id: str
    bucket: str
    key: str
    started_ms: int
    headers: Mapping[str, str]
    """What the finished object will be sent with."""
    algorithm: str
    """The checksum its parts have; empty: whichever they bring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part that came in whole."""

    number: int
    size: int
    etag: str
    modified_ms: int
    sha256: str
    checksums: Mapping[str, str]
    blob: str


def begin(change: Change, new: Upload) -> None:
    """Its bucket must exist."""
    change.db.execute(
        "INSERT INTO uploads (id, bucket, key, started_ms, headers, algorithm) VALUES (?, ?, ?, ?, ?, ?)",
        (new.id, new.bucket, new.key.encode(), new.started_ms, json.dumps(dict(new.headers)), new.algorithm),
    )


def find(db: sqlite3.Connection, bucket: str, key: str, upload_id: str) -> Upload:
    """Raises `Refusal` NoSuchUpload."""
    row = db.execute(
        "SELECT id, bucket, key, started_ms, headers, algorithm FROM uploads WHERE id = ? AND bucket = ? AND key = ?",
        (upload_id, bucket, key.encode()),
    ).fetchone()
    if row is None:
        raise Refusal("NoSuchUpload", UploadId=upload_id)
    return _read(row)


def after(
    db: sqlite3.Connection, bucket: str, key_after: str, id_after: str | None, prefix: str, *, limit: int
) -> list[Upload]:
    """
    Those of one bucket whose key begins so, in order of key and id, behind this key and id.

    When the id is None, behind all of that key; an empty key is before all of them.
    """
    behind = "key > ?1" if id_after is None else "(key > ?1 OR (key = ?1 AND id > ?2))"
    found = db.execute(
        "SELECT id, bucket, key, started_ms, headers, algorithm FROM uploads "  # noqa: S608 - our own words
        f"WHERE bucket = ?3 AND {behind} AND substr(key, 1, ?5) = ?6 ORDER BY key, id LIMIT ?4",
        (key_after.encode(), id_after or "", bucket, limit, len(prefix.encode()), prefix.encode()),
    )
    return [_read(row) for row in found]


def of_bucket(db: sqlite3.Connection, bucket: str) -> list[str]:
    """The ids of all of them."""
    return [row[0] for row in db.execute("SELECT id FROM uploads WHERE bucket = ?", (bucket,))]


def put_part(change: Change, upload_id: str, new: Part) -> None:
    """In place of an earlier part of that number."""
    for size, blob in change.db.execute(
        "SELECT size, blob FROM parts WHERE upload = ? AND number = ?", (upload_id, new.number)
    ).fetchall():
        change.bytes -= size
        change.unneeded.append(blob)
    change.bytes += new.size
    change.db.execute(
        "INSERT OR REPLACE INTO parts (upload, number, size, etag, modified_ms, sha256, checksums, blob) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(upload_id, new.number, new.size, new.etag, new.modified_ms, new.sha256),
            *(json.dumps(dict(new.checksums)), new.blob),
        ),
    )


def parts(db: sqlite3.Connection, upload_id: str, *, after_number: int = 0, limit: int = -1) -> list[Part]:
    """In order of their numbers."""
    found = db.execute(
        "SELECT number, size, etag, modified_ms, sha256, checksums, blob FROM parts "
        "WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
        (upload_id, after_number, limit),
    )
    return [
        Part(
            number=number,
            size=size,
            etag=etag,
            modified_ms=modified_ms,
            sha256=sha256,
            checksums=json.loads(checksums),
            blob=blob,
        )
        for number, size, etag, modified_ms, sha256, checksums, blob in found
    ]


def drop(change: Change, upload_id: str, *, keeping: frozenset[str] = frozenset()) -> None:
    """The upload and its parts are gone; blobs in `keeping` belong to an object by now."""
    for part in parts(change.db, upload_id):
        change.bytes -= part.size
        if part.blob not in keeping:
            change.unneeded.append(part.blob)
    change.db.execute("DELETE FROM parts WHERE upload = ?", (upload_id,))
    change.db.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))


def _read(row: tuple[str, str, bytes, int, str, str]) -> Upload:
    upload_id, bucket, key, started_ms, headers, algorithm = row
    return Upload(
        id=upload_id,
        bucket=bucket,
        key=key.decode(),
        started_ms=started_ms,
        headers=json.loads(headers),
        algorithm=algorithm,
    )
