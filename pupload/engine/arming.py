"""
Containers armed ahead: of which nodes, how many, and for how long.

Starting a container takes the engine long, and letting go one that waits takes it no time. So those of the nodes that
a run needs soonest are made and started while its upload is under way, or the node before is. An armed container is
no attempt: nothing of it is saved, no room is held for it, and whatever becomes of it the run does not learn. The
attempt of its node claims it, or starts plainly where there is none: it waits only for an arming that is under way.

How many may wait is bounded, for all runs and for each, and so is how long one may. What is not wanted any more is
disarmed: its container and directory are removed. What this process leaves behind when it dies ends by itself, and is
swept by the next.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Self

from pupload import errors
from pupload.domain import soonest
from pupload.domain.plan import NodePlan
from pupload.domain.run import AttemptRef, Run, Status
from pupload.engine import orders, prospects
from pupload.engine.admission import Admission
from pupload.engine.disks import DiskRoom
from pupload.engine.driver import Driver
from pupload.engine.images import Images
from pupload.engine.lease import Lease, for_ever
from pupload.engine.lull import Lull
from pupload.engine.patience import patiently
from pupload.engine.staging import Folder, Staging
from pupload.engine.tasks import Tasks
from pupload.engine.timers import Timers
from pupload.ports import Clock, Executor

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Containers that are made at a time, plain starts included: with more the engine does not get more done."""

CLOSING_SECONDS = 5.0
"""What disarming gets when the engine is closed; what is left ends with this process."""

LOOKS_AT_ONCE = 16
"""Runs looked at before others have their turn: thousands are taken up at a start."""


