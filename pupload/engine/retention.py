"""
What is kept of ended runs, and for how long: carried out, a little at a time, for ever.

The database says when each run is looked at next. What is due then goes in two steps: first the database says that it
is gone, then it is deleted, and only then does the run's moment move on. A crash between leaves the run due, and every
step may come again. A store that does not answer holds up nobody but the runs whose objects it has. Several
controllers may do all of this at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pupload import errors
from pupload.domain import retention
from pupload.domain.run import Run
from pupload.engine.deleting import Deleting
from pupload.engine.driver import Driver
from pupload.engine.memory import Memory
from pupload.engine.staging import Staging
from pupload.engine.strays import Strays
from pupload.engine.tasks import Tasks
from pupload.engine.timers import first_of, sleep
from pupload.ports import Clock, Feed, RunStore, Stores

log = logging.getLogger(__name__)

LOOK_SECONDS = 300.0
"""How late something may be that another controller planned."""

GATHER_SECONDS = 1.0
"""How long ended runs are gathered, so that planning for many takes one commit."""

AGAIN_SECONDS = 600.0
"""When a run is looked at again whose objects could not be deleted."""

SWEEP_SECONDS = 3600.0
"""How often whole stores are looked through."""

KEPT_COMMITS = 200_000
"""Of so many commits a follower of all runs that comes back can be told: those of half an hour on a busy server."""

AT_ONCE = 100
"""Runs in one round."""

DOOMED_AT_ONCE = 100
"""Runs that one commit takes out of everybody's sight: some milliseconds of the writer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What the operator decides."""

    terms: retention.Terms = field(default_factory=retention.Terms)
    multipart_seconds: float = 7 * retention.DAY_SECONDS
    """How old an upload in parts may become for which no run waits."""


