"""Whether the server can do its work, and how much of it there is."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence

from pupload import errors
from pupload.domain import skew
from pupload.domain.delivery import State
from pupload.domain.watermark import Level
from pupload.engine.engine import Engine
from pupload.ports import Pulse
from pupload.service.views import Counts, HealthLine

ANSWER_SECONDS = 5.0
"""What does not answer in this time is not well."""


class Health:
    """What can be asked about the server."""

    def __init__(self, engine: Engine, *, pulse: Pulse | None = None) -> None:
        self._engine = engine
        self._pulse = pulse

    async def check(self) -> Sequence[HealthLine]:
        """
        One line each for the database, the store, the container engine and the disks; for the clock if it was set.
        """
        world = self._engine.world
        lines = await asyncio.gather(
            _line("database", world.runs.list(limit=1)),
            _line("store", self._ask_store()),
            _line("engine", world.executor.capacity()),
            self._look_at_disks(),
        )
        return [*lines, *self._complaints()]

    def _complaints(self) -> Iterator[HealthLine]:
        """Lines that are there only when there is something to say."""
        if said := skew.complaint(self._engine.world.clock.skew()):
            yield HealthLine(name="clock", ok=True, detail=said)
        if self._pulse is not None and (said := self._pulse.complaint()):
            yield HealthLine(name="process", ok=False, detail=said)

    async def _look_at_disks(self) -> HealthLine:
        disks = self._engine.disks
        await disks.look()
        what = "no run is taken, and no node started" if disks.level is Level.FULL else "no node is started"
        return HealthLine(name="disk", ok=disks.enough, detail="" if disks.enough else f"{what}: {disks.shortage}")

    async def _ask_store(self) -> None:
        try:
            await self._engine.world.stores.default().stat("healthz")
        except errors.ObjectAbsent:
            return  # it answered, and that is what was asked

    def counts(self) -> Counts:
        """Numbers for the metrics page, from memory."""
        engine, admission = self._engine, self._engine.admission
        held = list(admission.holders.values())
        room = admission.room
        return Counts(
            runs=Counter(run.status.value for run in engine.driver.live.values() if not run.plan.ephemeral),
            containers=len(held),
            armed=engine.arming.armed,
            runs_queued=admission.slots.waiting,
            slots=admission.slots.most,
            slots_used=len(admission.slots.running),
            queued=admission.queued,
            capacity={"cpus": room.cpus, "memory_bytes": room.memory_bytes, "attempts": room.attempts},
            used={
                "cpus": sum(tier.cpus for tier in held),
                "memory_bytes": sum(tier.memory_bytes for tier in held),
                "attempts": len(held),
            },
            totals=dict(engine.totals),
            standstills=self._pulse.standstills if self._pulse else 0,
            standstill_seconds=self._pulse.seconds if self._pulse else 0.0,
            callbacks={state.value: engine.callbacks.totals[state] for state in (State.DELIVERED, State.FAILED)},
            disk_free={space.what: space.free_bytes for space in engine.disks.spaces},
            deleted=engine.retention.deleted,
            callbacks_pending=engine.callbacks.pending,
        )


async def _line(name: str, answer: Awaitable[object]) -> HealthLine:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await answer
    except (errors.PuploadError, TimeoutError) as error:
        said = str(error) or f"did not answer within {ANSWER_SECONDS:g} s"
        return HealthLine(name=name, ok=False, detail=said)
    return HealthLine(name=name, ok=True)
