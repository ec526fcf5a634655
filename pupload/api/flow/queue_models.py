"""The names that go over the wire about the queue of runs; see `pupload.api.flow.models`."""

from datetime import datetime

import msgspec

from pupload.api.flow.models import Answer, Request, ThePriority


class SetPriority(Request):
    """What the run is to have from now on: -100 to 100, higher ones first."""

    Priority: ThePriority


class QueueLine(Answer, frozen=True, kw_only=True):
    """A run in the queue. `Position` is its place among those that wait for a slot, and `QueuedAt` since when."""

    ID: str
    Flow: str
    Priority: int
    CreatedAt: datetime
    QueuedAt: datetime | msgspec.UnsetType = msgspec.UNSET
    Position: int | msgspec.UnsetType = msgspec.UNSET


class Queue(Answer, frozen=True, kw_only=True):
    """
    The runs of this server that have something under way, and those that wait for a slot, in their order.

    `Slots` is how many may have something under way, null for any number.
    """

    Slots: int | None
    Running: list[QueueLine]
    Queued: list[QueueLine]
    RunningTotal: int
    QueuedTotal: int
