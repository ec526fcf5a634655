"""
The engine as a whole: its parts, put together, started and stopped.

Starting is recovering: every unfinished run is taken up, every container of ours that is still there is found by its
label, and what belongs to no run any more is removed.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pupload import errors
from pupload.domain import commands, deadlines, events
from pupload.domain.run import AttemptRef, NodeStatus, Run
from pupload.engine.admission import Admission, Room
from pupload.engine.attempts import Attempts
from pupload.engine.callbacks import NOBODY, Callbacks, Operator
from pupload.engine.driver import Driver
from pupload.engine.effects import Effects
from pupload.engine.orders import Limits, owner_of
from pupload.engine.patience import patiently
from pupload.engine.staging import UPLOADS, Staging
from pupload.engine.tasks import Tasks
from pupload.engine.uploads import Uploads
from pupload.ports import Clock, Executor, FlowStore, Ids, Journal, Outbox, Poster, RunStore, Stores, TypeTeller

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the engine works with: one adapter for each port."""

    runs: RunStore
    journal: Journal
    flows: FlowStore
    stores: Stores
    executor: Executor
    teller: TypeTeller
    clock: Clock
    ids: Ids
    outbox: Outbox
    poster: Poster


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the operator decides."""

    attempts_root: Path
    """The directory that holds the attempts' directories; on the store's file system, so that bytes can be linked."""
    limits: Limits
    room: Room
    max_upload_bytes: int
    callback: Operator = NOBODY


class Engine:
    """Makes runs happen."""

    def __init__(self, world: World, config: Config) -> None:
        self.world = world
        self.config = config
        self.driver = Driver(runs=world.runs, clock=world.clock, ids=world.ids)
        self.admission = Admission(config.room)
        self.staging = Staging(
            stores=world.stores,
            teller=world.teller,
            clock=world.clock,
            root=config.attempts_root,
            owner=owner_of(config.limits.user),
        )
        self.attempts = Attempts(
            driver=self.driver,
            admission=self.admission,
            staging=self.staging,
            executor=world.executor,
            journal=world.journal,
            clock=world.clock,
            limits=config.limits,
        )
        self.uploads = Uploads(
            driver=self.driver,
            staging=self.staging,
            teller=world.teller,
            clock=world.clock,
            max_bytes=config.max_upload_bytes,
        )
        self.callbacks = Callbacks(
            outbox=world.outbox,
            poster=world.poster,
            look=self.driver.look,
            reveal=self._reveal,
            clock=world.clock,
            ids=world.ids,
            operator=config.callback,
        )
        self._effects = Effects(
            attempts=self.attempts,
            uploads=self.uploads,
            staging=self.staging,
            callbacks=self.callbacks,
            clock=world.clock,
        )
        self._sweeping = Tasks()
        self.totals: Counter[str] = Counter()
        """Events since the start, by their journal name."""
        self.driver.connect(self._effects.carry_out, self._count)

    async def start(self) -> None:
        """Takes up what was under way, and everything new from now on."""
        self.driver.start()
        self.uploads.start()
        self.callbacks.start()
        runs = await self.driver.recover()
        for run in runs:
            for edge in deadlines.awaited(run):
                self.uploads.watch(run, edge, look=True)
            self.driver.resume(run)
        if runs:
            log.info("took up %d runs", len(runs))
        self._sweeping.start(self._sweep(runs), name="sweep what belongs to no run")

    async def close(self) -> None:
        """Stops accepting and deciding; containers go on, and the next start takes them up."""
        await self._sweeping.close()
        await self.uploads.close()
        await self.attempts.close()
        await self._effects.close()
        await self.callbacks.close()
        await self.driver.close()

    async def _sweep(self, runs: list[Run]) -> None:
        """What an earlier start left of attempts and runs that are over is removed."""
        wanted = {ref.id for run in runs for ref in _under_way(run)}
        try:
            await self._sweep_containers(wanted)
        except errors.ExecutorUnavailable as error:
            log.warning("the containers of an earlier start cannot be looked through: %s", error)
        await self.staging.sweep(lambda name: name in wanted or self.attempts.has_id(name))
        try:
            await self._sweep_uploads()
        except errors.PuploadError as error:
            log.warning("uploads of runs that are over cannot be looked for: %s", error)

    async def _sweep_containers(self, wanted: set[str]) -> None:
        for container in await patiently(self.world.clock, self.world.executor.recover):
            if container.attempt.id not in wanted and not self.attempts.has(container.attempt):
                log.info("removing the container of %s: no run waits for it", container.attempt.id)
                try:
                    await patiently(self.world.clock, partial(self.world.executor.remove, container.attempt))
                except errors.PuploadError as error:
                    log.warning("it could not be removed: %s", error)

    async def _sweep_uploads(self) -> None:
        """A run that ended in the last moment of an earlier start is closed now, as far as our own store tells."""
        for run_id in await patiently(self.world.clock, self._owners_of_uploads):
            if run_id in self.driver.live:
                continue
            try:
                run = await patiently(self.world.clock, partial(self.driver.look, run_id))
            except (errors.UnknownRun, errors.Damaged):
                continue  # another server's perhaps, or one that nobody can read: not ours to remove
            if run.status.terminal:
                self._effects.carry_out(run, commands.CloseRun())

    async def _owners_of_uploads(self) -> list[str]:
        store = self.world.stores.default()
        keys = [found.key async for found in store.list(UPLOADS)]
        keys += [found.key async for found in store.multiparts(UPLOADS)]
        return list(dict.fromkeys(key.split("/")[1] for key in keys))

    async def _reveal(self, name: str) -> str | None:  # noqa: ARG002 (no store of secrets is here yet)
        return None

    def _count(self, event: events.Event) -> None:
        self.totals[events.name_of(event)] += 1


def _under_way(run: Run) -> list[AttemptRef]:
    nodes = [run.nodes[node] for node in run.active]
    return [
        AttemptRef(run=run.id, node=node.id, number=node.last.number)
        for node in nodes
        if node.status is not NodeStatus.RETRYING and node.last is not None
    ]
