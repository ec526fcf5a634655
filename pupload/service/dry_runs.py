"""Dry runs: a flow tried out on the first rows of what it takes; nothing of it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pupload import errors
from pupload.engine.engine import Engine
from pupload.service.flows import Flows
from pupload.service.runs import Runs
from pupload.service.views import Order

ROWS = 10
"""Of each table that a node is given, and that is shown."""

Status = Literal["success", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """What is to lie on an edge that would wait for an upload."""

    data: bytes
    content_type: str = ""
    """What it is, where its bytes do not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The same, made or taken by an earlier run."""

    run: str
    edge: str


Input = Bytes | Earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class DryNode:
    """What became of a node."""

    node: str
    name: str
    status: Status
    columns: Sequence[str] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    """Of its first output that is a table: at most `ROWS`, values by column."""
    error: str = ""


class DryRuns:
    """Tries flows out."""

    def __init__(self, *, engine: Engine, runs: Runs, flows: Flows, scratch: Path, seconds: float = 300.0) -> None:
        """
        After `seconds` a dry run is stopped, and what there is is told. `scratch` is a folder on the store's file
        system.
        """
        self._scratch = scratch
        self._engine = engine
        self._runs = runs
        self._flows = flows
        self._seconds = seconds

    async def run(
        self,
        flow: str,
        *,
        version: int | None = None,
        params: Mapping[str, str] | None = None,
        inputs: Mapping[str, Input] | None = None,
        seconds: float | None = None,
    ) -> Mapping[str, DryNode]:
        """
        What became of each node of the saved flow, by its id and in the flow's order, when all has ended.

        Whoever is cancelled stops it. Raises `errors.UnknownSavedFlow`, `errors.UnknownVersion`, and as `run_order`.
        """
        view = await self._flows.get(flow, version=version)
        order = Order(flow=view.content.flow, definitions=view.content.definitions, params=params or {})
        return await self.run_order(order, inputs=inputs, seconds=seconds)

    async def run_order(
        self, order: Order, *, inputs: Mapping[str, Input] | None = None, seconds: float | None = None
    ) -> Mapping[str, DryNode]:
        """
        The same of a flow that is not saved.

        Raises `errors.Invalid` with all findings, `errors.Malformed` for inputs of what there is not,
        `errors.UnknownRun`, `errors.DiskFull`.
        """
        raise errors.Broken(reason="not there yet")
