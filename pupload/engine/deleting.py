"""
Objects of ended runs, deleted: those that a run made or that were uploaded for it, and no others.

A static object was there before the run. An object that another run of the family still shows is that run's to delete.
Under a key that is not the run's alone, only what is still as it was recorded is deleted: a later run, or somebody
else, may have put something new there. All of it may be done again.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from pupload import errors
from pupload.domain import keys, retention
from pupload.domain.artifact import Artifact
from pupload.domain.plan import Origin
from pupload.domain.run import Run
from pupload.engine.staging import UPLOADS, Staging
from pupload.engine.tasks import each_of
from pupload.ports import ObjectStore

log = logging.getLogger(__name__)

Kept = frozenset[tuple[str, str]]
"""Store and key of objects that others still show."""

AT_ONCE = 8
"""Objects that are deleted at the same time."""

SAME_SECONDS = 60.0
"""How much later than recorded an object may be by its store's clock, and still be the one that was recorded."""


class Deleting:
    """Deletes objects of runs that are over."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self.done: Counter[str] = Counter()
        """What was deleted since the start: `objects`, `uploads`."""

    async def artifacts(self, run: Run, edges: Iterable[str], kept: Kept) -> None:
        """The objects of these edges are gone afterwards. Raises what the stores raise."""

        async def delete(edge: str) -> None:
            await self._artifact(run, run.artifacts[edge], kept)

        await each_of(list(edges), delete, at_once=AT_ONCE)

    async def late_uploads(self, run: Run) -> None:
        """What was put for the run and never sealed is gone afterwards, unfinished uploads in parts included."""
        for store in self._stores(run):
            await self._all(store, f"{UPLOADS}{run.id}/", frozenset())
            await self._parts(store, f"{run.id}/")
        for edge in run.plan.edges.values():
            if edge.origin is not Origin.STATIC and run.id in edge.key:
                await self._parts(self._staging.store(run, edge.store), edge.key)

    async def everything(self, run: Run, kept: Kept) -> None:
        """Nothing that the run owns is in any store afterwards."""
        await self.late_uploads(run)
        for store in self._stores(run):
            await self._all(store, f"{run.id}/", kept)
        await self.artifacts(run, run.artifacts, kept)
        for edge in run.plan.edges.values():
            # What an attempt stored and nobody could commit any more.
            uncommitted = edge.name not in run.artifacts and edge.origin is not Origin.STATIC and run.id in edge.key
            if uncommitted and (edge.store, edge.key) not in kept:
                store = self._staging.store(run, edge.store)
                await store.delete(edge.key)
                if edge.collection:
                    await self._all(store, f"{edge.key}/", kept)

    async def notes(self, store: ObjectStore, run_id: str) -> None:
        """What was told of the run's objects is gone afterwards."""
        for key in [found.key async for found in store.list(keys.of_notes(run_id))]:
            await store.delete(key)

    async def unreadable(self, store: ObjectStore, run_id: str, kept: Kept) -> None:
        """As `everything`, for a run of which no more than its id is known: what lies under that is gone afterwards."""
        for prefix in (f"{UPLOADS}{run_id}/", f"{run_id}/"):
            await self._all(store, prefix, kept)

    def _stores(self, run: Run) -> list[ObjectStore]:
        """All that the run may have put something into."""
        names = dict.fromkeys(edge.store for edge in run.plan.edges.values())
        return [self._staging.store(run, name) for name in names]

    async def _artifact(self, run: Run, artifact: Artifact, kept: Kept) -> None:
        if not retention.is_own(run, artifact) or (artifact.store, artifact.key) in kept:
            return
        if artifact.items is not None:
            return  # it is no object; each of its items has its turn
        store = self._staging.store(run, artifact.store)
        if retention.is_nobody_elses(run, artifact.key) or await _is_as_recorded(store, artifact):
            await store.delete(artifact.key)
            self.done["objects"] += 1

    async def _all(self, store: ObjectStore, prefix: str, kept: Kept) -> None:
        await self._parts(store, prefix)
        others = {key for _, key in kept}

        async def delete(key: str) -> None:
            await store.delete(key)
            self.done["objects"] += 1

        # By its key alone: two names in a flow may lead to one bucket.
        gone = [found.key async for found in store.list(prefix) if found.key not in others]
        await each_of(gone, delete, at_once=AT_ONCE)

    async def _parts(self, store: ObjectStore, prefix: str) -> None:
        async for upload in store.multiparts(prefix):
            await store.abort_multipart(upload.key, upload.upload_id)
            self.done["uploads"] += 1


async def _is_as_recorded(store: ObjectStore, artifact: Artifact) -> bool:
    try:
        found = await store.stat(artifact.key)
    except errors.ObjectAbsent:
        return False
    young = artifact.created_at + timedelta(seconds=SAME_SECONDS) < found.modified_at
    if found.etag != artifact.etag or young:
        log.info("object %s in store %s is another by now, and stays", artifact.key, artifact.store)
        return False
    return True
