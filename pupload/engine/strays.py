"""
What lies in stores and belongs to no run that goes on: looked for now and then, over whole stores.

Runs tidy up after themselves. Here is what nobody is left to tidy up: uploads in parts that were given up long ago,
and, in the server's own store, uploads of runs that the database does not know. Other objects of unknown runs are told
to the operator and never deleted: a database that was restored from a backup knows fewer runs than its store.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from pupload import errors
from pupload.domain import ids
from pupload.domain.run import Run
from pupload.engine.driver import Driver
from pupload.engine.staging import UPLOADS, Staging
from pupload.ports import Clock, ObjectStore, RunStore, Stores

log = logging.getLogger(__name__)

STRAY_SECONDS = 86400.0
"""How old an upload without a run must be: whoever is just about to save the run it is for is done by then."""

TOLD = 5
"""Runs that a report names."""


class Strays:
    """Looks through stores."""

    def __init__(
        self,
        *,
        runs: RunStore,
        driver: Driver,
        staging: Staging,
        stores: Stores,
        clock: Clock,
        multipart_seconds: float,
        own_store: bool,
    ) -> None:
        """`own_store`: the default store is this server's alone."""
        self._runs = runs
        self._driver = driver
        self._staging = staging
        self._stores = stores
        self._clock = clock
        self._multipart_seconds = multipart_seconds
        self._own_store = own_store
        self.unknown: Counter[str] = Counter()
        """Objects in the server's own store by the run that the database does not know, as of the last report."""

    async def sweep(self) -> None:
        """Uploads that nobody will go on with are gone afterwards, as far as their stores answer."""
        for store in self._in_use():
            try:
                await self._sweep_parts(store)
                if self._own_store and store is self._stores.default():
                    await self._sweep_uploads(store)
            except errors.PuploadError as error:
                log.warning("store %s cannot be looked through: %s", store.name, error)

    async def report(self) -> None:
        """Tells how many objects of unknown runs are in the server's own store."""
        if not self._own_store:
            return
        known: dict[str, bool] = {}
        unknown: Counter[str] = Counter()
        async for found in self._stores.default().list("run_"):
            run_id = found.key.partition("/")[0]
            if ids.canonical_run_id(run_id) != run_id:
                continue
            if run_id not in known:
                known[run_id] = await self._is_known(run_id)
            unknown[run_id] += not known[run_id]
        self.unknown = +unknown
        if self.unknown:
            log.warning(
                "%d objects in the store belong to %d runs that this database does not know, such as %s; they stay",
                *(self.unknown.total(), len(self.unknown), ", ".join(sorted(self.unknown)[:TOLD])),
            )

    def _in_use(self) -> Iterable[ObjectStore]:
        found = {id(store): store for run in list(self._driver.live.values()) for store in self._of(run)}
        default = self._stores.default()
        return list({id(default): default, **found}.values())

    def _of(self, run: Run) -> list[ObjectStore]:
        return [self._staging.store(run, name) for name in {edge.store for edge in run.plan.edges.values()}]

    async def _sweep_parts(self, store: ObjectStore) -> None:
        before = self._clock.now() - timedelta(seconds=self._multipart_seconds)
        async for upload in store.multiparts(UPLOADS):
            if upload.started_at < before and not await self._goes_on(_run_of(upload.key)):
                log.info("aborting an upload in parts that was begun at %s and given up", upload.started_at)
                await store.abort_multipart(upload.key, upload.upload_id)

    async def _sweep_uploads(self, store: ObjectStore) -> None:
        before = self._clock.now() - timedelta(seconds=STRAY_SECONDS)
        async for found in store.list(UPLOADS):
            if found.modified_at < before and not await self._goes_on(_run_of(found.key)):
                log.info("removing an upload that no run waits for, of %s", found.modified_at)
                await store.delete(found.key)

    async def _goes_on(self, run_id: str) -> bool:
        """Whether the run may still want its uploads; one that cannot be read is left alone."""
        if run_id in self._driver.live:
            return True
        try:
            return not (await self._runs.load(run_id)).status.terminal
        except errors.UnknownRun:
            return False
        except errors.Damaged:
            return True

    async def _is_known(self, run_id: str) -> bool:
        for load in (self._runs.load, self._runs.load_doomed):
            try:
                await load(run_id)
            except errors.UnknownRun:
                continue
            except errors.Damaged:
                return True
            return True
        return False


def _run_of(key: str) -> str:
    return key.removeprefix(UPLOADS).partition("/")[0]
