"""
What belongs to no run any more is found and removed: containers, directories of attempts, uploads.

It is looked for at every start, and whenever runs changed hands. Other controllers may work on the same container
engine, the same store and the same machine: what is theirs is told by the database, and left alone.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from pupload import errors
from pupload.domain import commands, foreach, ids
from pupload.domain.run import AttemptRef, NodeStatus, Run
from pupload.engine.arming import Arming
from pupload.engine.attempts import Attempts
from pupload.engine.driver import Act
from pupload.engine.handout import Handout
from pupload.engine.patience import patiently
from pupload.engine.staging import UPLOADS, Folder, Staging
from pupload.engine.tasks import Tasks
from pupload.engine.timers import first_of, sleep
from pupload.ports import Clock, Controller, Executor, RunStore, Stores

log = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0
"""How much later it is swept a second time."""


class Sweep:
    """Sweeps."""

    def __init__(
        self,
        *,
        runs: RunStore,
        executor: Executor,
        stores: Stores,
        attempts: Attempts,
        arming: Arming,
        staging: Staging,
        handout: Handout,
        clock: Clock,
        me: Controller,
        others: Callable[[], Sequence[Controller]],
        act: Act,
        own_store: bool,
    ) -> None:
        """
        `others` are the other controllers that are alive. `own_store`: nobody but this installation keeps anything in
        the default store.
        """
        self._runs = runs
        self._executor = executor
        self._stores = stores
        self._attempts = attempts
        self._arming = arming
        self._staging = staging
        self._handout = handout
        self._clock = clock
        self._me = me
        self._others = others
        self._act = act
        self._own_store = own_store
        self._tasks = Tasks()
        self._again = asyncio.Event()
        self._first = True
        self._others_use: set[str] = set()
        """Directories here of attempts that another controller sees to."""

    def start(self) -> None:
        """Sweeps now, and whenever it is asked to."""
        self._again.set()
        self._tasks.start(self._go_on(), name="sweep what belongs to no run")

    async def close(self) -> None:
        """Sweeps no more."""
        await self._tasks.close()

    def ask(self) -> None:
        """It is swept soon."""
        self._again.set()

    async def _go_on(self) -> None:
        while True:
            await self._again.wait()
            await self._try_to_sweep()
            # What a controller that was stopped short had ordered just then may come after that; and what another works
            # on with a directory of ours is nobody's once that has ended.
            await self._pause()
            await self._try_to_sweep()
            while self._others_use:
                await self._pause()
                await self._try_to_sweep()

    async def _pause(self) -> None:
        await first_of(sleep(self._clock, AGAIN_SECONDS), self._again.wait())

    async def _try_to_sweep(self) -> None:
        self._again.clear()
        try:
            await self._sweep()
        except Exception:
            log.exception("what belongs to no run could not be looked for")

    async def _sweep(self) -> None:
        seen = _Seen(self._runs, self._clock)
        try:
            await self._sweep_containers(seen)
            await self._sweep_folders(seen)
            await self._handout.sweep(partial(self._is_under_way, seen))
        except errors.PuploadError as error:
            log.warning("containers of an earlier start cannot be looked through: %s", error)
        if self._first:
            try:
                await self._sweep_store(seen)
            except errors.PuploadError as error:
                log.warning("objects of runs that are over cannot be looked for: %s", error)
            self._first = False
        if seen.unknown:
            listed = ", ".join(f"{run} ({count})" for run, count in sorted(seen.unknown.items())[:20])
            log.warning(
                "the database does not know %d runs of which there were containers or objects: %s. Nothing of them is "
                "run again: containers and uploads that were not taken in yet are removed, results are left. Was the "
                "database restored from a backup?",
                *(len(seen.unknown), listed),
            )

    async def _sweep_containers(self, seen: "_Seen") -> None:
        for container in await patiently(self._clock, self._executor.recover):
            ref = container.attempt
            if await self._is_wanted(ref, seen):
                continue
            try:
                async with self._arming.kept_off(ref.id):
                    await self._remove_container(ref, seen)
            except errors.PuploadError as error:
                log.warning("the container of %s could not be removed: %s", ref.id, error)

    async def _remove_container(self, ref: AttemptRef, seen: "_Seen") -> None:
        outputs = await patiently(self._clock, partial(self._executor.outputs, ref))
        own = outputs is None or outputs == self._staging.folder(ref).outputs
        seen_to = self._is_seen_to(ref.id) and not self._is_left_armed(ref.id)
        if seen_to or (not own and await self._is_armed_elsewhere(ref, seen)):
            return
        log.info("removing the container of %s: no run waits for it", ref.id)
        seen.count(ref.run)
        await patiently(self._clock, partial(self._executor.remove, ref))
        if outputs is not None:
            await self._staging.remove_folder(ref, Folder(path=outputs.parent))

    def _is_seen_to(self, attempt_id: str) -> bool:
        return self._attempts.has_id(attempt_id) or self._arming.has(attempt_id)

    def _is_left_armed(self, attempt_id: str) -> bool:
        """Whether a container of the attempt can only be one that an earlier process armed."""
        return self._attempts.is_queued(attempt_id) and not self._arming.has(attempt_id)

    async def _is_armed_elsewhere(self, ref: AttemptRef, seen: "_Seen") -> bool:
        """Whether another controller on this engine may have armed the container for what is to come in its run."""
        run = await seen.find(ref.run)
        here = {other.id for other in self._others() if other.engine == self._me.engine}
        node = foreach.standing(run, ref.node) if run is not None and run.owner in here else None
        return node is not None and node.status in (NodeStatus.IDLE, NodeStatus.READY)

    async def _sweep_folders(self, seen: "_Seen") -> None:
        wanted = set()
        for name in await self._staging.folders():
            ref = _attempt(name)
            if ref is not None and await self._is_wanted(ref, seen, here=False):
                wanted.add(name)
        self._others_use = {name for name in wanted if not self._is_seen_to(name)}
        await self._staging.sweep(lambda name: name in wanted or self._is_seen_to(name), kept_off=self._arming.kept_off)

    async def _is_wanted(self, ref: AttemptRef, seen: "_Seen", *, here: bool = True) -> bool:
        """Whether somebody sees to the attempt, or will; `here`: on this controller's container engine."""
        if self._is_seen_to(ref.id):
            return not (here and self._is_left_armed(ref.id))
        run = await seen.find(ref.run)
        if run is None or not _is_current(run, ref):
            return False
        if here and run.nodes[ref.node].status is NodeStatus.READY:
            return False  # it was never admitted: its container can only have been armed
        owner = next((other for other in self._others() if other.id == run.owner), None)
        # One that lives elsewhere has lost this container, and makes the attempt anew.
        return not here or owner is None or owner.engine == self._me.engine

    async def _is_under_way(self, seen: "_Seen", attempt_id: str) -> bool:
        ref = _attempt(attempt_id)
        return ref is not None and await self._is_wanted(ref, seen, here=False)

    # ── The store ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _sweep_store(self, seen: "_Seen") -> None:
        """
        What was put for a run when it was over already goes, as far as our own store tells.

        So do the uploads of runs that the database does not know, where nobody else keeps anything in that store.
        Results are never removed for that: who restored the wrong backup will want them. They are only told of, where
        they are younger than every run it knows: an older one may have been purged, and another that resumed it may
        still need them.
        """
        newest = await patiently(self._clock, partial(self._runs.list, limit=1))
        for run_id, keys in (await patiently(self._clock, self._uploads)).items():
            run = await seen.find(run_id)
            if run is not None and run.status.terminal and run.owner == self._me.id:
                self._act(run, commands.CloseRun())
            elif self._own_store and seen.is_unknown(run_id):
                await self._remove(run_id, keys, seen)
        if self._own_store and newest.runs:  # a database that knows no run at all may have been lost, and not its store
            after = max(run.id for run in newest.runs)
            for run_id, keys in (await patiently(self._clock, partial(self._objects, after))).items():
                if await seen.find(run_id) is None:
                    seen.count(run_id, len(keys))

    async def _uploads(self) -> dict[str, list[str]]:
        store = self._stores.default()
        keys = [found.key async for found in store.list(UPLOADS)]
        keys += [found.key async for found in store.multiparts(UPLOADS)]
        return _by_run((key.split("/")[1], key) for key in dict.fromkeys(keys))

    async def _objects(self, after: str) -> dict[str, list[str]]:
        keys = [found.key async for found in self._stores.default().list(ids.PREFIX) if _owner(found.key) > after]
        return _by_run((_owner(key), key) for key in keys)

    async def _remove(self, run_id: str, keys: Sequence[str], seen: "_Seen") -> None:
        seen.count(run_id, len(keys))
        store = self._stores.default()
        for key in keys:
            async for upload in store.multiparts(key):
                await store.abort_multipart(upload.key, upload.upload_id)
            await store.delete(key)


