"""
Values in: what somebody says becomes the objects that a run waits for.

A text is an object of plain text, anything else one of JSON. It arrives as an upload does: its type and
content are judged, and it is sealed.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pupload import errors
from pupload.domain import deadlines
from pupload.domain.plan import Origin
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.engine.tasks import each_of
from pupload.service.runs import Runs
from pupload.service.uploads import Uploads
from pupload.service.views import RunView

MOST_BYTES = 1024 * 1024
"""Of one value as it is written: larger ones are uploaded."""

TEXT, JSON = "text/plain; charset=utf-8", "application/json"

_AT_ONCE = 8


class Inputs:
    """Gives runs what they wait for."""

    def __init__(self, *, engine: Engine, runs: Runs, uploads: Uploads) -> None:
        self._engine = engine
        self._runs = runs
        self._uploads = uploads

    async def give(self, run_id: str, value: Any) -> RunView:
        """
        Puts the value on the edge that waits for an upload; an object whose keys are such edges is shared out by them.

        Nothing is put, and nothing done, where the run waits for none and the value is None. Raises
        `errors.UnknownRun`, `errors.TooLarge`, and `errors.Malformed` where it cannot be told which edge it is for:
        nothing is put then.
        """
        run = await self._runs.find(run_id)
        return await self._put(run, check(value, awaited(run)))

    async def give_each(self, run_id: str, values: Mapping[str, Any]) -> RunView:
        """
        Puts the values on those of these edges that wait for uploads still.

        Raises `errors.UnknownRun`, `errors.TooLarge`, and `errors.Malformed` for what JSON has not: nothing is put
        then.
        """
        run = await self._runs.find(run_id)
        return await self._put(run, {edge: write(values[edge], edge) for edge in awaited(run) if edge in values})

    async def _put(self, run: Run, written: Mapping[str, tuple[bytes, str]]) -> RunView:
        await self._engine.staging.prepare(run)

        async def put(edge: str) -> None:
            data, media = written[edge]
            plan = run.plan.edges[edge]
            await self._engine.staging.store(run, plan.store).put_bytes(plan.upload_key, data, content_type=media)
            await self._uploads.complete(run.id, edge)

        await each_of(list(written), put, at_once=_AT_ONCE)
        return await self._runs.status(run.id)

    async def give_file(self, run_id: str, edge: str, path: Path, *, content_type: str) -> None:
        """Puts the file on the edge that waits for an upload. Raises `errors.UnknownRun`, `errors.NotAwaited`."""
        run = await self._runs.find(run_id)
        if edge not in awaited(run):
            raise errors.NotAwaited(edge=edge[:128], run=run.id, hint="")
        await self._engine.staging.prepare(run)
        plan = run.plan.edges[edge]
        await self._engine.staging.store(run, plan.store).put_file(plan.upload_key, path, content_type=content_type)
        await self._uploads.complete(run.id, edge)


def check(value: Any, edges: Sequence[str]) -> Mapping[str, tuple[bytes, str]]:
    """
    What is put on each of the edges, and its type.

    Raises `errors.Malformed` where that cannot be told, or written, and `errors.TooLarge`.
    """
    return {edge: write(each, edge) for edge, each in shared_out(value, edges).items()}


def awaited(run: Run) -> Sequence[str]:
    """The edges that wait for uploads, in the plan's order."""
    waiting = set(deadlines.awaited(run))
    return [name for name, edge in run.plan.edges.items() if name in waiting and edge.origin is Origin.UPLOAD]


def shared_out(value: Any, edges: Sequence[str]) -> Mapping[str, Any]:
    """What of the value is for which of the edges. Raises `errors.Malformed` where that cannot be told."""
    if not edges and value is None:
        return {}
    if isinstance(value, dict) and value and set(value) == set(edges):
        return {edge: value[edge] for edge in edges}
    if len(edges) == 1:
        return {edges[0]: value}
    if not edges:
        raise errors.Malformed(reason="the flow waits for no input")
    raise errors.Malformed(reason=f"the flow waits for several inputs: give an object with {', '.join(edges)}")


def write(value: Any, edge: str) -> tuple[bytes, str]:
    """The bytes of the value, and their type. Raises `errors.TooLarge`, `errors.Malformed` for what JSON has not."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)
        data = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise errors.Malformed(reason=f"the input of edge {edge} cannot be written as JSON") from error
    if len(data) > MOST_BYTES:
        raise errors.TooLarge(what=f"the input of edge {edge}", limit=MOST_BYTES)
    return data, TEXT if isinstance(value, str) else JSON
