"""
An attempt, from the queue to its end.

Every attempt is one task: it waits for room, brings the inputs, has its container run, stores the outputs and reports.
The same steps serve an attempt that was under way when the last controller died: each finds what is there already.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

from pupload import errors
from pupload.domain import events
from pupload.domain.plan import NodePlan
from pupload.domain.run import Attempt, AttemptRef, Failure, NodeStatus, Run
from pupload.domain.tiers import Tier
from pupload.engine import orders, verdict
from pupload.engine.admission import Admission
from pupload.engine.ahead import given
from pupload.engine.arming import Arming
from pupload.engine.clearing import empty
from pupload.engine.disks import DiskRoom
from pupload.engine.driver import Driver
from pupload.engine.footprint import Bounds, Footprint, Lookout
from pupload.engine.foresight import Foresight
from pupload.engine.handout import Handout
from pupload.engine.lease import Lease, for_ever
from pupload.engine.logs import LogPump
from pupload.engine.memory import Memory
from pupload.engine.outputs import Outputs
from pupload.engine.patience import patiently
from pupload.engine.reservations import Reservations
from pupload.engine.slots import Rank
from pupload.engine.staging import Folder, Staging
from pupload.engine.tasks import Tasks, both, ended
from pupload.engine.work import Phase, Work
from pupload.ports import Clock, Executor, Exit, Journal

log = logging.getLogger(__name__)

T = TypeVar("T")

Good = events.NodeSucceeded | events.NodeReused
"""How an attempt ends well."""

LAST_WORDS_SECONDS = 3.0
"""How long what a stopped node had said is read on, once it has ended."""

CLOSING_SECONDS = 5.0
"""What cleaning up gets when the engine is closed; what is left is found at the next start."""


class Attempts:
    """The attempts under way in this process."""

    def __init__(
        self,
        *,
        driver: Driver,
        admission: Admission,
        arming: Arming,
        staging: Staging,
        executor: Executor,
        journal: Journal,
        clock: Clock,
        limits: orders.Limits,
        handout: Handout,
        lease: Lease | None = None,
        disks: DiskRoom,
        memory: Memory,
    ) -> None:
        self._memory = memory
        self._lease = lease or for_ever(clock)
        self._driver = driver
        self._disks = disks
        self._admission = admission
        self._arming = arming
        self._staging = staging
        self._executor = executor
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._handout = handout
        self._lookout = Lookout(clock)
        self._works: dict[str, Work] = {}
        self._foresight = Foresight(driver=driver, memory=memory, arming=arming, staging=staging)
        self.reservations = Reservations(admission, foresight=self._foresight, is_begun=self.has_id)
        self._tasks = Tasks()
        self._cleaning = Tasks()
        self._busy: dict[str, set[asyncio.Task[None]]] = {}
        """What is done for the attempts of each run, cleaning up included."""
        self._unclean: dict[str, dict[str, Work]] = {}
        """By run and attempt: what could not be cleaned up."""

    def __len__(self) -> int:
        return len(self._works)

    def has(self, ref: AttemptRef) -> bool:
        """Whether the attempt is under way here."""
        return ref.id in self._works

    def has_id(self, attempt_id: str) -> bool:
        """The same, by the attempt's id."""
        return attempt_id in self._works

    def is_queued(self, attempt_id: str) -> bool:
        """Whether the attempt is under way here, and still waits for room: no container of it ever ran."""
        work = self._works.get(attempt_id)
        return work is not None and work.phase is Phase.QUEUED

    async def close(self) -> None:
        """Lets go of all attempts; their containers go on, and the next start takes them up."""
        await self._tasks.close()
        await self._foresight.close()
        await self._lookout.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._cleaning.idle()
        await self._cleaning.close()

    def start(self, run: Run, node: str, number: int) -> None:
        """Makes the attempt, once however often it is asked for."""
        ref = AttemptRef(run=run.id, node=node, number=number)
        if ref.id in self._works:
            return
        admitted = run.nodes[node].attempts[number - 1].admitted_at is not None
        # An earlier start may have made its container without getting to say so.
        phase, planned = Phase.STAGING if admitted else Phase.QUEUED, run.plan.nodes[node]
        work = self.reservations.begun(ref) or Work(ref, planned, phase=phase, container=admitted, adopted=admitted)
        work.ahead = work.ahead or self._foresight.taken(ref)
        if admitted:
            # At once, not when its task comes to it: nobody who waits may be given this room before.
            self._admission.hold(ref, orders.tier_of(planned, run.nodes[node]), keeper=work)
        self._works[ref.id] = work
        work.task = self._tasks.start(self._make(run, work), name=f"attempt {ref.id}")
        self._keep_busy(ref, work.task)
        # Not in the task's own hands: one that is cancelled before its first step never gets to its `finally`.
        work.task.add_done_callback(lambda _: self._let_go_of(work))

    def let_go(self, run_id: str) -> None:
        """The run is another's: nothing is done for its attempts any more. Containers and directories stay as is."""
        self.reservations.give_back(run_id)
        for work in [one for one in self._works.values() if one.ref.run == run_id]:
            self._let_go_of(work)
            if work.task is not None:
                work.task.cancel()

    def _let_go_of(self, work: Work) -> None:
        if self._works.get(work.ref.id) is work:
            del self._works[work.ref.id]
        work.forget()
        self._foresight.forget(work.ref)
        self._admission.release(work.ref, keeper=work)
        self._arming.look()

    async def settled(self, run_id: str) -> None:
        """
        Returns when nothing is done for any attempt of the run, and all that it had is gone.

        Raises what the engine of containers raises where something is left; asked again, it tries again.
        """
        while busy := self._busy.get(run_id):
            await asyncio.wait(busy)
        await self._arming.gone(run_id)
        for work in list(self._unclean.get(run_id, {}).values()):
            await self._clean(work)
        self._unclean.pop(run_id, None)

    def _keep_busy(self, ref: AttemptRef, task: "asyncio.Task[None]") -> None:
        self._busy.setdefault(ref.run, set()).add(task)
        task.add_done_callback(partial(self._not_busy, ref.run))

    def _not_busy(self, run_id: str, task: "asyncio.Task[None]") -> None:
        busy = self._busy[run_id]
        busy.discard(task)
        if not busy:
            del self._busy[run_id]

    def stop(self, run: Run, node: str, number: int) -> None:
        """Ends the attempt: out of the queue, or its staging is given up, or its container is stopped."""
        ref = AttemptRef(run=run.id, node=node, number=number)
        work = self._works.get(ref.id)
        if work is None or work.task is None or work.task.done():
            # Whoever made it died of an error of ours: its end must be told all the same, or the run has none.
            self._tasks.start(self._bury(run, ref), name=f"bury {ref.id}")
            return
        work.stopped = True
        if work.phase is Phase.QUEUED:
            work.task.cancel()
        elif work.phase is Phase.STAGING:
            work.break_off()
        elif work.phase is Phase.EXECUTING:
            self._tasks.start(self._stop_container(ref), name=f"stop {ref.id}")
        elif run.ending is not None:
            # It is being stored: its work is done and worth keeping, unless the whole run is to end.
            work.give_up()

    async def _bury(self, run: Run, ref: AttemptRef) -> None:
        await self._try_to_clean(run, Work(ref, run.plan.nodes[ref.node], container=True))
        reason = "internal error: nobody saw to it any more"
        end = events.AttemptFailed(node=ref.node, attempt=ref.number, failure=Failure.RUNTIME, reason=reason)
        await self._driver.report(ref.run, end)

    # ── The steps ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _make(self, run: Run, work: Work) -> None:
        ref, node = work.ref, run.plan.nodes[work.ref.node]
        attempt = run.nodes[ref.node].attempts[ref.number - 1]
        tier = orders.tier_of(node, run.nodes[ref.node])
        if work.phase is Phase.QUEUED and (done := await self._done_before(run, node, work)) is not None:
            # It takes no room.
            await self._tell(run, work, done)
            return
        held, rank = attempt.admitted_at is not None, Rank.of(self._driver.live.get(run.id, run))
        async with self._admission.place(ref, tier, held=held, keeper=work, rank=rank):
            work.phase = Phase.STAGING
            if attempt.admitted_at is None:
                # It becomes durable while the inputs are brought; nothing starts before.
                report = events.NodeAdmitted(node=ref.node, attempt=ref.number)
                work.admitting = self._driver.ask(ref.run, report)
            came_to = await self._come_to_an_end(run, node, attempt, tier, work)
            if came_to is None:
                await self._try_to_clean_up(work)
                return
            if isinstance(came_to, events.AttemptFailed):
                # What failed is gone before it is told, so that the next attempt finds a clean place.
                await self._foresight.end(ref)
                end = self._handout.masked(ref, came_to)
                await self._try_to_clean(run, work)
                await self._driver.report(ref.run, end)
            else:
                await self._tell(run, work, came_to)
                await self._foresight.end(ref)

    async def _tell(self, run: Run, work: Work, end: Good) -> None:
        """Says how the attempt ended, and has what is left of it seen to beside whoever has its room next."""
        with self._memory.learning(work.asked):
            meant = await self._driver.report(work.ref.run, end)
            if meant and work.asked is not None:
                self._memory.keep(run, work.node, work.asked, end)
        afterwards = self._see_to(run, work, end, meant=meant)
        self._keep_busy(work.ref, self._cleaning.start(afterwards, name=f"clean up {work.ref.id}"))

    async def _see_to(self, run: Run, work: Work, end: Good, *, meant: bool) -> None:
        await self._try_to_clean_up(work)
        if not meant and isinstance(end, events.NodeReused):
            # It was no news: nobody wants it any more, or it was saved before in a commit whose answer was lost.
            now = await self._patiently(lambda: self._driver.look(run.id))
            shown = {(found.store, found.key) for found in now.artifacts.values()}
            await self._memory.withdraw(run, end, but=shown)

    async def _done_before(self, run: Run, node: NodePlan, work: Work) -> events.NodeReused | None:
        """What the attempt's work came to when it was done before; nobody who wants it stopped keeps it from that."""
        # Asked a second time, what was foreseen may be long ago.
        foreseen = None if work.ahead is None or work.asked is not None else work.ahead.asked(given(run, node))
        work.asked = await self._memory.ask(run, node, work.ref, foreseen=foreseen, before=work.asked)
        if work.asked is None or work.asked.reused is None:
            return None
        work.phase = Phase.STORING
        return work.asked.reused

    async def _is_admitted(self, ref: AttemptRef, told: "asyncio.Future[bool]") -> bool:
        """Whether the attempt is still wanted now that there is room; the run knows that it has it."""
        if await told:
            return True
        # It was no news. Either it is not wanted, or it was saved before in a commit whose answer was lost.
        node = (await self._patiently(lambda: self._driver.look(ref.run))).nodes[ref.node]
        return node.status is NodeStatus.RUNNING and node.last is not None and node.last.number == ref.number

    async def _come_to_an_end(
        self, run: Run, node: NodePlan, attempt: Attempt, tier: Tier, work: Work
    ) -> Good | events.AttemptFailed | None:
        """None where the attempt is not wanted any more and was not begun."""
        try:
            return await self._execute(run, node, attempt, tier, work)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if not work.stopped or (task is not None and task.cancelling() > work.broken_off):
                raise  # this process stops; the attempt goes on without it
            if task is not None and work.broken_off:
                task.uncancel()
                work.broken_off = False
            return verdict.of_error(work.ref, error)
        except errors.PuploadError as error:
            return verdict.of_error(work.ref, error)
        except Exception as error:
            log.exception("attempt %s failed for a reason of ours", work.ref.id)
            return verdict.of_error(work.ref, error)

    async def _execute(
        self, run: Run, node: NodePlan, attempt: Attempt, tier: Tier, work: Work
    ) -> Good | events.AttemptFailed | None:
        ref = work.ref
        if attempt.executing_at is None:
            with work.bytes_moving(unless=work.stopped):
                done = await self._done_before(run, node, work)
            if done is not None:
                return done
            if not await self._begin(run, node, tier, work):
                return None
        work.container = True
        if work.adopted:
            work.folder = await self._folder_of_another(ref)
        work.phase = Phase.EXECUTING
        if work.stopped:
            self._tasks.start(self._stop_container(ref), name=f"stop {ref.id}")
        account = run.plan.account
        masker = await self._patiently(lambda: self._handout.masker(node, ref, account=account))
        pump = self._pump(node, work, masker)
        pumping = asyncio.ensure_future(self._patiently(pump.run))
        footprint = self._footprint(work, tier)
        watching = self._lookout.begin(footprint, partial(self._stop_container, ref, grace_seconds=0.0))
        outputs = self._outputs(run, node, work, footprint, since=attempt.executing_at or attempt.admitted_at)
        outputs.store_early(wanted=partial(self._wanted_early, work), stored=partial(self._foresight.look, work))
        work.outputs = outputs
        try:
            exit_ = await self._patiently(lambda: self._executor.wait(ref))
            work.phase = Phase.STORING
            outputs.has_ended()
            shortage = await self._room_made(work, outputs) if exit_.code else ""
            await self._pumped(pump, pumping, stopped=work.stopped)
            await outputs.looked()
            last, too_much = pump.last_line, footprint.too_much
            failed = verdict.of_end(work.ref, exit_, tier, last, too_much, shortage, stopped=work.stopped)
            return failed or await self._succeed(work, exit_, outputs)
        finally:
            # First: a store that is about to take a file has taken it, or has not, when this returns.
            await outputs.close()
            await ended(pumping)
            await self._lookout.end(watching)

    async def _wanted_early(self, work: Work, size: int) -> bool:
        """Whether so many bytes may be stored before it is known how the node ended: not where they filled the disk."""
        return not work.stopped and not await self._disks.lack_after(size)

    async def _room_made(self, work: Work, outputs: Outputs) -> str:
        """What is short where the disk is full. What the node wrote is gone then, or not even its log could be kept."""
        if shortage := await self._disks.lack_after():
            await outputs.close()
            await asyncio.to_thread(empty, self._folder_of(work).outputs)
        return shortage

    async def _begin(self, run: Run, node: NodePlan, tier: Tier, work: Work) -> bool:
        """
        The container runs afterwards, and the run knows.

        Returns False, and it does not run, where the attempt is not wanted any more.
        """
        ref = work.ref
        with work.bytes_moving(unless=work.stopped):
            folder, paths = await self._stage(run, node, work)
        if work.admitting is not None and not await self._is_admitted(ref, work.admitting):
            return False
        if work.stopped:
            raise asyncio.CancelledError  # before it was started
        if run.plan.stores:
            await self._patiently(lambda: self._staging.prepare(run))
        urls, secrets = self._staging.urls(run, node, ref), None
        if node.secrets:
            give = partial(self._handout.give, node, ref, owner=self._owner_of(node), account=run.plan.account)
            secrets = await self._patiently(give)
        order = orders.container(
            run, node, ref, tier, folder, paths, image=work.image, limits=self._limits, urls=urls, secrets=secrets
        )
        work.container = True

        async def start() -> None:
            # Nothing may come between: whoever was frozen in the meantime finds its lease over.
            await self._lease.sure()
            await self._executor.ensure_started(order)

        async with self._arming.making(ref):
            await self._patiently(start)
        # Told, not awaited: the container runs whether or not this is saved, and is found by its label if it is not.
        missed = await self._memory.missed(node, work.asked)
        started = events.NodeStarted(node=ref.node, attempt=ref.number, image=work.image, missed=missed)
        self._driver.tell(ref.run, started)
        return True

    async def _stage(self, run: Run, node: NodePlan, work: Work) -> tuple[Folder, dict[str, str]]:
        """The attempt's directory with its inputs, and their paths inside the container; the image is at hand."""
        paths = dict[str, str]()
        resolving = asyncio.ensure_future(self._patiently(lambda: self._executor.resolve_image(node.image)))

        async def fetch() -> None:
            found = await work.ahead.fetched(given(run, node), folder) if work.ahead is not None else None
            if found is None:
                # What was laid ahead may lie there, or in one that was there before.
                there = folder if work.ahead is None or work.ahead.fetching is None else Folder(path=folder.path)
                found = await self._patiently(lambda: self._staging.fetch_inputs(run, node, there))
            paths.update(found)

        try:
            work.container |= (claim := await self._arming.claim(work.ref)).container
            folder = claim.folder or await self._staging.make_folder(work.ref, node, owner=self._owner_of(node))
            await asyncio.sleep(0)  # where nothing had to be waited for it has not had a turn
            if resolving.done():  # as nearly always: the image is there
                work.image = resolving.result()
                await fetch()
            else:
                work.image, _ = await both(resolving, fetch())
        finally:
            await ended(resolving)
        work.made = folder
        return folder, paths

    async def _succeed(self, work: Work, exit_: Exit, outputs: Outputs) -> events.NodeSucceeded:
        ref = work.ref
        await outputs.stored_early()
        # What was not stored early: the keys that wells name, and all of an attempt that was told to stop.
        with work.bytes_moving(unless=work.given_up):
            artifacts = await outputs.store()
        warning = "a process of the node was killed for memory, but the node ended well" if exit_.oom else ""
        return events.NodeSucceeded(
            node=ref.node,
            attempt=ref.number,
            exit_code=exit_.code,
            artifacts=artifacts,
            peak_memory_bytes=exit_.peak_memory_bytes,
            warning=warning,
        )

    def _outputs(
        self, run: Run, node: NodePlan, work: Work, footprint: Footprint, *, since: datetime | None
    ) -> Outputs:
        return Outputs(
            run=run,
            node=node,
            ref=work.ref,
            folder=self._folder_of(work),
            kept=work.kept,
            since=since,
            footprint=footprint,
            staging=self._staging,
            executor=self._executor,
            clock=self._clock,
        )

    def _owner_of(self, node: NodePlan) -> tuple[int, int]:
        return orders.owner_of(node.user or self._limits.user)

    def _pump(self, node: NodePlan, work: Work, mask: Callable[[str], str]) -> LogPump:
        ref = work.ref

        def progressed(progress: float) -> None:
            report = events.NodeProgressed(node=ref.node, attempt=ref.number, progress=progress)
            self._driver.tell(ref.run, report)

        return LogPump(
            ref=ref,
            executor=self._executor,
            journal=self._journal,
            clock=self._clock,
            limit_bytes=self._limits.log_bytes,
            parser=node.progress,
            on_progress=progressed,
            mask=mask,
            is_new=not work.adopted,
        )

    def _footprint(self, work: Work, tier: Tier) -> Footprint:
        bounds = Bounds(bytes=tier.storage_bytes, files=self._limits.output_files, tier=tier.name)
        return Footprint(clock=self._clock, folder=self._folder_of(work).outputs, bounds=bounds)

    def _folder_of(self, work: Work) -> Folder:
        return work.folder or work.made or self._staging.folder(work.ref)

    async def _pumped(self, pump: LogPump, pumping: "asyncio.Future[None]", *, stopped: bool) -> None:
        """The log is in the journal: all of it, or what could be read in time of a node that was stopped."""
        if stopped:
            waiting = asyncio.ensure_future(self._clock.sleep(LAST_WORDS_SECONDS))
            await asyncio.wait({pumping, waiting}, return_when=asyncio.FIRST_COMPLETED)
            await ended(waiting)
            pump.hurry()
        await pumping

    async def _stop_container(self, ref: AttemptRef, *, grace_seconds: float | None = None) -> None:
        grace = self._limits.grace_seconds if grace_seconds is None else grace_seconds
        await self._patiently(lambda: self._executor.stop(ref, grace_seconds=grace))

    async def _folder_of_another(self, ref: AttemptRef) -> Folder | None:
        """Where the attempt's container has its files; None where that is our own directory, or there is none."""
        outputs = await self._patiently(lambda: self._executor.outputs(ref))
        return None if outputs is None or outputs == self._staging.folder(ref).outputs else Folder(path=outputs.parent)

    async def _try_to_clean(self, run: Run, work: Work) -> None:
        """The same for a failed attempt, and its outputs go too. What it came to is told even where that fails."""
        await self._lease.sure()
        await self._staging.withdraw(run, work.kept.objects, ref=work.ref, offered=work.kept.offered)
        await self._try_to_clean_up(work)

    async def _try_to_clean_up(self, work: Work) -> None:
        try:
            await self._clean(work)
        except Exception:
            log.exception("attempt %s could not be cleaned up; closing the run tries again", work.ref.id)
            self._unclean.setdefault(work.ref.run, {})[work.ref.id] = work

    async def _clean(self, work: Work) -> None:
        """Nothing of the attempt is left afterwards but its log and what it stored."""
        if work.ahead is not None:
            await work.ahead.end()
        work.container |= (await self._arming.claim(work.ref)).container
        await self._arming.under_way(work.ref)
        await self._lease.sure()
        if work.container:
            await self._patiently(lambda: self._executor.remove(work.ref))
        await self._handout.take_back(work.node, work.ref)
        await self._staging.remove_folder(work.ref, work.folder)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        return await patiently(self._clock, ask)
