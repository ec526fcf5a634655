"""
Many saves in one statement, so that they take one journey to the server, the commit included.

The update of the runs, the rows beside them, the mark of the writer and the news to other processes are parts of it.
A run that is not as its save wants it is left out, and nothing of that save is written; the answer names the others.
"""

from collections.abc import Sequence
from typing import Any

from pupload.adapters.db import saves

STATEMENT = """
    WITH moved AS (
        UPDATE runs SET
            version = runs.version + 1,
            status = s.status,
            started_at = coalesce(runs.started_at, s.started_at),
            finished_at = s.finished_at,
            error = s.error,
            head = s.head,
            last_seq = runs.last_seq + s.events
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[],
                    $8::text[], $9::bytea[], $10::bigint[])
            AS s (id, owner, version, fence, status, started_at, finished_at, error, head, events)
        WHERE runs.id = s.id AND runs.owner = s.owner AND runs.version = s.version AND runs.fence = s.fence
        RETURNING runs.id, runs.last_seq - s.events AS seq
    ), nodes AS (
        INSERT INTO node_runs (run_id, node_id, blob)
        SELECT n.run_id, n.node_id, n.blob
        FROM unnest($11::text[], $12::text[], $13::bytea[]) AS n (run_id, node_id, blob)
            JOIN moved ON moved.id = n.run_id
        ON CONFLICT (run_id, node_id) DO UPDATE SET blob = excluded.blob
    ), edges AS (
        INSERT INTO artifacts (run_id, edge, blob)
        SELECT a.run_id, a.edge, a.blob
        FROM unnest($14::text[], $15::text[], $16::bytea[]) AS a (run_id, edge, blob)
            JOIN moved ON moved.id = a.run_id
        ON CONFLICT (run_id, edge) DO UPDATE SET blob = excluded.blob
    ), told AS (
        INSERT INTO journal (run_id, seq, at, kind, blob)
        SELECT e.run_id, moved.seq + e.seq, e.at, e.kind, e.blob
        FROM unnest($17::text[], $18::bigint[], $19::bigint[], $20::text[], $21::bytea[])
            AS e (run_id, seq, at, kind, blob) JOIN moved ON moved.id = e.run_id
    ), fed AS (
        INSERT INTO feed (txid, run_id, kind, upto, count)
        SELECT pg_current_xact_id()::text::bigint, f.run_id, f.kind, moved.seq + f.upto, f.count
        FROM unnest($22::text[], $23::int[], $24::bigint[], $25::int[])
            WITH ORDINALITY AS f (run_id, kind, upto, count, place) JOIN moved ON moved.id = f.run_id
        ORDER BY f.place
    ), marked AS (
        INSERT INTO meta (key, value)
        SELECT $26, $27 || ' ' || extract(epoch FROM now())::bigint || ' ' || count(*) FROM moved
        ON CONFLICT (key) DO UPDATE SET value = excluded.value
    )
    SELECT id, pg_notify($28, id) FROM moved
"""
"""The third word of the mark is how many saves were done."""


def arguments(group: Sequence[saves.Save], *, row: str, mark: str, channel: str) -> list[Any]:
    """What `STATEMENT` is given, in its order: a list for each column. No two saves are of the same run."""
    heads = [save.head for save in group]
    columns: list[Any] = [
        [head["run"] for head in heads],
        [save.decision.run.owner for save in group],
        *([head[name] for head in heads] for name in _HEAD),
    ]
    nodes = [row for save in group for row in saves.node_rows(save.decision.run, save.decision.changed_nodes)]
    edges = [row for save in group for row in saves.artifact_rows(save.decision.run, save.decision.changed_edges)]
    told = [row for save in group for row in saves.event_rows(save.decision, after=0)]
    fed = [row for save in group for row in saves.feed_rows(save.decision, after=0)]
    for rows, names in ((nodes, _NODE), (edges, _EDGE), (told, _EVENT), (fed, _FED)):
        columns += ([one[name] for one in rows] for name in names)
    return [*columns, row, mark, channel]


_HEAD = ("if_version", "if_fence", "new_status", "new_started_at", "new_finished_at", "new_error", "new_head", "events")
_NODE = ("run_id", "node_id", "blob")
_EDGE = ("run_id", "edge", "blob")
_EVENT = ("run_id", "seq", "at", "kind", "blob")
_FED = ("run_id", "kind", "upto", "count")
