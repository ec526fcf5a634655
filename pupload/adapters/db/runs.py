"""
Runs in the database.

A save is one guarded update, which also takes the sequence numbers for the journal, and one row for each node, edge
and event that is new. A node to which nothing happened yet has no row, so a big flow costs no more than what moves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pupload import errors, ports
from pupload.adapters.db import codec, retention, sealed, statements
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.domain import events, run


class Runs(retention.Retention):
    """`ports.RunStore` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal = sealed.OPEN) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def create(self, decision: run.Decision, *, idempotency_key: str | None = None) -> run.Run:
        """See `ports.RunStore.create`. Raises `errors.Broken` when there is a run of this id."""
        return await self._writer.do(
            lambda session: _create(session, self._seal, decision, idempotency_key), run_id=decision.run.id
        )

    async def load(self, run_id: str) -> run.Run:
        """See `ports.RunStore.load`."""
        return await self._readers.do(lambda session: _load(session, self._seal, run_id))

    async def load_doomed(self, run_id: str) -> run.Run:
        """See `ports.Retention.load_doomed`."""
        return await self._readers.do(lambda session: _load(session, self._seal, run_id, head=statements.DOOMED_HEAD))

    async def save(self, decision: run.Decision, *, if_version: int) -> run.Run:
        """See `ports.RunStore.save`."""
        return await self._writer.do(lambda session: _save(session, decision, if_version), run_id=decision.run.id)

    async def list(
        self, *, status: run.Status | None = None, flow: str | None = None, limit: int = 100, offset: int = 0
    ) -> ports.RunPage:
        """See `ports.RunStore.list`."""
        given = status is not None, flow is not None
        values = {"status": status and status.value, "flow": flow, "limit": max(limit, 0), "offset": max(offset, 0)}

        def page(session: Session) -> ports.RunPage:
            rows = session.run(statements.PAGES[given], values)
            found = [_summary(row) for row in rows]
            (total,) = session.run(statements.COUNTS[given], values).fetchone()
            return ports.RunPage(runs=found, total=total)

        return await self._readers.do(page)

    async def unfinished(self) -> Sequence[str]:
        """See `ports.RunStore.unfinished`."""
        going = {"one": run.Status.WAITING.value, "other": run.Status.RUNNING.value}
        return await self._readers.do(lambda session: [row[0] for row in session.run(statements.UNFINISHED, going)])

    async def condemn(self, run_id: str, reason: str, at: datetime) -> None:
        """See `ports.RunStore.condemn`."""

        def condemn(session: Session) -> None:
            values = {
                "run": run_id,
                "one": run.Status.WAITING.value,
                "other": run.Status.RUNNING.value,
                "new_status": run.Status.ERROR.value,
                "new_finished_at": codec.micros(at),
                "new_error": reason,
            }
            ended = session.run(statements.CONDEMN_RUN, values).fetchall()
            for (seq,) in ended:
                _append_one(session, run_id, seq, at, events.RunFailed(error=reason))

        await self._writer.do(condemn, run_id=run_id)

    async def delete(self, run_id: str) -> None:
        """See `ports.RunStore.delete`. Its idempotency key may be used again."""

        def delete(session: Session) -> None:
            session.run(statements.DELETE_RUN, {"run": run_id})

        await self._writer.do(delete, run_id=run_id)


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _create(session: Session, seal: sealed.Seal, decision: run.Decision, key: str | None) -> run.Run:
    if key is not None:
        earlier = session.run(statements.RUN_OF_KEY, {"key": key}).fetchone()
        if earlier is not None:
            return _load(session, seal, earlier[0])
    new = replace(decision.run, version=1)
    inserted = session.run(
        statements.INSERT_RUN,
        {
            "id": new.id,
            "flow": new.plan.flow.name,
            "status": new.status.value,
            "version": new.version,
            "created_at": codec.micros(new.created_at),
            "started_at": _started_at(decision),
            "finished_at": codec.maybe_micros(new.finished_at),
            "error": new.error,
            "idempotency_key": key,
            "last_seq": len(decision.events),
            "head": codec.encode_head(new),
            "owner": new.owner,
            "fence": new.fence,
        },
    ).fetchall()
    if not inserted:
        return _earlier(session, seal, new.id, key)
    retention.adopt(session, new)
    plan = seal.close(codec.PLAN.encode(new.plan), sealed.plan(new.id))
    session.run_many(statements.INSERT_PLAN, [{"run_id": new.id, "blob": plan}])
    _put_nodes(session, new, (name for name, node in new.nodes.items() if node != run.NodeRun(id=name)))
    _put_artifacts(session, new, new.artifacts)
    _append(session, decision, after=0)
    return new


