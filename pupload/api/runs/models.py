"""
Every name that goes over this surface's wire, letter for letter as its contract has it.

Answers are msgspec structs; what cannot be told yet is null where the contract shows the name, and left out else.
Bodies are described here and read in `bodies.py`, which is patient with them. Times are RFC 3339 in UTC, to the second.
"""

from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Maybe = msgspec.UnsetType


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer is."""


class Problem(Answer, frozen=True, kw_only=True):
    """
    Why a request was not answered as it hoped.

    `reason` says more where the sentence is one of the contract's own, `details` all that was found wrong;
    `request_id` is what the server's log has more under.
    """

    error: str
    reason: str | Maybe = msgspec.UNSET
    details: list[str] | Maybe = msgspec.UNSET
    request_id: str | Maybe = msgspec.UNSET


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Triggered(Answer, frozen=True, kw_only=True):
    """A run that was just made."""

    id: str
    pipeline_id: str
    status: str


class NodeRun(Answer, frozen=True, kw_only=True):
    """
    One attempt of a node. `status` is `running`, `success` or `failed`; the last attempt decides about the node.

    `attempt` counts from 0. `row_count` is of the first of the node's outputs that is a table, 0 where none is.
    `reused` says that the node did not run, for its work was done before.
    """

    id: str
    run_id: str
    node_id: str
    status: str
    attempt: int
    row_count: int
    duration_ms: int
    queue_ms: int
    rows_per_sec: float
    ready_at: Moment | Maybe = msgspec.UNSET
    started_at: Moment | None
    finished_at: Moment | None
    error: str | Maybe = msgspec.UNSET
    reused: bool | Maybe = msgspec.UNSET


class RunLine(Answer, frozen=True, kw_only=True):
    """
    A run as lists show it. `status` is `pending`, `running`, `success`, `failed` or `cancelled`.

    One that is being cancelled is `cancelled` at once, and has a `finished_at` when the last of its nodes has.
    """

    id: str
    pipeline_id: str
    status: str
    started_at: Moment | None
    finished_at: Moment | None
    error: str | Maybe = msgspec.UNSET


class Run(RunLine, frozen=True, kw_only=True):
    """A run as it stands, with an entry for every attempt of every node, in the order in which they began."""

    params: dict[str, str] | Maybe = msgspec.UNSET
    labels: dict[str, str] | Maybe = msgspec.UNSET
    resumed_from_run_id: str | Maybe = msgspec.UNSET
    node_runs: list[NodeRun]


class Cancelled(Answer, frozen=True, kw_only=True):
    """The run starts nothing more; what runs may finish."""

    status: str


class LogLine(Answer, frozen=True, kw_only=True):
    """A line that a node wrote, or that says when it began and how it ended. `level`: debug, info, warning, error."""

    run_id: str
    node_id: str
    level: str
    message: str
    timestamp: Moment
    attempt: int


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Preview(Answer, frozen=True, kw_only=True):
    """The first rows of what a node made, values by column."""

    columns: list[str]
    rows: list[dict[str, Any]]


class ColumnProfile(Answer, frozen=True, kw_only=True):
    """
    What is told of a column. `type` is number, boolean, string, or null where it holds nothing.

    Shares are 0 to 100: `null_pct` of all rows, `unique_pct` of the values that are there.
    """

    name: str
    type: str
    null_count: int
    null_pct: float
    unique_count: int
    unique_pct: float
    min_val: str | Maybe = msgspec.UNSET
    max_val: str | Maybe = msgspec.UNSET
    mean_val: float | Maybe = msgspec.UNSET
    is_numeric: bool
    sample_values: list[str]


class TableProfile(Answer, frozen=True, kw_only=True):
    """What is told of a table. `sampled`: only its beginning was read."""

    row_count: int
    column_count: int
    columns: list[ColumnProfile]
    profiling_ms: int
    sampled: bool


class ColumnSchema(Answer, frozen=True, kw_only=True):
    """A column in short."""

    name: str
    type: str
    null_pct: float


class TableSchema(Answer, frozen=True, kw_only=True):
    """The columns in short."""

    columns: list[ColumnSchema]


class Drift(Answer, frozen=True, kw_only=True):
    """Something about a column that was otherwise in the run before."""

    column: str
    type: str
    previous: str
    current: str
    severity: str


class Profiled(Answer, frozen=True, kw_only=True):
    """What is told of what a node made, and what is otherwise than in the newest earlier run of the pipeline."""

    profile: TableProfile
    schema: TableSchema
    drift: list[Drift]


class DryNode(Answer, frozen=True, kw_only=True):
    """What became of a node in a dry run: success, failed or skipped, and the first rows of what it made."""

    node_id: str
    name: str
    status: str
    columns: list[str]
    rows: list[dict[str, Any]]
    error: str | Maybe = msgspec.UNSET


# ── Pipelines, and all runs at a glance ──────────────────────────────────────────────────────────────────────────


class Pipeline(Answer, frozen=True, kw_only=True):
    """A saved flow in short. `pipeline_id` is its name, which asks for it as well; `schedule` that of its schedule."""

    id: str
    name: str
    pipeline_id: str
    description: str
    schedule: str
    enabled: bool
    tags: list[str]
    node_count: int
    edge_count: int
    source: str
    created_at: Moment
    updated_at: Moment


class Day(Answer, frozen=True, kw_only=True):
    """The runs that started on a day, in UTC, by what has become of them."""

    date: str
    success: int
    failed: int
    cancelled: int
    running: int
    total: int


class RecentRun(Answer, frozen=True, kw_only=True):
    """A run on the dashboard."""

    run_id: str
    pipeline_id: str
    pipeline_name: str
    status: str
    error: str | Maybe = msgspec.UNSET
    started_at: Moment | Maybe = msgspec.UNSET
    finished_at: Moment | Maybe = msgspec.UNSET


class Failing(Answer, frozen=True, kw_only=True):
    """A pipeline of which runs failed in the last seven days."""

    pipeline_id: str
    name: str
    fail_count: int


class Dashboard(Answer, frozen=True, kw_only=True):
    """Everything at a glance: `trends` are seven days, today at the end."""

    pipelines: list[Pipeline]
    recent_runs: list[RecentRun]
    trends: list[Day]
    top_failing: list[Failing]
    runs_today: int
    runs_yesterday: int
    runs_running: int
    running_run_ids: list[str]
    runs_24h_total: int
    runs_24h_success: int
    runs_24h_failed: int
    success_rate_24h: int


class LineageNode(Answer, frozen=True, kw_only=True):
    """What data is in, goes through or depends on: `type` is object, connection, variable or processing."""

    id: str
    type: str
    name: str
    pipeline_id: str | Maybe = msgspec.UNSET
    uses: str | Maybe = msgspec.UNSET


class LineageEdge(Answer, frozen=True, kw_only=True):
    """That data goes from one to the other (reads, writes, feeds), or that it is used there (uses)."""

    source: str
    target: str
    type: str
    pipeline_id: str
    edge: str | Maybe = msgspec.UNSET


class Lineage(Answer, frozen=True, kw_only=True):
    """Where data comes from and who uses it, across pipelines."""

    nodes: list[LineageNode]
    edges: list[LineageEdge]


class ScheduleEntry(Answer, frozen=True, kw_only=True):
    """When runs of a pipeline are started. `schedule` is the cron expression, or `@every 5m` for an interval."""

    id: str
    pipeline_id: str
    pipeline_name: str
    schedule: str
    cron: str
    timezone: str
    enabled: bool
    next_run: Moment | None
    last_run: Moment | None


class Hit(Answer, frozen=True, kw_only=True):
    """What a search found: `type` is pipeline, connection or variable."""

    type: str
    id: str
    name: str
    description: str | Maybe = msgspec.UNSET
    meta: dict[str, Any] | Maybe = msgspec.UNSET


class SystemInfo(Answer, frozen=True, kw_only=True):
    """How much there is."""

    version: str
    db_size: int
    db_size_mb: str
    pipelines: int
    active_runs: int
    max_concurrent_runs: int


class Purged(Answer, frozen=True, kw_only=True):
    """How many runs are no more."""

    deleted: int
    days: int


# ── The stream ───────────────────────────────────────────────────────────────────────────────────────────────────


class Event(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """
    A message of the stream; what is empty is left out.

    `type` is run.started, run.completed, run.failed (also of cancelled runs), node.started, node.completed,
    node.failed or log.
    """

    type: str
    run_id: str
    pipeline_id: str = ""
    node_id: str = ""
    status: str = ""
    row_count: int | Maybe = msgspec.UNSET
    duration_ms: int | Maybe = msgspec.UNSET
    error: str = ""
    level: str = ""
    message: str = ""
    timestamp: Moment


# ── What requests hold ───────────────────────────────────────────────────────────────────────────────────────────


class Request(BaseModel):
    """Described only: see `bodies.py`."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})


class TriggerRun(Request):
    """What the run is given: texts; numbers and truths are taken as their JSON."""

    params: dict[str, Any] = Field(default_factory=dict)


class ResumeRun(Request):
    """From where on everything runs again; empty: only what did not succeed."""

    from_node: str = ""


class StartBackfill(Request):
    """Dates, both included, as YYYY-MM-DD; every run gets its own as the parameter `date`, and the others as given."""

    start_date: str
    end_date: str
    params: dict[str, Any] = Field(default_factory=dict)


class PurgeRuns(Request):
    """Runs that started more than so many days ago are deleted."""

    days: int = 30