BYTES_EACH, USUAL_MOST = 256 << 20, 64
"""Of the engine's memory for one container that waits, and how many wait at most, where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be armed."""

    nodes: int = 0
    """How many containers may wait, of all runs; 0: nothing is armed."""
    seconds: float = 600.0
    """How long one may."""

    @classmethod
    def usual(cls, nodes: int | None, seconds: float, *, memory_bytes: int) -> Self:
        """So many; None: as many as is usual for an engine with so much memory."""
        return cls(nodes=min(memory_bytes // BYTES_EACH, USUAL_MOST) if nodes is None else nodes, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an attempt finds."""

    container: bool
    """Whether there may be a container."""
    folder: Folder | None = None
    """The attempt's directory as it was made for what waits; None where it may have to be made."""


@dataclass(slots=True)
class _Place:
    """A container that waits, is being armed, or is being removed."""

    ref: AttemptRef
    hangs_on: frozenset[str]
    """Nodes whose changes may tell that it is not needed."""
    task: "asyncio.Task[None] | None" = None
    """What is done about it now."""
    waits: bool = False
    """It is armed."""
    folder: Folder | None = None
    """Of what is armed."""
    unwanted: bool = False
    claimed: bool = False
    """It is its attempt's."""
    problem: Exception | None = None
    """Why it could not be removed."""
    cleared: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nothing of an earlier process is removed any more: before that nothing may be put there."""

    @property
    def busy(self) -> bool:
        """Whether something is done about it."""
        return self.task is not None and not self.task.done()


@dataclass(slots=True)
class _Outlook:
    """A run of which something may be armed."""

    places: dict[str, _Place] = field(default_factory=dict)
    """By node."""
    moved_at: float = 0.0
    """When it last came forward, by the monotonic clock."""
    refused: frozenset[str] = frozenset()
    """Images of which nothing can be armed for this run."""
    paused: bool = False
    """Until it moves: one waited too long, or the engine was away."""
    ahead: deque[str] | None = None
    """Nodes to look at, soonest first; None: to be found anew."""
    came_at: float = float("-inf")
    """When it was begun here, by the monotonic clock; long ago where it was taken up."""
    awaited: deque[str] | None = None
    """Edges whose object comes from outside and may not be there yet; None: nobody has looked."""


class Arming:
    """Has containers wait for the nodes that are needed soonest."""

    def __init__(
        self,
        *,
        executor: Executor,
        staging: Staging,
        driver: Driver,
        admission: Admission,
        disks: DiskRoom,
        clock: Clock,
        limits: orders.Limits,
        budget: Budget,
        lease: Lease | None = None,
    ) -> None:
        self._executor = executor
        self._staging = staging
        self._driver = driver
        self._admission = admission
        self._disks = disks
        self._clock = clock
        self._limits = limits
        self._budget = budget
        self._lease = lease or for_ever(clock)
        self._outlooks: dict[str, _Outlook] = {}
        """By run."""
        self._places: dict[str, _Place] = {}
        """By attempt; those that were claimed are not among them."""
        self._inherited: set[str] = set()
        """Runs that an earlier process had, or somebody else: they may have left something armed for them."""
        self._claimed: dict[str, _Place] = {}
        """Those that were claimed while they were being armed."""
        self._moving: OrderedDict[str, None] = OrderedDict()
        self._waiting: OrderedDict[str, None] = OrderedDict()
        """Runs to be looked at: those with something under way, and those that wait."""
        self._hungry: dict[str, None] = {}
        """Runs that have as many places as they may, and would take more."""
        self._making = 0
        """Containers that are being made now."""
        self._kept_off: dict[str, asyncio.Event] = {}
        self._look = asyncio.Event()
        self._timers = Timers(clock, self._waited_too_long)
        self._tasks = Tasks()
        self._works = Tasks()
        self._images = Images(executor=executor, clock=clock, works=self._works, heard=self._has_heard_of)
        self._lull = Lull(clock, self._tasks, over=self._look.set)
        self._open = False

    @property
    def armed(self) -> int:
        """How many containers wait."""
        return sum(place.waits for place in self._places.values())

    @property
    def _on(self) -> bool:
        return self._open and self._budget.nodes > 0 and self._executor.arms

    def has(self, attempt_id: str) -> bool:
        """Whether a container was armed for the attempt, or is just being, and is not its attempt's yet."""
        return attempt_id in self._places

    def start(self) -> None:
        """Arms from now on."""
        self._open = True
        self._tasks.start(self._go_on(), name="arm what is needed soonest")
        self._tasks.start(self._timers.run(), name="alarms of armed containers")

    async def close(self) -> None:
        """Arms nothing any more, and removes what waits, as far as that is done in time."""
        self._open = False
        await self._tasks.close()
        for place in list(self._places.values()):
            self._dismiss(place)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._works.idle()
        await self._works.close()

    # ── What is told ─────────────────────────────────────────────────────────────────────────────────────────────

    def moved(self, run: Run, changed: Collection[str] | None = None) -> None:
        """The run was saved and is so now; only `changed` of its nodes were not so before. None: it was taken up."""
        outlook = self._outlooks.get(run.id)
        if changed is None:
            self._inherited.add(run.id)
        if run.status.terminal or run.ending is not None:
            self._dismiss_all(run.id)
            if run.status.terminal:
                self._inherited.discard(run.id)
            return
        for place in list(outlook.places.values()) if outlook else ():
            concerned = changed is None or not place.hangs_on.isdisjoint(changed)
            if concerned and not prospects.may_need(run, place.ref):
                self._dismiss(place)
        if not self._on:
            return
        if outlook is None:
            outlook = self._outlooks[run.id] = _Outlook()
            if changed is not None:
                outlook.came_at = self._clock.monotonic()
                self._lull.disturb()
        outlook.moved_at, outlook.paused, outlook.ahead = self._clock.monotonic(), False, None
        self._want(run)

    def look(self) -> None:
        """Something may have come free."""
        self._look.set()

    def let_go(self, run_id: str) -> None:
        """The run is another's: what is armed for it is not ours to remove, and nobody's to let go; it is swept."""
        self._inherited.discard(run_id)
        outlook = self._forget(run_id)
        claimed = [place for place in self._claimed.values() if place.ref.run == run_id]
        for place in [*(outlook.places.values() if outlook else ()), *claimed]:
            self._drop(place)
            if place.task is not None:
                place.task.cancel()

    async def claim(self, ref: AttemptRef) -> Claim:
        """
        What is armed for the attempt is its own from now on. Returns what there is.

        What is just being removed is waited for, what an earlier process left of it included; what is being armed is
        not (`making`).
        """
        while True:
            place, kept_off = self._places.get(ref.id), self._kept_off.get(ref.id)
            if kept_off is not None:
                await kept_off.wait()
            elif place is not None and place.unwanted and place.task is not None and place.busy:
                await asyncio.wait({place.task})
            elif place is not None and place.busy and not place.cleared.is_set():
                await place.cleared.wait()
            else:
                break
        if place is None:
            return Claim(ref.id in self._claimed or ref.run in self._inherited)
        place.claimed, folder = True, place.folder if place.waits else None
        self._drop(place)
        if place.busy:
            self._claimed[ref.id] = place
        # Another controller may have swept it, or somebody by hand; to look takes some microseconds.
        return Claim(container=True, folder=folder if folder is not None and folder.inputs.is_dir() else None)

    def awaits(self, run: Run, edges: Collection[str]) -> bool:
        """Whether a container waits for a node of the run that takes what lies on one of these."""
        waiting = (place.ref.node for place in self._places.values() if place.waits and place.ref.run == run.id)
        return any(port.edge in edges for node in waiting for port in run.plan.nodes[node].inputs)

    def dismiss(self, ref: AttemptRef) -> None:
        """What waits for the attempt is removed: something lies there that may be for no other."""
        if (place := self._places.get(ref.id)) is not None:
            self._dismiss(place)

    def to_lay_in(self, ref: AttemptRef) -> tuple[Folder, Folder] | None:
        """
        The directory of the container that waits for the attempt, for its inputs; None where none waits.

        It is not claimed by that. Whoever claims it looks what lies there: so first as they will find it, then as it
        was found before.
        """
        place = self._places.get(ref.id)
        if place is None or place.folder is None or place.unwanted or not place.waits:
            return None
        before, place.folder = place.folder, Folder(path=place.folder.path)
        return place.folder, before

    async def under_way(self, ref: AttemptRef) -> None:
        """Returns when nothing is being armed for the attempt that claimed it."""
        if (place := self._claimed.get(ref.id)) is not None and place.task is not None:
            await asyncio.wait({place.task})

    @asynccontextmanager
    async def making(self, ref: AttemptRef) -> AsyncIterator[None]:
        """Around the start of an attempt: what is being armed for it is waited for, and others make way for it."""
        await self.under_way(ref)
        self._making += 1
        try:
            yield
        finally:
            self._making -= 1
            self._look.set()

    @asynccontextmanager
    async def kept_off(self, attempt_id: str) -> AsyncIterator[None]:
        """While what an earlier process left of the attempt is removed: nobody arms it, nor claims it, meanwhile."""
        self._kept_off[attempt_id] = asyncio.Event()
        try:
            yield
        finally:
            self._kept_off.pop(attempt_id).set()
            self._look_anew(attempt_id.partition(".")[0])

    async def gone(self, run_id: str) -> None:
        """
        Returns when nothing is armed for the run any more.

        Raises what the engine of containers raises where something is left; asked again, it tries again.
        """
        self._dismiss_all(run_id)
        while places := [place for place in self._places.values() if place.ref.run == run_id]:
            if works := [place.task for place in places if place.task is not None and not place.task.done()]:
                await asyncio.wait(works)
            elif problem := next((place.problem for place in places if place.problem is not None), None):
                raise problem
            elif self._open:
                self._dismiss_all(run_id)
            else:
                # The next start finds what is left; whoever waits for it is about to be told to stop.
                await asyncio.get_running_loop().create_future()

    # ── Which ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _want(self, run: Run) -> None:
        """The run is looked at when there is a place."""
        under_way = run.status is Status.RUNNING or bool(run.artifacts)
        queue, other = (self._moving, self._waiting) if under_way else (self._waiting, self._moving)
        other.pop(run.id, None)
        self._hungry.pop(run.id, None)
        queue.setdefault(run.id)
        self._look.set()

    async def _go_on(self) -> None:
        while True:
            await self._look.wait()
            self._look.clear()
            looked = 0
            while self._has_room() and (run := self._next()) is not None:
                try:
                    self._look_at(run)
                except Exception:
                    log.exception("nothing is armed for run %s for a reason of ours", run.id)
                looked += 1
                if looked % LOOKS_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _has_room(self) -> bool:
        """Whether something may be armed now: attempts that are ready go first, and so does whoever needs the disk."""
        free = self._budget.nodes - len(self._places)
        return (
            self._on
            and self._making < AT_ONCE
            and free > self._images.waiting
            and self._lease.valid
            and self._disks.enough
            and not self._admission.crowded
        )

    def _next(self) -> Run | None:
        """The run whose turn it is."""
        for queue in (self._moving, self._waiting):
            while queue:
                run_id = next(iter(queue))
                run, outlook = self._driver.live.get(run_id), self._outlooks.get(run_id)
                if run is not None and outlook is not None:
                    if queue is self._waiting and not self._lull.is_over_for(outlook.came_at):
                        break  # nor for those behind it, which as a rule came later
                    del queue[run_id]
                    return run
                del queue[run_id]
        return None

    def _look_at(self, run: Run) -> None:
        """Arms the next of the run's nodes, if there is one, and lets the others have their turn."""
        outlook = self._outlooks[run.id]
        if (chosen := self._choose(run, outlook)) is not None:
            node, image = chosen
            ref = AttemptRef(run=run.id, node=node.id, number=1)
            place = _Place(ref, prospects.depends_on(run, node.id))
            self._places[place.ref.id] = outlook.places[node.id] = place
            self._making += 1
            place.task = self._works.start(self._arm(run, node, image, place), name=f"arm {place.ref.id}")
            self._want(run)

    def _choose(self, run: Run, outlook: _Outlook) -> tuple[NodePlan, str] | None:
        """The next of the run's nodes to be armed, and the id of its image."""
        if outlook.paused or run.ending is not None:
            return None
        if self._clock.monotonic() >= outlook.moved_at + self._budget.seconds:
            return None  # who did not move for so long will not need it soon
        if not self._is_free_for(outlook) or not self._admission.slots.may_begin(run.id):
            self._hungry[run.id] = None
            return None
        if outlook.ahead is None:
            if outlook.awaited is None:
                outlook.awaited = soonest.from_outside(run.plan)
            outlook.ahead = deque(soonest.soonest(run, outlook.awaited))
        while outlook.ahead:
            node = run.plan.nodes[outlook.ahead.popleft()]
            ref = AttemptRef(run=run.id, node=node.id, number=1)
            free = node.id not in outlook.places and ref.id not in self._claimed and ref.id not in self._kept_off
            good = node.image not in outlook.refused and prospects.can_wait(node)
            if free and good and prospects.is_idle(run, node.id):
                if image := self._images.id_of(node.image):
                    return node, image
                self._images.find(node.image, run.id)
        return None

    def _is_free_for(self, outlook: _Outlook) -> bool:
        """Whether the run may have one more: half of what the others leave, and the last place goes to anybody."""
        own = len(outlook.places)
        left = self._budget.nodes - len(self._places) + own
        return own < max(left // 2, 1)

    def _has_heard_of(self, run_id: str, image: str, found: bool) -> None:
        self._look.set()
        if found:
            self._look_anew(run_id)
        elif (outlook := self._outlooks.get(run_id)) is not None:
            outlook.refused |= {image}

    def _look_anew(self, run_id: str) -> None:
        """A node of the run that had to be passed over may be armed now."""
        run, outlook = self._driver.live.get(run_id), self._outlooks.get(run_id)
        if run is not None and outlook is not None:
            outlook.ahead = None
            self._want(run)

    # ── Arming and disarming ─────────────────────────────────────────────────────────────────────────────────────

    async def _arm(self, run: Run, node: NodePlan, image: str, place: _Place) -> None:
        ref, armed = place.ref, None
        try:
            armed = await self._try_to_arm(run, node, image, place)
        except (errors.ContainerRefused, errors.ImageMissing) as error:
            log.info("node %s of %s is not armed: %s", node.id, run.id, error)
            armed = False
        except errors.PuploadError as error:
            log.warning("node %s of %s could not be armed: %s", node.id, run.id, error)
        except Exception:
            log.exception("node %s of %s could not be armed for a reason of ours", node.id, run.id)
        finally:
            place.cleared.set()
            self._making -= 1
            self._unclaim(place)
            self._look.set()
        outlook = self._outlooks.get(run.id)
        if outlook is not None and armed is None:
            outlook.paused = True
        elif outlook is not None and armed is False:
            outlook.refused |= {node.image}
        if place.claimed:
            return  # its attempt starts it, or finds what is left of it and removes that
        if armed and not place.unwanted:
            place.waits = True
            self._timers.set(ref.id, self._clock.now() + timedelta(seconds=self._budget.seconds))
            return
        place.unwanted = True
        await self._disarm(place, container=armed is not False)

    async def _try_to_arm(self, run: Run, node: NodePlan, image: str, place: _Place) -> bool:
        ref = place.ref
        await self._lease.sure()
        if run.id in self._inherited:
            # Whatever there is never ran: the attempt is still to come.
            await self._executor.remove(ref)
            await self._staging.remove_folder(ref)
        place.cleared.set()
        folder = await self._staging.make_folder(ref, node, owner=orders.owner_of(node.user or self._limits.user))
        order = orders.container(run, node, ref, node.tier, folder, {}, image=image, limits=self._limits)
        # Nothing may come between: whoever was frozen in the meantime finds its lease over.
        await self._lease.sure()
        place.folder = folder
        return await self._executor.arm(replace(order, argv=None, environment={}))

    def _dismiss_all(self, run_id: str) -> None:
        """Nothing of the run is to be armed any more."""
        for place in [one for one in self._places.values() if one.ref.run == run_id] if self._places else ():
            self._dismiss(place)
        if (outlook := self._outlooks.get(run_id)) is not None and not outlook.places:
            self._forget(run_id)
        self._stop_wanting(run_id)

    def _dismiss(self, place: _Place) -> None:
        """Begins to remove what is armed, once."""
        place.unwanted, place.waits = True, False
        self._timers.set(place.ref.id, None)
        if not place.busy:
            place.task = self._works.start(self._disarm(place), name=f"disarm {place.ref.id}")

    async def _disarm(self, place: _Place, *, container: bool = True) -> None:
        async def remove() -> None:
            await self._lease.sure()
            await self._executor.remove(place.ref)

        place.problem = None
        try:
            if container:
                await patiently(self._clock, remove)
            await self._staging.remove_folder(place.ref)
        except Exception as error:
            log.exception("what was armed for %s could not be removed; closing the run tries again", place.ref.id)
            place.problem = error
            return
        self._drop(place)

    def _waited_too_long(self, attempt_id: str) -> None:
        place = self._places.get(attempt_id)
        if place is not None:
            if (outlook := self._outlooks.get(place.ref.run)) is not None:
                outlook.paused = True
            self._dismiss(place)

    def _drop(self, place: _Place) -> None:
        """The place is free, and others may have it."""
        place.waits = False
        self._timers.set(place.ref.id, None)
        self._unclaim(place)
        if self._places.get(place.ref.id) is place:
            del self._places[place.ref.id]
        outlook = self._outlooks.get(place.ref.run)
        if outlook is not None and outlook.places.get(place.ref.node) is place:
            del outlook.places[place.ref.node]
            run = self._driver.live.get(place.ref.run)
            if not outlook.places and (run is None or run.ending is not None):
                self._forget(place.ref.run)
        for run_id in list(self._hungry):
            if (hungry := self._driver.live.get(run_id)) is not None:
                self._want(hungry)
        self._hungry.clear()
        self._look.set()

    def _unclaim(self, place: _Place) -> None:
        if self._claimed.get(place.ref.id) is place:
            del self._claimed[place.ref.id]

    def _forget(self, run_id: str) -> _Outlook | None:
        self._stop_wanting(run_id)
        return self._outlooks.pop(run_id, None)

    def _stop_wanting(self, run_id: str) -> None:
        self._moving.pop(run_id, None)
        self._waiting.pop(run_id, None)
        self._hungry.pop(run_id, None)
