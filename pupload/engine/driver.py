"""
Event in, decision saved, orders out: one run at a time, many runs at once.

Every run has a mailbox. While something is in it, a task takes it out, decides, saves, and only then has the orders
carried out: after a crash an order that was not carried out is found again in the saved run. A run that waits has no
task and costs nothing but its place in memory and one alarm.

Only runs that this controller owns are in its memory. When a save says that a run is another's by now, it is let go
of, with all that was under way for it here; what was asked of it meanwhile is passed on to its owner.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

from pupload import errors
from pupload.domain import commands, deadlines, events, foreach
from pupload.domain.decide import decide_all, outstanding
from pupload.domain.run import Decision, NodeRun, NodeStatus, Run
from pupload.engine.aside import aside
from pupload.engine.lease import Lease, for_ever
from pupload.engine.patience import again
from pupload.engine.post import Post
from pupload.engine.tasks import Tasks
from pupload.engine.timers import Timers
from pupload.ports import Clock, Ids, RunStore

log = logging.getLogger(__name__)

T = TypeVar("T")

FINISHED_KEPT, FINISHED_NODES_KEPT = 1000, 100_000
"""Runs in a terminal state that are kept in memory for whoever asks, and how many nodes they may have together."""

READ_AT_ONCE = 32
"""Runs that are taken up: thousands, after a while."""

REPORTS_AT_ONCE = 256
"""Worked in by one decision, and saved in one commit: a run with very many nodes is not to keep up the others."""

STEPS_AT_ONCE = 100
"""Orders given, or events told of, before others have their turn."""

FAR = 1000
"""A report that may change so many nodes is thought about beside the event loop."""

SECOND_LOOK_SECONDS = 60.0
"""When a run is looked at again that could not take in a report."""

Act = Callable[[Run, commands.Command], None]
"""Carries an order out, or starts to."""

Reserve = Callable[[Run, NodeRun, Collection[str]], bool]
"""Holds room for a node's attempt, where there is some at once: that of these nodes, which complete, counts."""

Foresee = Callable[[Run, Sequence[commands.Command]], None]
"""Told of a run as it will be, and the orders for it, while that is being saved: it may come to nothing."""

OnEvent = Callable[[events.Event], None]
"""Told of every event once it is saved."""

_PASSING = (errors.Stale, errors.Fenced, errors.TryLater)
"""What is worth another try: the run is read anew, or the database comes back."""

ASKED = (events.CancelRequested, events.PriorityChanged)
"""Reports that nobody tells a second time: the owner of the run must hear of them. All else it finds by itself."""


@dataclass(slots=True)
class _Letter:
    report: events.Report
    answer: "asyncio.Future[bool] | None" = None
    """None where nobody waits for it."""


