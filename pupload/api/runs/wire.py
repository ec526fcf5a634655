"""What the service answers with, in this surface's words."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from pupload.api.runs import models
from pupload.domain import queueing, run, saved, tables
from pupload.domain.run import Failure, NodeRun, Run, Status
from pupload.ports import RunSummary
from pupload.service.dry_runs import DryNode
from pupload.service.tables import Told

PENDING, RUNNING, SUCCESS, FAILED, CANCELLED = "pending", "running", "success", "failed", "cancelled"

CANCELLED_BY = "cancelled by user"
"""The error of a run that was."""

_ENDED = {Status.COMPLETE: SUCCESS, Status.ERROR: FAILED, Status.STOPPED: CANCELLED}

_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """JSON."""
    return _encoder.encode(value)


def moment(at: datetime) -> str:
    """RFC 3339, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def maybe(at: datetime | None) -> str | None:
    """The same; null for none."""
    return None if at is None else moment(at)


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def pipeline_of(run_id: str, flow_id: str) -> str:
    """The id of the saved flow; of a run of none one of its own, with the same bits as the run's."""
    return flow_id or saved.new_id(run_id)


def pipeline(this: Run) -> str:
    """The same, of a run."""
    return pipeline_of(this.id, this.plan.flow_id)


def status(this: Run) -> str:
    """The run's status in one word; `cancelled` from when it was asked to end."""
    if this.status.terminal:
        return _ENDED[this.status]
    if this.ending is not None and this.ending.status is Status.STOPPED:
        return CANCELLED
    return PENDING if queueing.started_at(this) is None else RUNNING


def write_line(this: RunSummary, *, ending: bool) -> models.RunLine:
    """A run in a list; `ending` where it was asked to end and is not over."""
    return models.RunLine(
        id=this.id,
        pipeline_id=pipeline_of(this.id, this.flow_id),
        status=(word := word_of(this, ending=ending)),
        started_at=maybe(this.started_at),
        finished_at=maybe(this.finished_at),
        error=error_of(word, this.error),
    )


def word_of(this: RunSummary, *, ending: bool) -> str:
    """The same word of a run in a list."""
    if this.status.terminal:
        return _ENDED[this.status]
    return CANCELLED if ending else PENDING if this.started_at is None else RUNNING


def error_of(word: str, error: str) -> str | msgspec.UnsetType:
    """What went wrong in a run with this status; nothing where nothing did."""
    return CANCELLED_BY if word == CANCELLED else error or msgspec.UNSET


