"""
A run put together again from its rows, or what is left of it.

A row that does not read back is `errors.Damaged`: nobody may go on with a run of which a part is guessed. But with one
that ended in ERROR nobody goes on, and whoever asks for it wants to see what there is: then each part that cannot be
read says so in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pupload import errors
from pupload.adapters.db import codec, plans, sealed, statements
from pupload.adapters.db.session import Session
from pupload.domain import artifact, flow, plan, run


@dataclass(frozen=True, slots=True)
class _Rows:
    """All that is written of a run."""

    id: str
    run: codec.RunRow
    plan: object
    nodes: Sequence[Sequence[Any]]
    artifacts: Sequence[Sequence[Any]]


def load(session: Session, seal: sealed.Seal, run_id: str, *, head: Any = statements.HEAD) -> run.Run:
    """
    The run as last saved. Raises `errors.UnknownRun`, `errors.Damaged`.

    One that ended in ERROR is given back as far as it can be read. Without its plan that is a run without nodes, with
    the error and the times that its own row tells.
    """
    named: Mapping[str, Any] = {"run": run_id}
    found = session.run(head, named).fetchone()
    if found is None:
        raise errors.UnknownRun(name=run_id)
    (sealed_plan,) = session.run(statements.PLAN, named).fetchone() or (None,)
    rows = _Rows(
        id=run_id,
        run=codec.RunRow(*found),
        plan=sealed_plan,
        nodes=session.run(statements.NODES, named).fetchall(),
        artifacts=session.run(statements.ARTIFACTS, named).fetchall(),
    )
    try:
        return _whole(rows, seal)
    except errors.Damaged:
        if rows.run.status != run.Status.ERROR:
            raise
        return _remains(rows, seal)


def _whole(rows: _Rows, seal: sealed.Seal) -> run.Run:
    planned = _plan(rows, seal)
    nodes = {name: run.NodeRun(id=name) for name in planned.nodes}
    for name, blob in rows.nodes:
        nodes[name] = codec.NODE.decode(blob, f"node {name} of run {rows.id}")
    artifacts, gone = {}, {}
    for edge, blob, gone_at in rows.artifacts:
        artifacts[edge] = _artifact(rows, edge, blob)
        if gone_at is not None:
            gone[edge] = codec.moment(gone_at)
    rest = codec.decode_head(rows.run.head, f"run {rows.id}")
    return codec.run_of(rows.id, rows.run, rest, plan=planned, nodes=nodes, artifacts=artifacts, gone=gone)


def _plan(rows: _Rows, seal: sealed.Seal) -> plan.Plan:
    what = sealed.plan(rows.id)
    return plans.PLAN.decode(seal.open(rows.plan, what), what)


def _artifact(rows: _Rows, edge: str, blob: object) -> artifact.Artifact:
    return codec.ARTIFACT.decode(blob, f"artifact {edge} of run {rows.id}")


# ── Of a run that ended in ERROR ─────────────────────────────────────────────────────────────────────────────────


def _remains(rows: _Rows, seal: sealed.Seal) -> run.Run:
    try:
        planned = _plan(rows, seal)
    except errors.Damaged:
        nothing = plan.Plan(flow=flow.Flow(name=rows.run.flow), nodes={}, edges={})
        return codec.run_of(rows.id, rows.run, {}, plan=nothing, nodes={}, artifacts={}, gone={})
    nodes = {name: run.NodeRun(id=name) for name in planned.nodes}
    for name, blob in rows.nodes:
        try:
            nodes[name] = codec.NODE.decode(blob, f"node {name} of run {rows.id}")
        except errors.Damaged as error:
            nodes[name] = run.NodeRun(id=name, status=run.NodeStatus.ERROR, error=str(error))
    artifacts = {}
    for edge, blob, _ in rows.artifacts:
        try:
            artifacts[edge] = _artifact(rows, edge, blob)
        except errors.Damaged as error:
            _blame(planned, nodes, edge, str(error))
    try:
        rest = codec.decode_head(rows.run.head, f"run {rows.id}")
    except errors.Damaged:
        rest = {}
    gone = {edge: codec.moment(at) for edge, _, at in rows.artifacts if edge in artifacts and at is not None}
    return codec.run_of(rows.id, rows.run, rest, plan=planned, nodes=nodes, artifacts=artifacts, gone=gone)


def _blame(planned: plan.Plan, nodes: dict[str, run.NodeRun], edge: str, error: str) -> None:
    """What made an artifact that is not known any more has to run again in a run that resumes this one."""
    producer = planned.edges[edge].producer if edge in planned.edges else None
    if producer in nodes:
        nodes[producer] = replace(nodes[producer], status=run.NodeStatus.ERROR, error=error)
