"""
What lies in stores and belongs to no run that goes on: looked for now and then, over whole stores.

Runs tidy up after themselves. Here is what nobody is left to tidy up: uploads in parts that were given up long ago,
and, in the server's own store, uploads that came when their run was over or gone. What was sealed is never touched.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta

from pupload import errors
from pupload.domain.run import Run
from pupload.engine.driver import Driver
from pupload.engine.staging import UPLOADS, Staging
from pupload.ports import Clock, ObjectStore, RunStore, Stores

log = logging.getLogger(__name__)

STRAY_SECONDS = 86400.0
"""How old an upload without a run must be: whoever is just about to save the run it is for is done by then."""


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

    async def sweep(self) -> None:
        """Uploads that nobody will go on with are gone afterwards, as far as their stores answer."""
        for store in self._in_use():
            try:
                await self._sweep_parts(store)
                if self._own_store and store is self._stores.default():
                    await self._sweep_uploads(store)
            except errors.PuploadError as error:
                log.warning("store %s cannot be looked through: %s", store.name, error)

    def _in_use(self) -> Iterable[ObjectStore]:
        found = {id(store): store for run in list(self._driver.live.values()) for store in self._of(run)}
        default = self._stores.default()
        return list({id(default): default, **found}.values())

    def _of(self, run: Run) -> list[ObjectStore]:
        return [self._staging.store(run, name) for name in {edge.store for edge in run.plan.edges.values()}]

    async def _sweep_parts(self, store: ObjectStore) -> None:
        before = self._clock.now() + self._clock.skew() - timedelta(seconds=self._multipart_seconds)
        async for upload in store.multiparts(UPLOADS):
            if upload.started_at < before and not await self._goes_on(_run_of(upload.key)):
                log.info("aborting an upload in parts that was begun at %s and given up", upload.started_at)
                await store.abort_multipart(upload.key, upload.upload_id)

    async def _sweep_uploads(self, store: ObjectStore) -> None:
        before = self._clock.now() + self._clock.skew() - timedelta(seconds=STRAY_SECONDS)
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


def _run_of(key: str) -> str:
    return key.removeprefix(UPLOADS).partition("/")[0]
