"""
One decision on a run, written: a guarded update of the run, and a row for each node, edge and event that is new.

What that takes is in proportion to what the decision changed, whatever the size of the run.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pupload import errors
from pupload.adapters.db import codec, statements
from pupload.adapters.db.session import Session
from pupload.domain import events, queueing, run

EVENTS, LINES = 0, 1
"""What a row of the feed names: entries of a journal, lines of a log."""

FEED_ROW = 500
"""Events in one row of the feed, at most: whoever reads it reads all of them."""


class Save:
    """
    A job of a writer, as `session` has it: saves what is decided, and returns the run.

    Its facts are open to writers that can do several at once.
    """

    __slots__ = ("decision",)

    def __init__(self, decision: run.Decision) -> None:
        """The decision's run has the version and the owner that it gets by this."""
        self.decision = decision

    def __call__(self, session: Session) -> run.Run:
        """Raises `errors.UnknownRun`, `errors.Fenced`, `errors.Stale`."""
        new = self.decision.run
        moved = session.run(statements.SAVE_RUN, self.head | {"me": new.owner}).fetchall()
        if not moved:
            raise self.refusal(session)
        self.put(session, after=moved[0][0] - len(self.decision.events))
        return new

    @property
    def head(self) -> dict[str, Any]:
        """What becomes of the run's own row, and what it must be before; but for its owner."""
        new = self.decision.run
        return {
            "run": new.id,
            "if_version": new.version - 1,
            "if_fence": new.fence,
            "new_status": new.status.value,
            "new_started_at": started_at(self.decision),
            "new_finished_at": codec.maybe_micros(new.finished_at),
            "new_error": new.error,
            "new_head": codec.encode_head(new),
            "events": len(self.decision.events),
        }

    def put(self, session: Session, *, after: int) -> None:
        """Writes the rows beside the run's own; its events get the sequence numbers behind `after`."""
        put_nodes(session, self.decision.run, self.decision.changed_nodes)
        put_artifacts(session, self.decision.run, self.decision.changed_edges)
        append(session, self.decision, after=after)

    def refusal(self, session: Session) -> errors.PuploadError:
        """Why the run was not saved."""
        new = self.decision.run
        found = session.run(statements.GUARD, {"run": new.id}).fetchone()
        if found is None:
            return errors.UnknownRun(name=new.id)
        if tuple(found) != (new.owner, new.fence):
            return errors.Fenced(run=new.id)
        return errors.Stale(run=new.id, version=new.version - 1)


def started_at(decision: run.Decision) -> int | None:
    """The database keeps the first time it is told."""
    return codec.micros(decision.at) if queueing.starts(decision) else None


def node_rows(whole: run.Run, names: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of these nodes."""
    return [{"run_id": whole.id, "node_id": name, "blob": codec.NODE.encode(whole.nodes[name])} for name in names]


def artifact_rows(whole: run.Run, edges: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of the artifacts on these edges."""
    return [{"run_id": whole.id, "edge": edge, "blob": codec.ARTIFACT.encode(whole.artifacts[edge])} for edge in edges]


def event_rows(decision: run.Decision, *, after: int) -> list[dict[str, Any]]:
    """The journal's rows; their sequence numbers follow `after`."""
    at = codec.micros(decision.at)
    numbered = enumerate(decision.events, start=after + 1)
    return [_event_row(decision.run.id, seq, at, event) for seq, event in numbered]


def feed_rows(decision: run.Decision, *, after: int) -> list[dict[str, Any]]:
    """The feed's rows for these events, none of many."""
    run_id, last = decision.run.id, after + len(decision.events)
    ends = [*range(after + FEED_ROW, last, FEED_ROW), last] if last > after else []
    return [{"run_id": run_id, "kind": EVENTS, "upto": end, "count": (end - after - 1) % FEED_ROW + 1} for end in ends]


def _event_row(run_id: str, seq: int, at: int, event: events.Event) -> dict[str, Any]:
    kind, blob = codec.encode_event(event)
    return {"run_id": run_id, "seq": seq, "at": at, "kind": kind, "blob": blob}


def put_nodes(session: Session, whole: run.Run, names: Iterable[str]) -> None:
    """Writes these nodes."""
    session.run_many(statements.PUT_NODE, node_rows(whole, names))


def put_artifacts(session: Session, whole: run.Run, edges: Iterable[str]) -> None:
    """Writes the artifacts on these edges."""
    session.run_many(statements.PUT_ARTIFACT, artifact_rows(whole, edges))


def append(session: Session, decision: run.Decision, *, after: int) -> None:
    """Writes the decision's events."""
    session.run_many(statements.INSERT_EVENT, event_rows(decision, after=after))
    session.run_many(statements.INSERT_FEED, feed_rows(decision, after=after))


def append_one(session: Session, run_id: str, seq: int, at: datetime, event: events.Event) -> None:
    """Writes one event that no decision made."""
    session.run_many(statements.INSERT_EVENT, [_event_row(run_id, seq, codec.micros(at), event)])
    session.run_many(statements.INSERT_FEED, [{"run_id": run_id, "kind": EVENTS, "upto": seq, "count": 1}])
