"""What runs made, as tables: rows, columns and what is otherwise than before, in the words of the wire."""

from typing import Any

import msgspec
from aiohttp import web

from pupload.api import web as shared
from pupload.api.flow import models, wire
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import tables
from pupload.domain.access import Permission
from pupload.engine import aside
from pupload.service.tables import MOST_ROWS, USUAL_ROWS, Told


class Preview(models.Answer, frozen=True, kw_only=True):
    """
    The first rows of a file.

    `Kind` is how it was read: `csv`, `tsv`, `jsonl`, `json`, `parquet`, or `text`, whose rows are its lines. Each of
    `Rows` has a value for every one of `Columns`; `Truncated` says that the file has more rows.
    """

    Kind: str
    Columns: list[str]
    Rows: list[dict[str, Any]]
    Truncated: bool


class ColumnProfile(models.Answer, frozen=True, kw_only=True):
    """
    What is told of a column. `Type` is `number`, `boolean`, `string`, or `null` where it holds nothing.

    Shares are 0 to 100: `NullPct` of all rows, `UniquePct` of the values that are there. The smallest and the largest
    value are texts. `UniqueEstimated` says that there were too many different values to count them.
    """

    Name: str
    Type: str
    NullCount: int
    NullPct: float
    UniqueCount: int
    UniquePct: float
    UniqueEstimated: bool
    IsNumeric: bool
    MinVal: str | msgspec.UnsetType = msgspec.UNSET
    MaxVal: str | msgspec.UnsetType = msgspec.UNSET
    MeanVal: float | msgspec.UnsetType = msgspec.UNSET
    SampleValues: list[str]


class TableProfile(models.Answer, frozen=True, kw_only=True):
    """What is told of a file's columns. `Sampled`: only its beginning was read, and all numbers are of that."""

    Kind: str
    RowCount: int
    ColumnCount: int
    Columns: list[ColumnProfile]
    Sampled: bool
    ProfilingMs: int


class ColumnSchema(models.Answer, frozen=True, kw_only=True):
    """A column in short."""

    Name: str
    Type: str
    NullPct: float


class TableSchema(models.Answer, frozen=True, kw_only=True):
    """The columns in short, in their order."""

    Columns: list[ColumnSchema]


class ColumnDrift(models.Answer, frozen=True, kw_only=True):
    """
    Something about a column that was otherwise in an earlier run.

    `Type` is `column_removed`, `column_added`, `type_changed` or `null_spike` (the share of nulls rose by more than 20
    points); `Severity` is `critical` or `warning`.
    """

    Column: str
    Type: str
    Previous: str
    Current: str
    Severity: str


class Profiled(models.Answer, frozen=True, kw_only=True):
    """
    What is told of the file on `Edge`.

    `Drift` is against `ComparedWith`, the newest earlier run of the saved flow (of runs of none: of a flow of the same
    name) whose file on this edge was profiled; empty where there is none.
    """

    Edge: str
    Profile: TableProfile
    Schema: TableSchema
    Drift: list[ColumnDrift]
    ComparedWith: str


async def preview(request: web.Request) -> web.Response:
    rows = shared.whole_number(request, "rows", default=USUAL_ROWS, least=1, most=MOST_ROWS)
    found = await request.app[SERVICES].tables.preview(*_run(request), **_which(request), rows=rows)
    # Of a wide table it takes a while.
    large = len(found.columns) * len(found.rows) > _MANY_CELLS
    return shared.json_bytes(await aside.aside(lambda: wire.encode(write_preview(found)), large=large))


async def profile(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].tables.profile(*_run(request), **_which(request))
    large = len(found.profile.columns) > _MANY_COLUMNS
    return shared.json_bytes(await aside.aside(lambda: wire.encode(write_profile(found)), large=large))


_MANY_CELLS, _MANY_COLUMNS = 5000, 500


def _run(request: web.Request) -> tuple[str]:
    return (request.match_info["flowRunID"],)


def _which(request: web.Request) -> dict[str, str]:
    return {name: request.query.get(name, "") for name in ("node", "edge")}


def write_preview(table: tables.Table) -> Preview:
    """The table on the wire."""
    rows = [dict(row) for row in table.rows]
    return Preview(Kind=table.kind.value, Columns=list(table.columns), Rows=rows, Truncated=table.truncated)


def write_profile(told: Told) -> Profiled:
    """What is told of a file, on the wire."""
    profile = told.profile
    return Profiled(
        Edge=told.edge,
        Profile=TableProfile(
            Kind=profile.kind.value,
            RowCount=profile.row_count,
            ColumnCount=len(profile.columns),
            Columns=[_column(each) for each in profile.columns],
            Sampled=profile.sampled,
            ProfilingMs=profile.profiling_ms,
        ),
        Schema=TableSchema(
            Columns=[ColumnSchema(Name=each.name, Type=each.type, NullPct=each.null_pct) for each in profile.columns]
        ),
        Drift=[
            ColumnDrift(
                Column=each.column,
                Type=each.type,
                Previous=each.previous,
                Current=each.current,
                Severity=each.severity.value,
            )
            for each in told.drift
        ],
        ComparedWith=told.compared,
    )


def _column(column: tables.Column) -> ColumnProfile:
    return ColumnProfile(
        Name=column.name,
        Type=column.type,
        NullCount=column.null_count,
        NullPct=column.null_pct,
        UniqueCount=column.unique_count,
        UniquePct=column.unique_pct,
        UniqueEstimated=column.unique_estimated,
        IsNumeric=column.is_numeric,
        MinVal=msgspec.UNSET if column.min_val is None else column.min_val,
        MaxVal=msgspec.UNSET if column.max_val is None else column.max_val,
        MeanVal=msgspec.UNSET if column.mean_val is None else column.mean_val,
        SampleValues=list(column.samples),
    )


_PLACE = (
    Parameter(name="node", about="What this node made: the first of its outputs that there is."),
    Parameter(name="edge", about="What lies on this edge; one of the node's, where that is named as well."),
)

ROUTES = (
    Route(
        method="GET",
        path="/api/v1/flow/preview/{flowRunID}",
        handler=preview,
        needs=Permission.RUNS_VIEW,
        summary="The first rows of a file that a run made or was given; 404 where it is no table and no text",
        answers=Preview,
        parameters=(
            *_PLACE,
            Parameter(
                name="rows",
                type="integer",
                about=f"So many at most: 1 to {MOST_ROWS}, {USUAL_ROWS} when not given.",
            ),
        ),
        lasting=True,
    ),
    Route(
        method="GET",
        path="/api/v1/flow/profile/{flowRunID}",
        handler=profile,
        needs=Permission.RUNS_VIEW,
        summary="What is told of the columns of such a file, and what is otherwise than in the run before",
        answers=Profiled,
        parameters=_PLACE,
        lasting=True,
    ),
)
