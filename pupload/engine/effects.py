"""Orders carried out: each goes to the part of the engine that knows how."""

import logging

from pupload import errors
from pupload.domain import commands
from pupload.domain.plan import Origin
from pupload.domain.run import Run
from pupload.engine.attempts import Attempts
from pupload.engine.staging import Staging
from pupload.engine.tasks import Tasks
from pupload.engine.uploads import Uploads

log = logging.getLogger(__name__)


class Effects:
    """Carries orders out; each may come again and does no harm then."""

    def __init__(self, *, attempts: Attempts, uploads: Uploads, staging: Staging) -> None:
        self._attempts = attempts
        self._uploads = uploads
        self._staging = staging
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
        """What was put for the run and never sealed goes, unfinished multipart uploads included."""
        outside = [edge for edge in run.plan.edges.values() if edge.origin is not Origin.NODE]
        self._uploads.unwatch_run(run.id, [edge.name for edge in outside])
        for edge in outside:
            if not edge.upload_key:
                continue
            store = self._staging.store(run, edge.store)
            try:
                async for upload in store.multiparts(edge.upload_key):
                    await store.abort_multipart(upload.key, upload.upload_id)
                await store.delete(edge.upload_key)
            except errors.PuploadError as error:
                log.warning("upload %s of %s could not be removed: %s", edge.name, run.id, error)
