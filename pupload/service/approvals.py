"""Approvals: what a run waits for that a person says, yes or no."""

import json
from datetime import datetime

from pupload import errors
from pupload.domain import awaiting, deadlines
from pupload.domain.plan import Origin
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.service import asking
from pupload.service.handing import Hands
from pupload.service.inputs import JSON
from pupload.service.runs import Runs
from pupload.service.views import RunView

MOST_COMMENT = 4096
"""Letters."""


class Approvals:
    """What can be said to runs that ask."""

    def __init__(self, *, engine: Engine, runs: Runs, hands: Hands) -> None:
        self._engine = engine
        self._runs = runs
        self._hands = hands

    async def answer(self, run_id: str, edge: str, *, approve: bool, comment: str = "") -> RunView:
        """
        The run, told yes or no by the caller: a yes lies on the edge from now on, with a no what waits for it fails.

        Raises `errors.UnknownRun`, `errors.NotAwaited` where nobody is asked (any more), `errors.Malformed` for too
        long a comment, `errors.TryLater`.
        """
        if len(comment) > MOST_COMMENT or not " ".join(comment.split()).isprintable():
            raise errors.Malformed(reason=f"Comment has {MOST_COMMENT} letters at most, all of which can be printed")
        run = await self._runs.find(run_id)
        if edge not in awaiting.approvals(run):
            raise errors.NotAwaited(edge=edge[:128], run=run.id, hint=_why(run, edge))
        by = asking.caller().name
        if approve:
            said = _written(by, self._engine.world.clock.now(), comment)
            if not await self._hands.put(run, edge, said, content_type=JSON):
                raise errors.TryLater(reason=f"run {run.id} has not heard of it yet")
        else:
            await self._engine.uploads.refuse(run.id, edge, _refusal(by, edge, comment))
        return await self._runs.status(run.id)


def _written(by: str, at: datetime, comment: str) -> bytes:
    said = {"approved": True, "by": by, "at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "comment": comment}
    return json.dumps(said, ensure_ascii=False).encode()


def _refusal(by: str, edge: str, comment: str) -> str:
    said = f"{by or 'somebody'} said no to edge {edge}"
    return f"{said}: {' '.join(comment.split())}" if comment.strip() else said


def _why(run: Run, edge: str) -> str:
    """For whoever answers what was not asked."""
    planned = run.plan.edges.get(edge)
    if planned is None:
        return ": the flow has no such edge"
    if planned.origin is not Origin.APPROVAL:
        return ", nor for a yes or no"
    if edge in run.artifacts:
        return ": somebody said yes already"
    if edge in deadlines.awaited(run):
        return ", and nobody is asked yet: what it is about is not there"
    return f": the run is {run.status}"