class Retention:
    """Deletes what is not kept any longer."""

    def __init__(
        self,
        *,
        runs: RunStore,
        driver: Driver,
        staging: Staging,
        stores: Stores,
        clock: Clock,
        keeping: Keeping,
        own_store: bool,
        memory: Memory | None = None,
        feed: Feed | None = None,
    ) -> None:
        """`own_store`: nobody but this installation keeps anything in the default store."""
        self._runs = runs
        self._driver = driver
        self._stores = stores
        self._clock = clock
        self._terms = keeping.terms
        self._memory = memory
        self._feed = feed
        self._deleting = Deleting(staging)
        self._strays = Strays(
            runs=runs,
            driver=driver,
            staging=staging,
            stores=stores,
            clock=clock,
            multipart_seconds=keeping.multipart_seconds,
            own_store=own_store,
        )
        self._agreed = False
        self._ended: dict[str, datetime | None] = {}
        self._sooner = asyncio.Event()
        self._tasks = Tasks()
        self.purged = 0
        """Runs that are gone with all they owned, since the start."""

    def start(self) -> None:
        """Tidies up from now on."""
        self._tasks.start(self._for_ever(self._round_and_rest), name="tidy up after ended runs")
        self._tasks.start(self._for_ever(self._sweep_and_rest), name="look for strays")

    @property
    def deleted(self) -> Mapping[str, int]:
        """How much was deleted since the start: `runs`, `objects`, `uploads` in parts."""
        return {"runs": self.purged, **self._deleting.done}

    async def close(self) -> None:
        """Stops; what is due stays due."""
        await self._tasks.close()

    def ended(self, run: Run) -> None:
        """The run is over: what of it is due when is planned soon."""
        self._ended[run.id] = retention.next_at(run, self._terms)
        self._sooner.set()

    async def purge(self, run_id: str) -> None:
        """
        The run does not exist any more, and what it owns is deleted soon.

        Raises `errors.UnknownRun`, `errors.NotOver`.
        """
        await self._runs.doom(run_id, self._clock.now())
        self._driver.forget(run_id)
        self._sooner.set()

    def look(self) -> None:
        """Something may be due: it is looked soon."""
        self._sooner.set()

    async def remove(self, run_id: str) -> None:
        """All that a doomed run owns is gone afterwards, and the run itself; later, where that cannot be done now."""
        await self._remove(run_id)

    async def purge_older(self, before: datetime) -> int:
        """
        As `purge` does, all runs that are over and started before; returns how many.

        Some at a time, each lot in a commit of its own: others write between.
        """
        count = 0
        while True:
            doomed = await self._runs.doom_older(before, self._clock.now(), limit=DOOMED_AT_ONCE)
            for run_id in doomed:
                self._driver.forget(run_id)
            self._sooner.set()
            count += len(doomed)
            if len(doomed) < DOOMED_AT_ONCE:
                return count

    async def round(self) -> bool:
        """Does what is due now, at most so much. Returns whether there may be more."""
        if not self._agreed:
            self._agreed = await self._agree()
        await self._plan_ended()
        untidied = await self._runs.untidied(limit=AT_ONCE)
        for run_id in untidied:
            await self._plan(run_id)
        due = await self._runs.due_for_tidying(self._clock.now(), limit=AT_ONCE)
        for run_id in due:
            await self._tidy(run_id)
        doomed = await self._runs.doomed(self._clock.now(), limit=AT_ONCE)
        for run_id in doomed:
            await self._remove(run_id)
        return AT_ONCE in (len(untidied), len(due), len(doomed))

    # ── The loops ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # nobody else would ever tidy up again
                expected = isinstance(error, errors.PuploadError)
                log.warning("tidying up is put off: %s", error, exc_info=None if expected else error)
                await sleep(self._clock, GATHER_SECONDS * 10)

    async def _round_and_rest(self) -> None:
        self._sooner.clear()
        if await self.round():
            return
        now = self._clock.now()
        planned = await self._runs.next_tidying()
        latest = now + timedelta(seconds=LOOK_SECONDS)
        if planned is None or planned > now:
            await first_of(self._clock.sleep_until(min(planned or latest, latest)), self._sooner.wait())
        await sleep(self._clock, GATHER_SECONDS)

    async def _sweep_and_rest(self) -> None:
        await self._strays.sweep()
        if self._memory is not None:
            await self._memory.tidy()
        if self._feed is not None:
            await self._feed.trim(keep=KEPT_COMMITS)
        await sleep(self._clock, SWEEP_SECONDS)

    # ── Planning ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _agree(self) -> bool:
        keep = self._terms.keep_runs_seconds
        await self._runs.agree_on_terms(
            f"resumable {self._terms.resumable_seconds:g} s, runs {'for ever' if keep is None else f'{keep:g} s'}"
        )
        return True

    async def _plan_ended(self) -> None:
        if self._ended:
            moments, self._ended = self._ended, {}
            try:
                await self._runs.plan_tidying(moments)
            except BaseException:
                self._ended = moments | self._ended
                raise

    async def _plan(self, run_id: str) -> None:
        """For a run that ended when nobody of us was there, or by terms that have changed."""
        moment = None
        try:
            moment = retention.next_at(await self._runs.load(run_id), self._terms)
        except errors.Damaged as error:
            log.warning("run %s is kept until somebody purges it: %s", run_id, error)
        except errors.UnknownRun:
            return
        await self._runs.plan_tidying({run_id: moment})

    # ── What is due ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _tidy(self, run_id: str) -> None:
        try:
            run = await self._runs.load(run_id)
        except (errors.UnknownRun, errors.Damaged):
            await self._runs.plan_tidying({run_id: None})
            return
        now = self._clock.now()
        if retention.is_purged_by(run, self._terms, now):
            await self._runs.doom(run_id, now)
            self._driver.forget(run_id)
            return
        gone = sorted(retention.gone_by(run, self._terms, now))
        await self._runs.tidied(run_id, gone=[edge for edge in gone if edge not in run.gone], at=now)
        self._driver.forget(run_id)

        async def delete() -> None:
            if gone:
                await self._deleting.artifacts(run, gone, await self._runs.kept_by_kin(run_id))
            if retention.is_swept_by(run, now):
                await self._deleting.late_uploads(run)

        if await self._deleted(run_id, delete):
            await self._runs.plan_tidying({run_id: retention.next_at(run, self._terms, now)})

    async def _remove(self, run_id: str) -> None:
        """Whatever a doomed run owns, and then the run itself."""
        self._driver.forget(run_id)

        async def delete() -> None:
            kept = await self._runs.kept_by_kin(run_id)
            try:
                run = await self._runs.load_doomed(run_id)
            except errors.Damaged:
                await self._deleting.unreadable(self._stores.default(), run_id, kept)
            else:
                await self._deleting.everything(run, kept)
                await self._deleting.notes(self._stores.default(), run_id)

        try:
            if await self._deleted(run_id, delete, doomed=True):
                while not await self._runs.erase(run_id):
                    pass  # a little at a time: others write between
                self.purged += 1
        except errors.UnknownRun:
            return  # another controller was faster

    async def _deleted(self, run_id: str, delete: Callable[[], Awaitable[None]], *, doomed: bool = False) -> bool:
        """Whether it could be done; if not, it is tried again later."""
        try:
            await delete()
        except (
            *(errors.StoreUnavailable, errors.StoreRefused, errors.ObjectForbidden, errors.ObjectAbsent),
            *(errors.PreconditionFailed, errors.Refused),
        ) as error:
            if isinstance(error, errors.UnknownRun):
                raise
            log.warning("what run %s does not need any more cannot be deleted yet: %s", run_id, error)
            later = self._clock.now() + timedelta(seconds=AGAIN_SECONDS)
            await self._runs.plan_tidying({run_id: later}, doomed=doomed)
            return False
        return True
