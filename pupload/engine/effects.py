"""Orders carried out: each goes to the part of the engine that knows how."""

import logging
from functools import partial

from pupload import errors
from pupload.domain import commands
from pupload.domain.plan import Origin
from pupload.domain.run import Run
from pupload.engine.attempts import Attempts
from pupload.engine.callbacks import Callbacks
from pupload.engine.patience import patiently
from pupload.engine.staging import Staging, handed_prefix
from pupload.engine.tasks import Tasks
from pupload.engine.uploads import Uploads
from pupload.ports import Clock, ObjectStore

log = logging.getLogger(__name__)


class Effects:
    """Carries orders out; each may come again and does no harm then."""

    def __init__(
        self, *, attempts: Attempts, uploads: Uploads, staging: Staging, callbacks: Callbacks, clock: Clock
    ) -> None:
        self._attempts = attempts
        self._uploads = uploads
        self._staging = staging
        self._callbacks = callbacks
        self._clock = clock
        self._tasks = Tasks()

    async def close(self) -> None:
        """Stops; what was not done is found again at the next start."""
        await self._tasks.close()

    def carry_out(self, run: Run, command: commands.Command) -> None:
        """Carries the order out, or starts to."""
        match command:
            case commands.AwaitUpload(edge=edge):
                self._uploads.watch(run, edge)
            case commands.PrepareNode(node=node):
                self._attempts.prepare(run, node)
            case commands.StartNode(node=node, attempt=number):
                self._attempts.start(run, node, number)
            case commands.StopNode(node=node, attempt=number):
                self._attempts.stop(run, node, number)
            case commands.CloseRun():
                self._tasks.start(self._close_run(run), name=f"close {run.id}")

    async def _close_run(self, run: Run) -> None:
        """
        Whoever wants to know is told; what was put for the run and never sealed goes, unfinished uploads included.
        """
        # First, and before the run counts as closed: a store that is away keeps nobody from being told.
        await patiently(self._clock, partial(self._callbacks.announce, run))
        outside = [edge for edge in run.plan.edges.values() if edge.origin is not Origin.NODE]
        self._uploads.unwatch_run(run.id, [edge.name for edge in outside])
        unsealed = [(edge.store, edge.upload_key) for edge in outside if edge.upload_key]
        if any(node.transfer == "urls" for node in run.plan.nodes.values()):
            stores = dict.fromkeys(edge.store for edge in run.plan.edges.values())
            unsealed += [(store, handed_prefix(run.id)) for store in stores]
        for name, prefix in unsealed:
            try:
                await patiently(self._clock, partial(self._remove_all, self._staging.store(run, name), prefix))
            except errors.PuploadError as error:
                log.warning("objects under %s could not be removed: %s", prefix, error)

    async def _remove_all(self, store: ObjectStore, prefix: str) -> None:
        async for upload in store.multiparts(prefix):
            await store.abort_multipart(upload.key, upload.upload_id)
        async for found in store.list(prefix):
            await store.delete(found.key)
