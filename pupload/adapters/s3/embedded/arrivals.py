"""
What arrived, in order: the part of the index that the engine follows.

Every object that comes in gets the next number in the same commit, so a reader who remembers the last number it saw
misses nothing, whichever side restarts. The history is bounded; who asks for more than it holds is told to look at
everything.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from pupload.adapters.s3.embedded.index import Index

_AT_ONCE = 100


class Bell:
    """Wakes whoever waits for the next commit that brought something."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Everybody who waits goes on."""
        self._rung.set()
        self._rung = asyncio.Event()

    def next(self) -> asyncio.Event:
        """Set at the next ring. Taken before one looks, it misses nothing."""
        return self._rung


async def follow(
    index: Index, bell: Bell, after: int | None, *, heartbeat_seconds: float
) -> AsyncGenerator[list[Any], None]:
    """
    Batches of lines for the reader, for ever; an empty object when nothing happened for so long.

    Starts behind the number `after`; with None at now, and tells where that is.
    """
    if after is None:
        after = index.look(_last)
        yield [{"seq": after}]
    while True:
        rung = bell.next()
        # At once, and not in a thread: it is a line or two, and somebody waits for them.
        lines, after = index.look(partial(_behind, after=after))
        if lines:
            yield lines
            continue
        try:
            async with asyncio.timeout(heartbeat_seconds):
                await rung.wait()
        except TimeoutError:
            yield [{}]


def _behind(db: sqlite3.Connection, *, after: int) -> tuple[list[Any], int]:
    last = _last(db)
    (oldest,) = db.execute("SELECT COALESCE(MIN(seq), ?) FROM arrivals", (last + 1,)).fetchone()
    if after > last or after < oldest - 1:
        return [{"reset": True, "seq": last}], last
    rows = db.execute(
        "SELECT seq, bucket, key, size, etag, sha256 FROM arrivals WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, _AT_ONCE),
    ).fetchall()
    names = ("seq", "bucket", "key", "size", "etag", "sha256")
    return [dict(zip(names, row, strict=True)) for row in rows], rows[-1][0] if rows else after


def _last(db: sqlite3.Connection) -> int:
    """The newest number ever given, also when its line is no longer kept."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'arrivals'").fetchone()
    return row[0] if row else 0
