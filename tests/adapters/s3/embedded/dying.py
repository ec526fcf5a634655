"""
Stores that are killed at every step of their work on the disk, one after the other: `python dying.py FLAG <arguments>`.

Each is a fork of this process (which has loaded everything), says `ready` by itself, and is followed by the next when
it dies. Steps are counted from the moment the file FLAG is there: opening, writing, syncing, linking and unlinking of
files, and both sides of a commit. At step N the N-th store gets SIGKILL: nothing is cleaned up. The first store that
ends in peace is the last.
"""

import functools
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pupload.adapters.s3.embedded import __main__ as store

FLAG = Path(sys.argv[1])
_lock = threading.Lock()
_count = 0
_fatal = 0


def step() -> None:
    """Counts, and perhaps dies."""
    global _count
    with _lock:
        if FLAG.exists():
            _count += 1
            if _count == _fatal:
                os.kill(os.getpid(), signal.SIGKILL)


def counted(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def counting(*args: Any, **kwargs: Any) -> Any:
        step()
        return call(*args, **kwargs)

    return counting


class Connection(sqlite3.Connection):
    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return super().execute(sql, *args)
        step()
        cursor = super().execute(sql, *args)
        step()
        return cursor


def live_and_die() -> None:
    """One store, in a fork."""
    for name in ("open", "writev", "fdatasync", "fsync", "link", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]
    sys.exit(store.main())


if __name__ == "__main__":
    sys.argv[1:2] = []
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    status = -1
    while status:
        _fatal += 1
        child = os.fork()
        if not child:
            live_and_die()
        _, status = os.waitpid(child, 0)
