"""
The outputs of one attempt, from the moment that nothing writes to them any more.

How a node ended its engine tells some time after it has ceased. Meanwhile what it left is looked at, typed, hashed and
stored: under the attempt's own keys alone, and nothing of it counts before its artifacts are committed. Where it turns
out to have ended badly it is withdrawn (`pupload.engine.attempts`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from pupload import errors
from pupload.domain.artifact import Artifact
from pupload.domain.plan import NodePlan
from pupload.domain.run import AttemptRef, Run
from pupload.engine.collecting import all_stored
from pupload.engine.footprint import Footprint
from pupload.engine.patience import patiently
from pupload.engine.staging import Folder, Seen, Staging
from pupload.engine.tasks import ended
from pupload.ports import Clock, Executor


@dataclass(slots=True)
class Kept:
    """What stores have, or may have, of an attempt that is not over."""

    stored: dict[str, Artifact] = field(default_factory=dict)
    """Outputs that their stores have, by port; a collection once it is stored with all its items."""
    items: dict[str, dict[int, Artifact]] = field(default_factory=dict)
    """Items that their stores have, by port and place."""
    offered: dict[str, datetime] = field(default_factory=dict)
    """Since when a store may have taken an output's file, whatever it answered; by port."""

    @property
    def objects(self) -> list[Artifact]:
        """All that stores have, as far as is known."""
        items = (artifact for kept in self.items.values() for artifact in kept.values())
        return [*self.stored.values(), *items]


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
        self._early: asyncio.Task[None] | None = None
        """Looks at what the node left, and stores it."""
        self._asking, self._has_ceased = False, False
        """Whether the engine is asked, and whether it has said so."""
        self._ended = asyncio.Event()
        """Set when it is known how it ended, and not that it has ceased."""
        self._looked = asyncio.Event()
        """Set when it was looked at what the node left, or nobody will."""
        self._trouble: Exception | None = None
        """What came in the way of looking."""

    def store_early(
        self, *, wanted: Callable[[int], Awaitable[bool]], stored: Callable[[Sequence[Artifact]], None]
    ) -> None:
        """
        Begins to look at what the node left and to store it, once nothing writes any more.

        Stored is what goes under keys of the attempt's own, if so many bytes are `wanted` then and are not too much.
        Where that is all, `stored` is told of it.
        """
        self._early = asyncio.ensure_future(self._store_early(wanted, stored))
        # Not in the task's own hands: one that is cancelled before its first step never gets to its `finally`.
        self._early.add_done_callback(lambda _: self._looked.set())

    def has_ended(self) -> None:
        """It is known how it ended: whatever the engine says of ceasing, nothing writes any more."""
        if self._early is not None and not self._has_ceased and not self._ended.is_set():
            self._ended.set()
            if self._asking:
                self._early.cancel()

    async def looked(self) -> None:
        """Returns when it was looked at what the node left. Raises what came in the way."""
        await self._looked.wait()
        if self._trouble is not None:
            raise self._trouble

    async def stored_early(self) -> None:
        """Returns when all is stored that can be early. Raises as `Staging.store_outputs`."""
        if self._early is not None:
            await self._early

    def give_up(self) -> None:
        """Nobody wants what is being stored early: whoever waits for that is cancelled."""
        if self._early is not None:
            self._early.cancel()

    async def close(self) -> None:
        """Nothing is stored early any more."""
        if self._early is not None:
            await ended(self._early)

    async def _store_early(
        self, wanted: Callable[[int], Awaitable[bool]], stored: Callable[[Sequence[Artifact]], None]
    ) -> None:
        try:
            await self._until_it_has_ceased()
            seen = await self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who waits for the look
            self._trouble = error
            return
        finally:
            self._looked.set()
        if await wanted(sum(one.size or 0 for one in seen.values())) and not self._footprint.too_much:
            # There may be room by the time that it counts: storing what is left then says so if there is none.
            with suppress(errors.DiskFull):
                artifacts = await self._store(seen, own_keys_only=True)
                if self._is_all:
                    stored(artifacts)

    async def _until_it_has_ceased(self) -> None:
        if self._ended.is_set():  # before it was asked at all
            self._has_ceased = True
            return
        self._asking = True
        try:
            try:
                await patiently(self._clock, lambda: self._executor.ceased(self._ref))
            except errors.PuploadError:
                await self._ended.wait()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._ended.is_set() or task is None or task.uncancel():
                raise  # not by `has_ended` alone
        self._has_ceased = True

    async def _look(self) -> dict[str, Seen]:
        seen = await self._staging.hands.do(self._look_briefly)
        return await asyncio.to_thread(self._look_long) if seen is None else seen

    def _look_briefly(self) -> dict[str, Seen] | None:
        """None where that takes time."""
        return self._staging.look(self._node, self._folder) if self._footprint.look_briefly() else None

    def _look_long(self) -> dict[str, Seen]:
        self._footprint.look_now()  # what it wrote since the last look counts, too
        return self._staging.look(self._node, self._folder)

    async def store(self) -> tuple[Artifact, ...]:
        """Stores what is not stored yet. Returns the artifacts of all, and raises as `Staging.store_outputs`."""
        if self._is_all:
            return tuple(all_stored(self._node, self._kept.stored, self._kept.items))
        return await self._store(None, own_keys_only=False)

    @property
    def _is_all(self) -> bool:
        """Whether everything is stored."""
        return all(port.port in self._kept.stored for port in self._node.outputs)

    async def _store(self, seen: dict[str, Seen] | None, *, own_keys_only: bool) -> tuple[Artifact, ...]:
        return await patiently(
            self._clock,
            lambda: self._staging.store_outputs(
                *(self._run, self._node, self._ref, self._folder),
                stored=self._kept.stored,
                items=self._kept.items,
                offered=self._kept.offered,
                since=self._since,
                seen=seen,
                own_keys_only=own_keys_only,
            ),
        )