class Driver:
    """Owns the runs of this process."""

    def __init__(
        self,
        *,
        runs: RunStore,
        clock: Clock,
        ids: Ids,
        me: str = "",
        lease: Lease | None = None,
        post: Post | None = None,
    ) -> None:
        """`me` is this controller's id; without a `post` nobody else can own a run."""
        self._runs = runs
        self._me = me
        self._lease = lease or for_ever(clock)
        self._post_office = post
        self._clock = clock
        self._ids = ids
        self._act: Act = _nothing
        self._on_event: OnEvent = _nothing
        self._on_taken_up: Callable[[Run], None] = _nothing
        self._on_let_go: Callable[[str], None] = _nothing
        self._on_kept: Callable[[Run], None] = _nothing
        self._on_settled: Callable[[Run, Decision], None] = _nothing
        self._reserve: Reserve | None = None
        self._foresee: Foresee = _nothing
        self._give_back: Callable[[str], None] = _nothing
        self._live: dict[str, Run] = {}
        self._finished: OrderedDict[str, Run] = OrderedDict()
        self._finished_nodes = 0
        self._letters: dict[str, deque[_Letter]] = {}
        self._settling: set[str] = set()
        """Runs whose orders are being given."""
        self._tasks = Tasks()
        self._timers = Timers(clock, lambda run_id: self.tell(run_id, events.TimePassed()))

    def connect(
        self,
        act: Act,
        on_event: OnEvent,
        *,
        on_taken_up: Callable[[Run], None] | None = None,
        on_let_go: Callable[[str], None] | None = None,
        on_kept: Callable[[Run], None] | None = None,
        on_settled: Callable[[Run, Decision], None] | None = None,
        reserve: Reserve | None = None,
        foresee: Foresee | None = None,
        give_back: Callable[[str], None] | None = None,
    ) -> None:
        """
        Names who carries orders out and who is told of events; before `start`.

        `on_taken_up` is told of a run that was saved by somebody else, before its orders are given; `on_let_go` of one
        (by its id) that is not ours any more; `on_kept` of each as it was saved, before anything follows from that;
        `on_settled` of every decision once it is saved and its orders are given.
        `reserve` is asked for room for each attempt that is to start; `foresee` is told of what is about to be saved;
        `give_back` is told of a run (by its id) that it
        has no attempt to start for which room was reserved and that was not ordered. It is told only where it is known
        what was saved: a commit whose answer was lost may hold, and then its attempts have their room.
        """
        self._act, self._on_event = act, on_event
        self._on_taken_up, self._on_let_go = on_taken_up or _nothing, on_let_go or _nothing
        self._on_settled, self._on_kept = on_settled or _nothing, on_kept or _nothing
        self._reserve, self._give_back = reserve, give_back or _nothing
        self._foresee = foresee or _nothing

    def start(self) -> None:
        """Alarms ring from now on."""
        self._tasks.start(self._timers.run(), name="alarms of runs")

    async def close(self) -> None:
        """Stops deciding. What was not saved did not happen."""
        await self._tasks.close()
        for letters in self._letters.values():
            for letter in letters:
                if letter.answer is not None:
                    letter.answer.cancel()
        self._letters.clear()

    @property
    def live(self) -> dict[str, Run]:
        """Our runs in no terminal state, by id; not to be changed."""
        return self._live

    async def begin(self, decision: Decision, *, idempotency_key: str | None = None) -> Run:
        """Saves a new run and sets it going; or returns the run that was begun with this key before."""
        # Whoever asked may go away: a run that was saved must be set going all the same.
        beginning = self._begin(decision, idempotency_key)
        return await asyncio.shield(self._tasks.ask(beginning, name=f"begin {decision.run.id}"))

    async def _begin(self, decision: Decision, idempotency_key: str | None) -> Run:
        try:
            run = await self._runs.create(decision, idempotency_key=idempotency_key)
        except errors.TryLater:
            # Perhaps it was saved and only the answer was lost; and whoever asked may not ask again.
            self._tasks.start(self._take_up_if_saved(decision.run.id), name=f"look for {decision.run.id}")
            raise
        if run.id == decision.run.id:
            self._letters.setdefault(run.id, deque())  # what is reported meanwhile waits
            await self._settle(run, decision)
            self._tasks.start(self._work(run.id), name=f"run {run.id}")
        elif not run.status.terminal and run.id not in self._live and run.owner == self._me:
            run = await self._take_up(run.id)  # saved before, in a commit whose answer was lost
        return run

    async def _take_up_if_saved(self, run_id: str) -> None:
        try:
            if run_id not in self._live:
                await self._insist(partial(self._take_up, run_id))
        except errors.UnknownRun:
            log.info("run %s was not saved", run_id)

    def owns(self, run: Run) -> bool:
        """Whether the run, as given, is ours."""
        return run.owner == self._me

    async def look(self, run_id: str) -> Run:
        """The run as last saved, by whichever controller. Raises `errors.UnknownRun`."""
        # What is live here is so for as long as nobody can have taken it over.
        known = self._known(run_id) if self._lease.valid else self._finished.get(run_id)
        return known or await self._runs.load(run_id)

    def _known(self, run_id: str) -> Run | None:
        return self._live.get(run_id) or self._finished.get(run_id)

    def foreseen(self, run: Run, report: events.Report) -> Decision | None:
        """What would be decided on the report, room left aside; None where it may change too much to think it twice."""
        if run.owner != self._me or _reach_far(run, [report]):
            return None
        decision, _ = decide_all(run, [report], now=self._clock.now(), chance=_usual)
        return decision

    async def take_up(self, run_ids: Iterable[str]) -> list[Run]:
        """
        Takes up runs that are ours now, and gives the orders that each implies. Returns those that could be read.

        What one of them holds already is held before anything is given to another.
        """
        found = []
        for some in _batches(run_ids, READ_AT_ONCE):
            for run_id in some:
                if run_id in self._live:
                    self.let_go(run_id)  # it was lost, and came back with another token
            read = await asyncio.gather(*(self._read(run_id) for run_id in some))
            found += [run for run in read if run is not None and run.owner == self._me]
        for run in found:
            self._keep(run)
        for run in found:
            self.resume(run)
        return found

    async def _read(self, run_id: str) -> Run | None:
        """The run; None for one that cannot be read, which is ended: it must not stay for ever, nor keep others up."""
        try:
            return await self._runs.load(run_id)
        except errors.UnknownRun:
            return None
        except errors.Damaged as error:
            log.exception("run %s cannot be taken up", run_id)
            await self._runs.condemn(run_id, f"internal: {error}", self._clock.now())
            await self._runs.close(run_id)
            return None

    async def is_current(self, run_id: str) -> bool:
        """Whether the run as we know it is under the token that it was last given. Raises what loading it raises."""
        known = self._live.get(run_id)
        try:
            return known is not None and (await self._runs.load(run_id)).fence == known.fence
        except (errors.UnknownRun, errors.Damaged):
            return False

    def let_go(self, run_id: str) -> None:
        """The run is another's by now: nothing is done for it here any more. What it has in the world stays."""
        if self._live.pop(run_id, None) is not None:
            log.warning("run %s belongs to another controller by now", run_id)
        self.forget(run_id)
        self._settling.discard(run_id)
        self._timers.set(run_id, None)
        self._on_let_go(run_id)

    def resume(self, run: Run) -> None:
        """Gives the orders that a recovered run implies; many of them in steps, but for those of what holds room."""
        self._on_taken_up(run)
        self._timers.set(run.id, deadlines.due(run))
        orders = outstanding(run)
        if len(orders) < FAR or run.id in self._letters:
            for command in orders:
                self._act(run, command)
            self._give_back(run.id)
            return
        # What holds room is bounded by it, and what waits may be given none before all that holds some is known.
        waiting = []
        for command in orders:
            if _waits(run, command):
                waiting.append(command)
            else:
                self._act(run, command)
        self._give_back(run.id)
        self._letters[run.id] = deque()  # what is reported meanwhile waits
        self._settling.add(run.id)
        self._tasks.start(self._resume(run, waiting), name=f"take up {run.id}")

    async def _resume(self, run: Run, orders: Sequence[commands.Command]) -> None:
        await self._give(run, orders)
        self._settling.discard(run.id)
        await self._work(run.id)

    def forget(self, run_id: str) -> None:
        """Drops a finished run from memory, so that it is read anew."""
        finished = self._finished.pop(run_id, None)
        self._finished_nodes -= len(finished.nodes) if finished else 0

    def tell(self, run_id: str, report: events.Report) -> None:
        """Puts the report into the run's mailbox."""
        self._post(run_id, _Letter(report))

    def ask(self, run_id: str, report: events.Report) -> "asyncio.Future[bool]":
        """Puts the report into the run's mailbox now; what comes back later is as `report` has it."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._post(run_id, _Letter(report, answer))
        return answer

    async def report(self, run_id: str, report: events.Report) -> bool:
        """
        Puts the report into the run's mailbox and waits until it is worked in and saved.

        Returns whether it meant anything to the run: False when the run is over, or the attempt is not its current one,
        or when the run is another's and its owner did not work the report in within some seconds.
        """
        return await self.ask(run_id, report)

    # ── The mailbox ──────────────────────────────────────────────────────────────────────────────────────────────

    def _post(self, run_id: str, letter: _Letter) -> None:
        waiting = self._letters.get(run_id)
        if waiting is not None:
            waiting.append(letter)
        else:
            self._letters[run_id] = deque([letter])
            self._tasks.start(self._work(run_id), name=f"run {run_id}")

    async def _work(self, run_id: str) -> None:
        letters = self._letters[run_id]
        while letters:
            batch = list(islice(letters, REPORTS_AT_ONCE))
            await self._work_in(run_id, batch)
            for _ in batch:
                letters.popleft()
        del self._letters[run_id]

    async def _work_in(self, run_id: str, batch: list[_Letter]) -> None:
        try:
            meant = await self._decide_and_save(run_id, [letter.report for letter in batch])
        except Exception as error:
            # Whatever it was, it concerns this run alone, and whoever waits for an answer must get one.
            log.exception("run %s could not take in %s", run_id, [type(one.report).__name__ for one in batch])
            self._give_back(run_id)
            for letter in batch:
                if letter.answer is not None and not letter.answer.done():
                    letter.answer.set_exception(error)
                    letter.answer.exception()  # whoever only told us does not read it
            if run_id in self._live:
                self._timers.set(run_id, self._clock.now() + timedelta(seconds=SECOND_LOOK_SECONDS))
            return
        for letter, means in zip(batch, meant, strict=True):
            if letter.answer is not None and not letter.answer.done():
                letter.answer.set_result(means)

    async def _decide_and_save(self, run_id: str, reports: list[events.Report]) -> list[bool]:
        """Decides on all reports in their order and saves once. Returns for each whether it meant anything."""
        return await self._insist(partial(self._try_to_save, run_id, reports))

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        # A database that is away for a while must not lose what a node came to: this waits as long as it takes.
        return await again(self._clock, ask, _PASSING, pauses=(0.05, 5.0), log=log)

    async def _try_to_save(self, run_id: str, reports: list[events.Report]) -> list[bool]:
        run = self._known(run_id) or await self._take_up(run_id)
        if run.owner != self._me:
            return [await self._pass_on(run, report) for report in reports]
        far = _reach_far(run, reports)
        # Room is given out in the event loop alone, and what is far is thought about beside it.
        room = None if far or self._reserve is None else partial(self._reserve, run)
        think = partial(decide_all, run, reports, now=self._clock.now(), chance=self._ids.fraction, room=room)
        decision, meant = await aside(think, large=far)
        if decision.idle:
            # Nothing to save; but an alarm that rang too early is set again.
            self._timers.set(run.id, await self._due(run, ()))
            return meant
        self._foresee(decision.run, decision.commands)
        await self._settle(await self._save(run, decision), decision)
        return meant

    async def _save(self, run: Run, decision: Decision) -> Run:
        try:
            return await self._runs.save(decision, if_version=run.version)
        except errors.Stale:
            self._live.pop(run.id, None)
            raise
        except errors.Fenced:
            self.let_go(run.id)
            raise

    async def _pass_on(self, run: Run, report: events.Report) -> bool:
        """Whether the run's owner knows."""
        if run.status.terminal or self._post_office is None or not isinstance(report, ASKED):
            return False
        return await self._post_office.deliver(run.id, report)

    async def _take_up(self, run_id: str) -> Run:
        """
        The run as it was saved by somebody else: most likely ourselves, in a commit whose answer was lost.

        The orders that followed from it were never given then, so all that the run implies are given (again): to
        close it, too, where it is over. One that is another's is only looked at.
        """
        run = await self._runs.load(run_id)
        if run.owner != self._me:
            self.let_go(run_id)  # it may have been ours until a save found that it had moved on
            return run
        known = self._live.get(run_id)
        if known is not None and known.version >= run.version:
            return known  # somebody else took it up meanwhile
        self._keep(run)
        self.resume(run)
        return run

    async def _settle(self, run: Run, decision: Decision) -> None:
        """What follows once a decision is saved. Nothing else is decided about the run meanwhile."""
        self._keep(run)
        self._settling.add(run.id)
        if run.slot_at == decision.at:
            self._timers.set(run.id, None)  # what waited for a slot waits for room now: all of it is to be looked at
        try:
            due = await self._due(run, decision.changed_nodes)
            if run.id not in self._settling:
                return  # it was let go of: who has it now gives the orders
            self._timers.set(run.id, due)
            for some in _batches(decision.events, STEPS_AT_ONCE):
                for event in some:
                    self._on_event(event)
                await self._others_go(some)
            if await self._give(run, decision.commands):
                self._give_back(run.id)
                self._on_settled(run, decision)
        finally:
            self._settling.discard(run.id)

    async def _give(self, run: Run, orders: Sequence[commands.Command]) -> bool:
        """Gives the orders, in steps. Returns whether all were given: not where the run was let go of meanwhile."""
        for some in _batches(orders, STEPS_AT_ONCE):
            for command in some:
                self._act(run, command)
            await self._others_go(some)
            if run.id not in self._settling:
                return False
        return True

    async def _others_go(self, done: Sequence[object]) -> None:
        """Before more of the same: thousands at once would keep everybody else waiting."""
        if len(done) == STEPS_AT_ONCE:
            await asyncio.sleep(0)

    async def _due(self, run: Run, changed: Collection[str]) -> datetime | None:
        """When to look at the run: not too late, perhaps early, so that not all of it is looked through every time."""
        known = self._timers.get(run.id)
        if known is None or run.status.terminal:
            return await aside(partial(deadlines.due, run), large=len(run.nodes) >= FAR)
        return await aside(partial(deadlines.sooner, run, known, changed), large=len(changed) >= FAR)

    def _keep(self, run: Run) -> None:
        self._on_kept(run)
        if not run.status.terminal:
            self._live[run.id] = run
            return
        self._live.pop(run.id, None)
        self.forget(run.id)
        self._finished[run.id] = run
        self._finished_nodes += len(run.nodes)
        while len(self._finished) > FINISHED_KEPT or self._finished_nodes > FINISHED_NODES_KEPT:
            _, oldest = self._finished.popitem(last=False)
            self._finished_nodes -= len(oldest.nodes)


