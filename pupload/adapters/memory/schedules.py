"""`schedule.Schedules` in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pupload import errors
from pupload.domain.schedule import Schedule


class Schedules:
    """Lasts as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[str, Schedule] = {}

    async def put(self, this: Schedule) -> Schedule | None:
        """See `schedule.Schedules.put`."""
        await asyncio.sleep(0)
        kept = self._kept.get(this.id)
        if (0 if kept is None else kept.version) != this.version:
            return None
        saved = self._kept[this.id] = replace(this, version=this.version + 1)
        return saved

    async def get(self, schedule_id: str) -> Schedule:
        """See `schedule.Schedules.get`."""
        await asyncio.sleep(0)
        if schedule_id not in self._kept:
            raise errors.UnknownSchedule(name=schedule_id[:64])
        return self._kept[schedule_id]

    async def list(
        self, *, flow_id: str | None = None, enabled: bool | None = None, account: int | None = None
    ) -> Sequence[Schedule]:
        """See `schedule.Schedules.list`."""
        await asyncio.sleep(0)
        return [
            this
            for _, this in sorted(self._kept.items())
            if flow_id in (None, this.flow_id) and enabled in (None, this.enabled) and account in (None, this.account)
        ]

    async def remove(self, schedule_id: str) -> None:
        """See `schedule.Schedules.remove`."""
        await asyncio.sleep(0)
        if self._kept.pop(schedule_id, None) is None:
            raise errors.UnknownSchedule(name=schedule_id[:64])

    async def due(self, now: datetime, *, limit: int = 100) -> Sequence[Schedule]:
        """See `schedule.Schedules.due`."""
        await asyncio.sleep(0)
        due = [(this.look_at, this.id) for this in self._kept.values() if this.look_at and this.look_at <= now]
        return [self._kept[name] for _, name in sorted(due)[:limit]]

    async def next_look(self) -> datetime | None:
        """See `schedule.Schedules.next_look`."""
        await asyncio.sleep(0)
        return min((this.look_at for this in self._kept.values() if this.look_at), default=None)
