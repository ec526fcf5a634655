"""What is known of one attempt while it is under way in this process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from pupload.domain.plan import NodePlan
from pupload.domain.run import AttemptRef
from pupload.engine.ahead import Ahead
from pupload.engine.memory import Asked
from pupload.engine.outputs import Kept, Outputs
from pupload.engine.staging import Folder


class Phase(Enum):
    """How far an attempt is; what stopping it takes depends on it."""

    QUEUED = "queued"
    STAGING = "staging"
    EXECUTING = "executing"
    STORING = "storing"


@dataclass(slots=True)
class Work:
    """One attempt, as far as it has come here."""

    ref: AttemptRef
    node: NodePlan
    phase: Phase = Phase.QUEUED
    stopped: bool = False
    task: "asyncio.Task[None] | None" = None
    moving: bool = False
    """Its task has bytes on their way in or out, which whoever stops it breaks off."""
    broken_off: bool = False
    """They were."""
    admitting: "asyncio.Future[bool] | None" = None
    """Whether it is still wanted, now that there is room; None where the run knew before that it has it."""
    ahead: Ahead | None = None
    """What was begun while it was saved that it begins."""
    asked: Asked | None = None
    """Whether its work was done before; None where nobody asked."""
    outputs: Outputs | None = None
    """Once its container runs."""
    given_up: bool = False
    """Nobody wants the outputs any more."""
    image: str = ""
    container: bool = False
    """Whether there may be a container to remove."""
    adopted: bool = False
    """Whether another process may have begun it: this one after a restart, or another controller."""
    folder: Folder | None = None
    """Its directory, where that is another's: the container says so."""
    made: Folder | None = None
    """Its directory, where it was made just now."""
    kept: Kept = field(default_factory=Kept)

    def forget(self) -> None:
        """What was begun ahead is nobody's concern any more."""
        if self.ahead is not None:
            self.ahead.forget()

    def give_up(self) -> None:
        """Nobody wants its outputs any more: what moves them is broken off."""
        self.given_up = True
        if self.outputs is not None:
            self.outputs.give_up()
        self.break_off()

    def break_off(self) -> None:
        """Ends its task where bytes are on their way, once."""
        if self.moving and not self.broken_off and self.task is not None:
            self.broken_off = True
            self.task.cancel()

    @contextmanager
    def bytes_moving(self, *, unless: bool) -> Iterator[None]:
        """While bytes are on their way in or out; raises CancelledError where nobody wants them any more."""
        if unless:
            raise asyncio.CancelledError
        self.moving = True
        try:
            yield
        finally:
            self.moving = False
