"""How many rows nodes made: of the first output of each that is a table, as far as it is found out in a moment."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress

from pupload import errors
from pupload.api.web import Services
from pupload.domain.run import NodeStatus, Run
from pupload.engine.tasks import each_of

MOMENT_SECONDS = 1.0
"""Nobody waits longer for numbers: what was not counted by then is told the next time."""

_AT_ONCE = 4


async def of_run(
    services: Services, run: Run, *, nodes: Iterable[str] | None = None, seconds: float = MOMENT_SECONDS
) -> Mapping[str, int]:
    """Rows by node, of these or all that the flow itself has; those that made no table are left out."""
    found: dict[str, int] = {}

    async def count(node: str) -> None:
        for edge in _made(run, node):
            with suppress(errors.PuploadError):
                rows = await services.tables.rows(run, edge)
                if rows is not None:
                    found[node] = rows
                    return

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await each_of([node for node in nodes or run.plan.nodes if _is_done(run, node)], count, at_once=_AT_ONCE)
    return found


def _is_done(run: Run, node: str) -> bool:
    state = run.nodes.get(node)
    return state is not None and state.status is NodeStatus.COMPLETE


def _made(run: Run, node: str) -> list[str]:
    """The edges of its outputs on which there is one object."""
    outputs = [run.artifacts.get(port.edge) for port in run.plan.nodes[node].outputs]
    return [one.edge for one in outputs if one is not None and one.items is None]