def _earlier(session: Session, seal: sealed.Seal, run_id: str, key: str | None) -> run.Run:
    """The run that another process created with this key since we looked."""
    found = session.run(statements.RUN_OF_KEY, {"key": key}).fetchone() if key is not None else None
    if found is None:
        raise errors.Broken(reason=f"run {run_id} is there already")
    return _load(session, seal, found[0])


def _save(session: Session, decision: run.Decision, if_version: int) -> run.Run:
    new = replace(decision.run, version=if_version + 1)
    moved = session.run(
        statements.SAVE_RUN,
        {
            "run": new.id,
            "if_version": if_version,
            "new_status": new.status.value,
            "new_started_at": _started_at(decision),
            "new_finished_at": codec.maybe_micros(new.finished_at),
            "new_error": new.error,
            "new_head": codec.encode_head(new),
            "events": len(decision.events),
        },
    ).fetchall()
    if not moved:
        if session.run(statements.RUN_EXISTS, {"run": new.id}).fetchone() is None:
            raise errors.UnknownRun(name=new.id)
        raise errors.Stale(run=new.id, version=if_version)
    _put_nodes(session, new, decision.changed_nodes)
    _put_artifacts(session, new, decision.changed_edges)
    _append(session, decision, after=moved[0][0] - len(decision.events))
    return new


def _started_at(decision: run.Decision) -> int | None:
    """A run has started when it was first RUNNING; the database keeps the first time it is told."""
    return codec.micros(decision.at) if decision.run.status is run.Status.RUNNING else None


def _put_nodes(session: Session, whole: run.Run, names: Iterable[str]) -> None:
    rows = [{"run_id": whole.id, "node_id": name, "blob": codec.NODE.encode(whole.nodes[name])} for name in names]
    session.run_many(statements.PUT_NODE, rows)


def _put_artifacts(session: Session, whole: run.Run, edges: Iterable[str]) -> None:
    rows = [{"run_id": whole.id, "edge": edge, "blob": codec.ARTIFACT.encode(whole.artifacts[edge])} for edge in edges]
    session.run_many(statements.PUT_ARTIFACT, rows)


def _append(session: Session, decision: run.Decision, *, after: int) -> None:
    at = codec.micros(decision.at)
    rows = []
    for seq, event in enumerate(decision.events, start=after + 1):
        kind, blob = codec.encode_event(event)
        rows.append({"run_id": decision.run.id, "seq": seq, "at": at, "kind": kind, "blob": blob})
    session.run_many(statements.INSERT_EVENT, rows)


def _append_one(session: Session, run_id: str, seq: int, at: datetime, event: events.Event) -> None:
    kind, blob = codec.encode_event(event)
    row = {"run_id": run_id, "seq": seq, "at": codec.micros(at), "kind": kind, "blob": blob}
    session.run_many(statements.INSERT_EVENT, [row])


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _load(session: Session, seal: sealed.Seal, run_id: str, *, head: Any = statements.HEAD) -> run.Run:
    named: Mapping[str, Any] = {"run": run_id}
    found = session.run(head, named).fetchone()
    if found is None:
        raise errors.UnknownRun(name=run_id)
    (blob,) = session.run(statements.PLAN, named).fetchone() or (None,)
    what = sealed.plan(run_id)
    plan = codec.PLAN.decode(seal.open(blob, what), what)
    nodes = {name: run.NodeRun(id=name) for name in plan.nodes}
    for name, blob in session.run(statements.NODES, named):
        nodes[name] = codec.NODE.decode(blob, f"node {name} of run {run_id}")
    artifacts, gone = {}, {}
    for edge, blob, gone_at in session.run(statements.ARTIFACTS, named):
        artifacts[edge] = codec.ARTIFACT.decode(blob, f"artifact {edge} of run {run_id}")
        if gone_at is not None:
            gone[edge] = codec.moment(gone_at)
    return codec.decode_run(found[1], f"run {run_id}", plan=plan, nodes=nodes, artifacts=artifacts, gone=gone)


def _summary(row: Sequence[Any]) -> ports.RunSummary:
    run_id, flow, status, created_at, started_at, finished_at, error = row
    return ports.RunSummary(
        id=run_id,
        flow=flow,
        status=run.Status(status),
        created_at=codec.moment(created_at),
        started_at=codec.maybe_moment(started_at),
        finished_at=codec.maybe_moment(finished_at),
        error=error,
    )
