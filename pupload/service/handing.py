"""Objects put where a run waits for them, by pupload itself: what somebody answered, and what came of another run."""

from pupload.domain import deadlines
from pupload.domain.artifact import Artifact
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.service.uploads import Uploads


class Hands:
    """Puts objects on edges that wait."""

    def __init__(self, *, engine: Engine, uploads: Uploads) -> None:
        self._engine = engine
        self._uploads = uploads

    async def put(self, run: Run, edge: str, data: bytes, *, content_type: str) -> bool:
        """
        These bytes. Returns whether the run does not wait there any more.

        Raises `errors.TryLater`, and as `ports.ObjectStore` does.
        """
        await self._engine.staging.prepare(run)
        planned = run.plan.edges[edge]
        store = self._engine.staging.store(run, planned.store)
        await store.put_bytes(planned.upload_key, data, content_type=content_type)
        return await self._tell(run.id, edge)

    async def copy(self, source: Run, found: Artifact, run: Run, edge: str) -> bool:
        """A copy of what another run has, inside the store where both are in one. Returns and raises as `put` does."""
        await self._engine.staging.prepare(source)
        await self._engine.staging.prepare(run)
        planned = run.plan.edges[edge]
        there = self._engine.staging.store(source, found.store)
        here = self._engine.staging.store(run, planned.store)
        about = await there.stat(found.key)
        if there is here:
            target = planned.upload_key
            await here.copy(found.key, target, if_etag=about.etag, content_type=found.content_type)
        else:
            body = there.stream(found.key, if_etag=about.etag)
            async with self._uploads.taken(body, what=f"edge {edge} of run {run.id}", size=about.size) as path:
                await here.put_file(planned.upload_key, path, content_type=found.content_type)
        return await self._tell(run.id, edge)

    async def _tell(self, run_id: str, edge: str) -> bool:
        there = await self._engine.uploads.arrived(run_id, edge)
        return there or edge not in deadlines.awaited(await self._engine.driver.look(run_id))