def write_run(this: Run, rows: Mapping[str, int]) -> models.Run:
    """A run with all attempts of its nodes; `rows` are those that nodes made, by node."""
    return models.Run(
        id=this.id,
        pipeline_id=pipeline(this),
        status=(word := status(this)),
        started_at=maybe(queueing.started_at(this)),
        finished_at=maybe(this.finished_at),
        error=error_of(word, this.error),
        params=dict(this.plan.params) or msgspec.UNSET,
        labels=dict(this.plan.labels) or msgspec.UNSET,
        resumed_from_run_id=this.resumed_from or msgspec.UNSET,
        node_runs=[_node_run(this, each, rows) for each in attempts(this)],
    )


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes a node run: an attempt that had room, or what was done without one."""

    node: str
    number: int
    """From 1; 0 where there was no attempt."""
    status: str
    ready_at: datetime | None
    began_at: datetime | None
    finished_at: datetime | None
    error: str = ""
    reused: bool = False

    @property
    def seconds(self) -> float:
        """How long it took; 0 while it goes on."""
        if self.began_at is None or self.finished_at is None:
            return 0.0
        return max((self.finished_at - self.began_at).total_seconds(), 0.0)


def attempts(this: Run) -> list[Attempted]:
    """All that had room, or were over without it, in the order in which they began; nodes of items are told in one."""
    found = [each for node in this.plan.nodes if node in this.nodes for each in of_node(this.nodes[node], this)]
    return sorted(found, key=lambda each: each.began_at or each.finished_at or this.created_at)


def of_node(node: NodeRun, this: Run) -> Iterator[Attempted]:
    """Those of one node."""
    if node.items is not None:
        if node.items.begun_at is not None:
            yield _of_items(node, node.items)
        return
    if node.reused and not node.attempts:
        at = this.created_at
        yield Attempted(node=node.id, number=0, status=SUCCESS, ready_at=at, began_at=at, finished_at=at, reused=True)
        return
    for attempt in node.attempts:
        if node.reused and attempt is node.attempts[-1]:
            yield _attempted(node, attempt, began_at=attempt.admitted_at or attempt.finished_at, reused=True)
        elif attempt.admitted_at is not None or attempt.failure == Failure.QUEUE:
            yield _attempted(node, attempt, began_at=attempt.admitted_at)


def _attempted(node: NodeRun, attempt: run.Attempt, *, began_at: datetime | None, reused: bool = False) -> Attempted:
    going = attempt.finished_at is None
    return Attempted(
        node=node.id,
        number=attempt.number,
        status=RUNNING if going else FAILED if attempt.failure else SUCCESS,
        ready_at=attempt.ready_at,
        began_at=began_at,
        finished_at=attempt.finished_at,
        error="" if going or not attempt.failure else attempt.reason,
        reused=reused,
    )


def _of_items(node: NodeRun, items: run.Items) -> Attempted:
    """All that runs for the items of a collection."""
    ended = items.ended_at if node.status.terminal else None
    failed = node.status in (run.NodeStatus.ERROR, run.NodeStatus.SKIPPED)
    return Attempted(
        node=node.id,
        number=1,
        status=RUNNING if ended is None else FAILED if failed else SUCCESS,
        ready_at=items.begun_at,
        began_at=items.begun_at,
        finished_at=ended,
        error=node.error,
        reused=node.reused,
    )


def _node_run(this: Run, each: Attempted, rows: Mapping[str, int]) -> models.NodeRun:
    count = rows.get(each.node, 0) if each.status == SUCCESS else 0
    queued = (each.began_at - each.ready_at).total_seconds() if each.began_at and each.ready_at else 0.0
    return models.NodeRun(
        id=run.AttemptRef(run=this.id, node=each.node, number=each.number).id,
        run_id=this.id,
        node_id=each.node,
        status=each.status,
        attempt=max(each.number - 1, 0),
        row_count=count,
        duration_ms=round(each.seconds * 1000),
        queue_ms=round(max(queued, 0.0) * 1000),
        rows_per_sec=round(per_second(count, each.seconds), 2),
        ready_at=moment(each.ready_at) if each.ready_at else msgspec.UNSET,
        started_at=maybe(each.began_at),
        finished_at=maybe(each.finished_at),
        error=each.error or msgspec.UNSET,
        reused=each.reused or msgspec.UNSET,
    )


def per_second(count: int, seconds: float) -> float:
    """Rows a second; 0 where it took no time."""
    return count / seconds if seconds else 0.0


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────


def write_preview(table: tables.Table) -> models.Preview:
    """The first rows."""
    return models.Preview(columns=list(table.columns), rows=[dict(row) for row in table.rows])


def write_profile(told: Told) -> models.Profiled:
    """What is told of columns."""
    profile = told.profile
    columns = [_column(each) for each in profile.columns]
    short = [models.ColumnSchema(name=each.name, type=each.type, null_pct=each.null_pct) for each in columns]
    return models.Profiled(
        profile=models.TableProfile(
            row_count=profile.row_count,
            column_count=len(columns),
            columns=columns,
            profiling_ms=profile.profiling_ms,
            sampled=profile.sampled,
        ),
        schema=models.TableSchema(columns=short),
        drift=[
            models.Drift(
                column=each.column,
                type=each.type,
                previous=each.previous,
                current=each.current,
                severity=each.severity.value,
            )
            for each in told.drift
        ],
    )


def _column(this: tables.Column) -> models.ColumnProfile:
    return models.ColumnProfile(
        name=this.name,
        type=this.type,
        null_count=this.null_count,
        null_pct=this.null_pct,
        unique_count=this.unique_count,
        unique_pct=this.unique_pct,
        min_val=_given(this.min_val),
        max_val=_given(this.max_val),
        mean_val=msgspec.UNSET if this.mean_val is None else this.mean_val,
        is_numeric=this.is_numeric,
        sample_values=list(this.samples),
    )


def _given(text: str | None) -> str | msgspec.UnsetType:
    return msgspec.UNSET if text is None else text


def write_dry(nodes: Iterable[DryNode]) -> dict[str, models.DryNode]:
    """What became of each node, by its id."""
    return {
        each.node: models.DryNode(
            node_id=each.node,
            name=each.name,
            status=each.status,
            columns=list(each.columns),
            rows=[dict(row) for row in each.rows],
            error=each.error or msgspec.UNSET,
        )
        for each in nodes
    }
