"""Orders carried out: each goes to the part of the engine that knows how."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from pupload import errors
from pupload.domain import commands
from pupload.domain.plan import Origin
from pupload.domain.run import Run
from pupload.engine.attempts import Attempts
from pupload.engine.callbacks import Callbacks
from pupload.engine.ephemeral import Ephemeral
from pupload.engine.patience import AWAY, patiently
from pupload.engine.preparing import Preparing
from pupload.engine.staging import Staging, handed_prefix
from pupload.engine.tasks import Tasks
from pupload.engine.uploads import Uploads
from pupload.ports import Clock, ObjectStore, RunStore

log = logging.getLogger(__name__)


class Effects:
    """Carries orders out; each may come again and does no harm then."""

    def __init__(
        self,
        *,
        runs: RunStore,
        attempts: Attempts,
        preparing: Preparing,
        uploads: Uploads,
        staging: Staging,
        callbacks: Callbacks,
        ephemeral: Ephemeral,
        clock: Clock,
    ) -> None:
        self._ephemeral = ephemeral
        self._runs = runs
        self._attempts = attempts
        self._preparing = preparing
        self._uploads = uploads
        self._staging = staging
        self._callbacks = callbacks
        self._clock = clock
        self._tasks = Tasks()
        self._closing: set[str] = set()

    async def close(self) -> None:
        """Stops; what was not done is found again at the next start."""
        await self._preparing.close()
        await self._tasks.close()

    def carry_out(self, run: Run, command: commands.Command) -> None:
        """Carries the order out, or starts to."""
        match command:
            case commands.AwaitUpload(edge=edge):
                self._uploads.watch(run, edge)
            case commands.PrepareNode(node=node):
                self._preparing.prepare(run, node)
            case commands.StartNode(node=node, attempt=number):
                self._attempts.start(run, node, number)
            case commands.StopNode(node=node, attempt=number):
                self._attempts.stop(run, node, number)
            case commands.CloseRun():
                if run.id not in self._closing:
                    self._closing.add(run.id)
                    closing = self._tasks.start(self._close_run(run), name=f"close {run.id}")
                    closing.add_done_callback(lambda _: self._closing.discard(run.id))

    async def _close_run(self, run: Run) -> None:
        """
        Whoever wants to know is told, and what the run held goes. Then it counts as closed.

        What does not answer is asked again for as long as that takes; what is not done is found by the next start.
        """
        # First: a store that is away keeps nobody from being told.
        await self._insist(partial(self._callbacks.announce, run))
        await self._give_up_uploads(run)
        await self._insist(partial(self._attempts.settled, run.id))
        if run.fence > 1 or any(attempt.failure for node in run.nodes.values() for attempt in node.attempts):
            await self._remove_spares(run)
        if run.plan.ephemeral:
            await self._ephemeral.free(run.id)
        await self._insist(partial(self._runs.close, run.id))
        if run.plan.ephemeral:
            self._ephemeral.closed(run.id)

    async def _insist(self, ask: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await patiently(self._clock, ask)
            except AWAY as error:
                log.warning("it is not done yet, and is tried on: %s", error)

    async def _remove_spares(self, run: Run) -> None:
        """Outputs and seals that were stored and never committed: their attempt failed, or its owner was late."""
        # By their keys alone: two names in a flow may lead to one bucket.
        keep = frozenset(found.key for found in run.artifacts.values())
        for name in dict.fromkeys(edge.store for edge in run.plan.edges.values()):
            await self._try_to_remove(run, name, f"{run.id}/", keep)

    async def _try_to_remove(self, run: Run, name: str, prefix: str, keep: frozenset[str] = frozenset()) -> None:
        try:
            store = self._staging.store(run, name)
            await self._insist(partial(self._remove_all, store, prefix, keep))
        except errors.PuploadError as error:
            log.warning("objects under %s could not be removed: %s", prefix, error)

    async def _give_up_uploads(self, run: Run) -> None:
        """What was put for the run and never sealed goes, unfinished uploads included."""
        outside = [edge for edge in run.plan.edges.values() if edge.origin is not Origin.NODE]
        self._uploads.unwatch_run(run.id, [edge.name for edge in outside])
        unsealed = [(edge.store, edge.upload_key) for edge in outside if edge.upload_key]
        if any(node.transfer == "urls" for node in run.plan.nodes.values()):
            stores = dict.fromkeys(edge.store for edge in run.plan.edges.values())
            unsealed += [(store, handed_prefix(run.id)) for store in stores]
        for name, prefix in unsealed:
            await self._try_to_remove(run, name, prefix)

    async def _remove_all(self, store: ObjectStore, prefix: str, keep: frozenset[str]) -> None:
        async for upload in store.multiparts(prefix):
            await store.abort_multipart(upload.key, upload.upload_id)
        async for found in store.list(prefix):
            if found.key not in keep:
                await store.delete(found.key)
