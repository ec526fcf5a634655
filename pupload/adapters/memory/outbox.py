"""
Callbacks in memory: those on their way, and a receiver that takes them.

    poster.replies = [delivery.Reply(status=500)]   # the first time; then 200
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pupload import errors, ports
from pupload.domain.delivery import Delivery, Reply


class Outbox:
    """`ports.Outbox` in memory, for the runs that `has_run` knows."""

    def __init__(self, has_run: Callable[[str], bool]) -> None:
        self._has_run = has_run
        self._kept: dict[str, Delivery] = {}

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """See `ports.Outbox.add`."""
        await asyncio.sleep(0)
        for this in deliveries:
            if self._has_run(this.run):
                self._kept.setdefault(this.id, this)

    async def put(self, this: Delivery) -> Delivery | None:
        """See `ports.Outbox.put`."""
        await asyncio.sleep(0)
        kept = self._there().get(this.id)
        if kept is None or kept.version != this.version:
            return None
        saved = self._kept[this.id] = replace(this, version=this.version + 1)
        return saved

    async def get(self, run_id: str, delivery_id: str) -> Delivery:
        """See `ports.Outbox.get`."""
        await asyncio.sleep(0)
        kept = self._there().get(delivery_id)
        if kept is None or kept.run != run_id:
            raise errors.UnknownDelivery(delivery=delivery_id[:64], run=run_id)
        return kept

    async def of_run(self, run_id: str) -> Sequence[Delivery]:
        """See `ports.Outbox.of_run`."""
        await asyncio.sleep(0)
        return sorted((one for one in self._there().values() if one.run == run_id), key=lambda one: one.id)

    async def due(self, now: datetime, *, per_host: int, limit: int) -> Sequence[Delivery]:
        """See `ports.Outbox.due`."""
        await asyncio.sleep(0)
        found: list[Delivery] = []
        hosts: Counter[str] = Counter()
        for _, _, this in sorted((one.due_at, one.id, one) for one in self._there().values() if one.due_at is not None):
            if this.due_at is not None and this.due_at <= now and hosts[this.host] < per_host:
                hosts[this.host] += 1
                found.append(this)
        return found[:limit]

    async def outlook(self) -> ports.Outlook:
        """See `ports.Outbox.outlook`."""
        await asyncio.sleep(0)
        moments = [one.due_at for one in self._there().values() if one.due_at is not None]
        return ports.Outlook(pending=len(moments), due_at=min(moments, default=None))

    def _there(self) -> dict[str, Delivery]:
        """Without those of runs that were deleted since."""
        self._kept = {name: this for name, this in self._kept.items() if self._has_run(this.run)}
        return self._kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What a receiver got."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    trusted: bool


@dataclass(slots=True)
class MemoryPoster:
    """`ports.Poster` to a receiver in memory."""

    posted: list[Posted] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    """What it answers next, the first first; then 200."""
    gate: asyncio.Event | None = None
    """Answers wait until it is set."""

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        trusted: bool,
        timeout_seconds: float,  # noqa: ARG002 - the port's name; here the gate decides
    ) -> Reply:
        """See `ports.Poster.post`."""
        await asyncio.sleep(0)
        self.posted.append(Posted(url=url, headers=dict(headers), body=body, trusted=trusted))
        if self.gate is not None:
            await self.gate.wait()
        return self.replies.pop(0) if self.replies else Reply(status=200)

    async def close(self) -> None:
        """See `ports.Poster.close`."""