class _Seen:
    """What one sweep has learnt of runs."""

    def __init__(self, runs: RunStore, clock: Clock) -> None:
        self._runs = runs
        self._clock = clock
        self._known: dict[str, Run | None] = {}
        self._absent: set[str] = set()
        self.unknown: Counter[str] = Counter()
        """How much was found of runs that the database does not know."""

    async def find(self, run_id: str) -> Run | None:
        """The run as saved; None where there is none, or none that can be read."""
        if run_id not in self._known:
            self._known[run_id] = None
            try:
                self._known[run_id] = await patiently(self._clock, partial(self._runs.load, run_id))
            except errors.UnknownRun:
                if not await self._is_doomed(run_id):
                    self._absent.add(run_id)
            except errors.Damaged:
                log.warning("run %s cannot be read", run_id)
        return self._known[run_id]

    async def _is_doomed(self, run_id: str) -> bool:
        """Whether the run was purged, and what it owns is being deleted by those who know what others still need."""
        try:
            await patiently(self._clock, partial(self._runs.load_doomed, run_id))
        except errors.UnknownRun:
            return False
        except errors.Damaged:
            return True
        return True

    def is_unknown(self, run_id: str) -> bool:
        """Whether the database knew nothing of the run when it was looked for."""
        return run_id in self._absent

    def count(self, run_id: str, found: int = 1) -> None:
        """So much was found of the run."""
        if self.is_unknown(run_id):
            self.unknown[run_id] += found


def _owner(key: str) -> str:
    return key.partition("/")[0]


def _by_run(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for run_id, key in pairs:
        if ids.canonical_run_id(run_id) == run_id:  # nothing else is ours
            found.setdefault(run_id, []).append(key)
    return found


def _attempt(name: str) -> AttemptRef | None:
    """Whose directory is called so."""
    run, _, rest = name.partition(".")
    node, _, number = rest.rpartition(".")
    return AttemptRef(run=run, node=node, number=int(number)) if node and number.isdecimal() else None


def _is_current(run: Run, ref: AttemptRef) -> bool:
    node = run.nodes.get(ref.node)
    return (
        node is not None
        and node.last is not None
        and node.last.number == ref.number
        and node.status in (NodeStatus.READY, NodeStatus.RUNNING)
    )
