"""
Many saves in two statements.

With every call the driver gives the interpreter away and has to get it back from a busy event loop, which takes longer
than moving a run on. So the runs of many saves are looked at together, and moved on together.
"""

from collections.abc import Sequence
from functools import cache

from pupload.adapters.db import saves
from pupload.adapters.db.sqlite import Session


def save_together(session: Session, group: Sequence[saves.Save]) -> set[saves.Save]:
    """
    Writes the saves, no two of the same run; returns those that were.

    A run that is not as its save wants it is left out, and nothing of that save is written.
    """
    heads = [save.head | {"me": save.decision.run.owner} for save in group]
    guards = [head[name] for head in heads for name in _GUARD]
    found = session.connection.execute(_found(len(group)), guards).fetchone()[0]
    seqs = dict(one.split(" ") for one in found.split("\n")) if found else {}
    there = [(save, head) for save, head in zip(group, heads, strict=True) if head["run"] in seqs]
    if there:
        values = [head[name] for _, head in there for name in (*_GUARD, *_NEW)]
        moved = session.connection.execute(_moved(len(there)), values).rowcount
        assert moved == len(there), "they were looked at in this transaction"
    for save, head in there:
        save.put(session, after=int(seqs[head["run"]]))
    return {save for save, _ in there}


_GUARD = ("run", "me", "if_version", "if_fence")
_NEW = ("new_status", "new_started_at", "new_finished_at", "new_error", "new_head", "events")

_MOVE = """
    UPDATE runs SET
        version = runs.version + 1,
        status = s.column5,
        started_at = coalesce(runs.started_at, s.column6),
        finished_at = s.column7,
        error = s.column8,
        head = s.column9,
        last_seq = runs.last_seq + s.column10
"""
_IS = "runs.id = s.column1 AND runs.owner = s.column2 AND runs.version = s.column3 AND runs.fence = s.column4"


@cache
def _found(count: int) -> str:
    """Id and last sequence number of the runs that are as they should be, a line for each: one row, and one call."""
    what = "SELECT group_concat(runs.id || ' ' || runs.last_seq, char(10))"
    return f"{what} FROM {_rows(count, 4)} CROSS JOIN runs ON {_IS}"  # in this order: each is looked up by its id


@cache
def _moved(count: int) -> str:
    return f"{_MOVE} FROM {_rows(count, 10)} WHERE {_IS}"


def _rows(count: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"(VALUES {', '.join([row] * count)}) AS s"
