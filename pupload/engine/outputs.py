"""
The outputs of one attempt, from the moment that nothing writes to them any more.

How a node ended its engine tells some time after it has ceased. Meanwhile what it left is looked at, typed, hashed and
stored: under the attempt's own keys alone, and nothing of it counts before its artifacts are committed. Where it turns
out to have ended badly it is withdrawn (`pupload.engine.attempts`).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from pupload import errors
from pupload.domain.artifact import Artifact
from pupload.domain.plan import NodePlan
from pupload.domain.run import AttemptRef, Run
from pupload.engine.footprint import Footprint
from pupload.engine.patience import patiently
from pupload.engine.staging import Folder, Seen, Staging
from pupload.engine.tasks import ended
from pupload.ports import Clock, Executor, Exit


@dataclass(slots=True)
class Kept:
    """What stores have, or may have, of an attempt that is not over."""

    stored: dict[str, Artifact] = field(default_factory=dict)
    """Outputs that their stores have, by port."""
    offered: dict[str, datetime] = field(default_factory=dict)
    """Since when a store may have taken an output's file, whatever it answered; by port."""


class Outputs:
    """Those of one attempt."""

    def __init__(
        self,
        *,
        run: Run,
        node: NodePlan,
        ref: AttemptRef,
        folder: Folder,
        kept: Kept,
        since: datetime | None,
        footprint: Footprint,
        staging: Staging,
        executor: Executor,
        clock: Clock,
    ) -> None:
        """`kept` is filled; `since` is as in `Staging.store_outputs`."""
        self._run = run
        self._node = node
        self._ref = ref
        self._folder = folder
        self._kept = kept
        self._since = since
        self._footprint = footprint
        self._staging = staging
        self._executor = executor
        self._clock = clock

    async def look(self, waiting: "asyncio.Task[Exit]") -> dict[str, Seen]:
        """What the node left, once nothing writes any more: when it has ceased, or `waiting` knows how it ended."""
        ceasing = asyncio.ensure_future(patiently(self._clock, lambda: self._executor.ceased(self._ref)))
        try:
            await asyncio.wait({ceasing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(ceasing)
        seen = await self._staging.hands.do(self._look_briefly)
        return await asyncio.to_thread(self._look) if seen is None else seen

    def _look_briefly(self) -> dict[str, Seen] | None:
        """None where that takes time."""
        return self._staging.look(self._node, self._folder) if self._footprint.look_briefly() else None

    def _look(self) -> dict[str, Seen]:
        self._footprint.look_now()  # what it wrote since the last look counts, too
        return self._staging.look(self._node, self._folder)

    async def store_early(self, looking: "asyncio.Task[dict[str, Seen]]", *, wanted: Callable[[], bool]) -> None:
        """Stores what `looking` saw under keys of the attempt's own, if it is `wanted` then and is not too much."""
        seen = await asyncio.shield(looking)
        if wanted() and not self._footprint.too_much:
            # There may be room by the time that it counts: storing what is left then says so if there is none.
            with suppress(errors.DiskFull):
                await self._store(seen, own_keys_only=True)

    async def store(self) -> tuple[Artifact, ...]:
        """Stores what is not stored yet. Returns the artifacts of all, and raises as `Staging.store_outputs`."""
        return await self._store(None, own_keys_only=False)

    async def _store(self, seen: dict[str, Seen] | None, *, own_keys_only: bool) -> tuple[Artifact, ...]:
        return await patiently(
            self._clock,
            lambda: self._staging.store_outputs(
                *(self._run, self._node, self._ref, self._folder),
                stored=self._kept.stored,
                offered=self._kept.offered,
                since=self._since,
                seen=seen,
                own_keys_only=own_keys_only,
            ),
        )