def _batches(some: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(some)
    while batch := [*islice(left, size)]:
        yield batch


def _reach_far(run: Run, reports: Iterable[events.Report]) -> bool:
    """Whether thousands of nodes may change by one of them."""
    if len(run.nodes) < FAR:
        return any(isinstance(one, events.NodeSucceeded) and len(one.artifacts) >= FAR for one in reports)
    edges: list[str] = []
    for report in reports:
        match report:
            case events.NodeAdmitted() | events.NodeStarted() | events.NodeProgressed():
                continue
            case events.NodeSucceeded(artifacts=made, node=node) | events.NodeReused(artifacts=made, node=node):
                if len(made) >= FAR or foreach.is_last(run, node, at_least=FAR):
                    return True
                edges += [artifact.edge for artifact in made]
            case events.UploadSealed(edge=edge):
                edges.append(edge)
            case _:
                return True
    known = run.plan.edges
    return any(edge in known and len(known[edge].consumers) >= FAR for edge in edges)


def _waits(run: Run, command: commands.Command) -> bool:
    """Whether the order is to start what waits for room."""
    return isinstance(command, commands.StartNode) and run.nodes[command.node].status is NodeStatus.READY


def _usual() -> float:
    """Chance, where nothing comes of it."""
    return 0.5


def _nothing(*_: object) -> None:
    """Before `connect`."""
