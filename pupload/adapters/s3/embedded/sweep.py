"""
What a crash left lying about, put away before the first request.

A blob that no row names was being written, or had been replaced, when the process died. An upload in parts that nobody
touched for a week will not be finished.
"""

import asyncio
import sqlite3

from pupload.adapters.s3.embedded import rows, uploads
from pupload.adapters.s3.embedded.blobs import Blobs
from pupload.adapters.s3.embedded.index import Change, Index

STALE_AFTER_MS = 7 * 24 * 3600 * 1000


async def sweep(index: Index, blobs: Blobs, *, now_ms: int) -> int:
    """How many blobs were removed."""
    await index.write(lambda change: _drop_stale(change, now_ms - STALE_AFTER_MS))
    used = await index.read(rows.blobs_in_use)
    return await asyncio.get_running_loop().run_in_executor(None, _remove_unused, blobs, used)


def _drop_stale(change: Change, before_ms: int) -> None:
    for upload_id in _stale(change.db, before_ms):
        uploads.drop(change, upload_id)


def _stale(db: sqlite3.Connection, before_ms: int) -> list[str]:
    newest = "SELECT MAX(modified_ms) FROM parts WHERE parts.upload = uploads.id"
    return [
        upload_id
        for (upload_id,) in db.execute(
            f"SELECT id FROM uploads WHERE MAX(started_ms, COALESCE(({newest}), 0)) < ?",  # noqa: S608 - our own words
            (before_ms,),
        )
    ]


def _remove_unused(blobs: Blobs, used: set[str]) -> int:
    unused = [name for name in blobs.names() if name not in used]
    blobs.remove(unused)
    return len(unused)
