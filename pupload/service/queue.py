"""The queue of runs on this server: who has a slot, who waits for one, and who is to go first."""

from collections.abc import Sequence
from dataclasses import dataclass

from pupload import errors
from pupload.domain import events, priority
from pupload.domain.run import Run, Status
from pupload.engine.engine import Engine
from pupload.service import owned
from pupload.service.runs import Runs
from pupload.service.views import RunView


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The queue as it stands; of each kind of runs so many as were asked for, in the order in which they go first."""

    limit: int | None
    """How many runs may have something under way; None: any number."""
    running: Sequence[Run]
    queued: Sequence[Run]
    running_total: int
    queued_total: int


class Queue:
    """What can be asked about it."""

    def __init__(self, *, engine: Engine, runs: Runs) -> None:
        self._engine = engine
        self._runs = runs
        self._slots = engine.admission.slots

    @property
    def limit(self) -> int | None:
        """How many runs may have something under way; None: any number."""
        return self._slots.most

    def running(self) -> int:
        """How many runs have something under way, or a slot that is kept for them."""
        return len(self._running())

    def waiting(self) -> int:
        """How many runs wait for a slot."""
        return self._slots.waiting

    def standing(self, *, most: int) -> Standing:
        """
        The queue now, with `most` runs of each kind at most.

        Dry runs stand in it, and are not shown; nor are runs, or counted, that are not there for the caller.
        """
        live = self._engine.driver.live
        running = sorted(
            (live[run] for run in self._running() if run in live and owned.sees(live[run].plan)), key=_rank
        )
        queued = [run for run in self._slots.queued if run in live and _is_shown(live[run])]
        return Standing(
            limit=self.limit,
            running=running[:most],
            queued=[live[run] for run in queued[:most]],
            running_total=len(running),
            queued_total=len(queued),
        )

    async def prioritize(self, run_id: str, value: int) -> RunView:
        """
        The run has this priority from now on: what of it has no room yet goes by that.

        Raises `errors.UnknownRun`, `errors.Malformed` for what is no priority, `errors.Conflict` where the run is over.
        """
        priority.check(value)
        run = await self._runs.find(run_id)
        if run.status.terminal:
            raise errors.Conflict(reason=f"run {run.id} is {run.status}: its priority is of no use any more")
        await self._engine.driver.report(run.id, events.PriorityChanged(priority=value))
        return await self._runs.status(run.id)

    def _running(self) -> Sequence[str]:
        live = self._engine.driver.live
        if self.limit is not None:
            return sorted(run for run in self._slots.running if run not in live or not live[run].plan.ephemeral)
        return [run.id for run in live.values() if run.status is Status.RUNNING and not run.plan.ephemeral]


def _is_shown(run: Run) -> bool:
    return not run.plan.ephemeral and owned.sees(run.plan)


def _rank(run: Run) -> tuple[int, object, str]:
    return -priority.of(run), run.created_at, run.id
