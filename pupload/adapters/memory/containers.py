"""
Containers that are Python functions.

An image is a script: a function that gets the order, may read `order.inputs`, writes the node's files into
`order.outputs`, and returns an `Outcome`: how the "container" ends, after how long, and what it printed. Time is the
given clock's, so an hour's work takes no time under a clock turned by hand. Nothing runs in the background: whether a
container has ended is worked out when somebody asks.

The executor stands for the engine, not for a connection to it: a second "process" in a test uses the same object.
What happened can be read (`starts`, `pulls`, `alive`, `left`) and the world can be made worse (`down`, `end`,
`lose`). For tests and dry runs.
"""

import asyncio
import functools
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pupload import errors, ports
from pupload.domain import run


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A line that a script prints."""

    text: str
    stream: Literal["stdout", "stderr"] = "stdout"
    after_seconds: float = 0.0
    """Since the start; a container that was killed before never said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a scripted container ends."""

    code: int = 0
    oom: bool = False
    seconds: float = 0.0
    """How long it runs by the clock."""
    hangs: bool = False
    """It runs until it is stopped, whatever `seconds` says."""
    ignores_term: bool = False
    """Only KILL ends it, after the grace."""
    vanishes: bool = False
    """Instead of ending it is gone, as if removed by hand."""
    refused: str = ""
    """The engine will not start it, for this reason."""
    said: Sequence[Said | str] = ()
    peak_memory_bytes: int | None = None
    told_after_seconds: float = 0.0
    """How long after it has ceased the engine knows how it ended."""


Script = Callable[[ports.ContainerOrder], Outcome]
"""Called once, when the container starts. What it raises comes out of `ensure_started`: a broken test, not a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """What a registry answers for an image that is not on this machine."""

    script: Script | None = None
    """What the image does once it is here; None where `error` says why it never is."""
    seconds: float = 0.0
    error: errors.PuploadError | None = None


@dataclass(slots=True)
class _Box:
    """A container."""

    order: ports.ContainerOrder
    outcome: Outcome
    started_at: datetime
    ends_at: datetime | None
    """None: only somebody else ends it."""
    code: int
    oom: bool
    over: bool = False
    gone: bool = False
    signalled: str = ""
    engine_restarted: bool = False
    armed_by: object = None
    """The process that it waits for."""
    waits: bool = False
    """It was armed, and its command has not begun."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def ended(self, now: datetime) -> bool:
        """Once true it stays so, wherever somebody sets the clock."""
        self.over = self.over or (self.ends_at is not None and self.ends_at <= now)
        return self.over


def _at_the_gate(order: ports.ContainerOrder) -> ports.ContainerOrder:
    """Without what an armed container is told only when it is let go."""
    return replace(order, argv=None, environment={})


def _told_apart(order: ports.ContainerOrder) -> ports.ContainerOrder:
    """Without what differs when another controller orders the same: its own directory, its token in a label."""
    return replace(order, inputs=Path(), outputs=Path(), labels={})


@functools.cache
def image_id(reference: str) -> str:
    """The id that the in-memory engine gives to an image of this name."""
    return f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"


class MemoryExecutor:
    """`ports.Executor` without an engine."""

    def __init__(
        self,
        *,
        clock: ports.Clock,
        images: Mapping[str, Script] | None = None,
        registry: Mapping[str, Pull] | None = None,
        capacity: ports.Capacity | None = None,
    ) -> None:
        self.images: dict[str, Script] = dict(images or {})
        """What is on this machine, by reference. Tests may add and remove."""
        self.registry: dict[str, Pull] = dict(registry or {})
        """What can be pulled, by reference."""
        self.starts: Counter[run.AttemptRef] = Counter()
        """How often an attempt's container was really started: more than once only after it was removed."""
        self.pulls: Counter[str] = Counter()
        self.arms = False
        """Whether containers can be armed: functions are quick enough, so that nobody needs it."""
        self.unarmable: set[str] = set()
        """References of images that cannot, whatever `arms` says."""
        self.armings: Counter[run.AttemptRef] = Counter()
        """How often a container was armed for an attempt."""
        self.caller: Callable[[], object] = lambda: None
        """Which process calls now, where there are several."""
        self._clock = clock
        self._down = False
        self._capacity = capacity or ports.Capacity(cpus=4, memory_bytes=16 << 30, storage_bytes=100 << 30)
        self._boxes: dict[run.AttemptRef, _Box] = {}
        self._pulling: dict[str, asyncio.Task[None]] = {}

    # ── the port ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def resolve_image(self, reference: str) -> str:
        """See `ports.Executor`."""
        await self._ask()
        if reference not in self.images:
            await self._pull_once(reference)
        return image_id(reference)

    async def ensure_started(self, order: ports.ContainerOrder) -> None:
        """See `ports.Executor`. Raises `errors.Broken` when one attempt is ordered in two different ways."""
        await self._ask()
        found = self._find(order.attempt)
        if found is not None and found.waits:
            if not self._may_be_let_go(found, order):
                self._forget(order.attempt)
        elif found is not None:
            if _told_apart(found.order) != _told_apart(order):
                raise errors.Broken(reason=f"attempt {order.attempt.id} was ordered twice, and not the same")
            return
        outcome = self._script(order.image)(order)
        self._forget(order.attempt)  # who looks at it finds the command from now on
        if outcome.refused:
            raise errors.ContainerRefused(reason=outcome.refused)
        now = self._clock.now()
        self.starts[order.attempt] += 1
        self._boxes[order.attempt] = _Box(
            order=order,
            outcome=outcome,
            started_at=now,
            ends_at=None if outcome.hangs else now + timedelta(seconds=outcome.seconds),
            code=outcome.code,
            oom=outcome.oom,
        )

    async def arm(self, order: ports.ContainerOrder) -> bool:
        """See `ports.Executor`."""
        await self._ask()
        script = self._script(order.image)
        cannot = any(self.images.get(reference) is script for reference in self.unarmable)
        if not self.arms or cannot or order.secrets is not None or order.gpus or order.devices:
            return False
        found = self._find(order.attempt)
        if found is not None and (not found.waits or found.armed_by is not self.caller()):
            return False  # it is another's to replace, when it is started
        if found is None or not self._may_be_let_go(found, order):
            self._forget(order.attempt)
            self.armings[order.attempt] += 1
            self._boxes[order.attempt] = _Box(
                order=order,
                outcome=Outcome(hangs=True),
                started_at=self._clock.now(),
                ends_at=None,
                code=0,
                oom=False,
                armed_by=self.caller(),
                waits=True,
            )
        return True

    async def ceased(self, attempt: run.AttemptRef) -> None:
        """See `ports.Executor`."""
        await self._at_rest(attempt)

    async def wait(self, attempt: run.AttemptRef) -> ports.Exit:
        """See `ports.Executor`."""
        box = await self._at_rest(attempt)
        if box is not None and box.ends_at is not None and box.outcome.told_after_seconds:
            await self._clock.sleep_until(box.ends_at + timedelta(seconds=box.outcome.told_after_seconds))
            await self._ask()
            box = self._find(attempt)
        if box is None or box.waits:
            raise errors.ContainerLost(attempt=attempt.id)
        return ports.Exit(
            code=box.code,
            oom=box.oom,
            started_at=box.started_at,
            finished_at=box.ends_at,
            peak_memory_bytes=box.outcome.peak_memory_bytes,
            signalled=box.signalled,
            engine_restarted=box.engine_restarted,
        )

    async def logs(self, attempt: run.AttemptRef, *, skip: int = 0) -> AsyncIterator[ports.LogLine]:
        """See `ports.Executor`."""
        await self._ask()
        box = self._find(attempt)
        if box is None:
            return
        said = [Said(text=line) if isinstance(line, str) else line for line in box.outcome.said]
        for line in sorted(said, key=lambda line: line.after_seconds)[skip:]:
            at = box.started_at + timedelta(seconds=line.after_seconds)
            if not await self._lived_until(box, at):
                return
            yield ports.LogLine(at=at, stream=line.stream, message=line.text)
        while not box.gone and not box.ended(self._clock.now()):
            await self._until_changed(box, box.ends_at)
            await self._ask()

    async def last_line(self, attempt: run.AttemptRef) -> ports.LogLine | None:
        """See `ports.Executor`."""
        last = None
        async for line in self.logs(attempt):
            last = line
        return last

    async def stop(self, attempt: run.AttemptRef, *, grace_seconds: float) -> None:
        """See `ports.Executor`."""
        await self._ask()
        box = self._find(attempt)
        if box is None or box.ended(self._clock.now()):
            return
        if box.waits:
            self._end_waiting(box)
            return
        box.signalled = "SIGTERM"
        if not box.outcome.ignores_term:
            self._end(box, code=143)
            return
        deadline = self._clock.now() + timedelta(seconds=grace_seconds)
        if await self._lived_until(box, deadline):
            box.signalled = "SIGKILL"
            self._end(box, code=137)

    async def remove(self, attempt: run.AttemptRef) -> None:
        """See `ports.Executor`."""
        await self._ask()
        self._forget(attempt)

    async def recover(self) -> Sequence[ports.LiveContainer]:
        """See `ports.Executor`."""
        await self._ask()
        now = self._clock.now()
        return [
            ports.LiveContainer(
                attempt=attempt, running=not self._boxes[attempt].waits and not self._boxes[attempt].ended(now)
            )
            for attempt in self.left
        ]

    async def outputs(self, attempt: run.AttemptRef) -> Path | None:
        """See `ports.Executor`."""
        await self._ask()
        box = self._find(attempt)
        return None if box is None else box.order.outputs

    async def identity(self) -> str:
        """See `ports.Executor`."""
        return "memory"

    async def data_folder(self) -> Path | None:
        """See `ports.Executor`."""
        return None

    async def capacity(self) -> ports.Capacity:
        """See `ports.Executor`."""
        await self._ask()
        return self._capacity

    async def probe(self) -> Sequence[ports.ProbeLine]:
        """See `ports.Executor`."""
        await self._ask()
        return [ports.ProbeLine(what="container engine", ok=True, detail="in memory: scripts, no containers")]

    async def close(self) -> None:
        """See `ports.Executor`."""

    # ── for tests ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def down(self) -> bool:
        """Whether the engine does not answer. May be set; who waits then is told at once."""
        return self._down

    @down.setter
    def down(self, value: bool) -> None:
        self._down = value
        for box in self._boxes.values():
            box.changed.set()

    @property
    def alive(self) -> frozenset[run.AttemptRef]:
        """The attempts whose containers run now: those whose command waits are not among them."""
        now = self._clock.now()
        return frozenset(
            attempt for attempt in self.left if not self._boxes[attempt].waits and not self._boxes[attempt].ended(now)
        )

    @property
    def armed(self) -> frozenset[run.AttemptRef]:
        """The attempts whose containers wait to be let go, and can be."""
        return frozenset(attempt for attempt, box in self._boxes.items() if box.waits and not box.over)

    def armed_by(self, process: object) -> frozenset[run.AttemptRef]:
        """Those of them that wait for this process (as `caller` names it)."""
        return frozenset(attempt for attempt in self.armed if self._boxes[attempt].armed_by is process)

    def died(self, process: object = None) -> None:
        """The process (as `caller` named it) is gone: what waits for it ends."""
        for box in self._boxes.values():
            if box.waits and box.armed_by is process:
                self._end_waiting(box)

    @property
    def left(self) -> frozenset[run.AttemptRef]:
        """The attempts whose containers exist, running or not."""
        return frozenset(attempt for attempt in list(self._boxes) if self._find(attempt) is not None)

    def order(self, attempt: run.AttemptRef) -> ports.ContainerOrder:
        """What was ordered for an attempt whose container exists. Raises KeyError."""
        return self._boxes[attempt].order

    def end(
        self,
        attempt: run.AttemptRef,
        *,
        code: int = 0,
        oom: bool = False,
        signalled: str = "",
        engine_restarted: bool = False,
    ) -> None:
        """The running container ends now: of itself, or for a signal that somebody else sent, or with the engine."""
        box = self._boxes[attempt]
        box.signalled, box.engine_restarted = signalled, engine_restarted
        self._end(box, code=code, oom=oom)

    def lose(self, attempt: run.AttemptRef) -> None:
        """The container is removed behind our back."""
        self._forget(attempt)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _at_rest(self, attempt: run.AttemptRef) -> _Box | None:
        """The attempt's container when nothing of it runs any more; None when there is none."""
        await self._ask()
        while (box := self._find(attempt)) is not None and not box.ended(self._clock.now()):
            await self._until_changed(box, box.ends_at)
            await self._ask()
        return box

    async def _ask(self) -> None:
        """Every call gives others a turn, as a real one does: what relies on an unbroken order shows."""
        await asyncio.sleep(0)
        if self._down:
            raise errors.ExecutorUnavailable(host="memory", reason="it is switched off")

    def _script(self, image: str) -> Script:
        for reference, script in self.images.items():
            if image in (reference, image_id(reference)):
                return script
        raise errors.ImageMissing(image=image, reason="nobody gave the in-memory engine a script for it")

    async def _pull_once(self, reference: str) -> None:
        task = self._pulling.get(reference)
        if task is None:
            task = asyncio.create_task(self._pull(reference))
            self._pulling[reference] = task
            task.add_done_callback(lambda _: self._pulling.pop(reference, None))
        await asyncio.shield(task)

    async def _pull(self, reference: str) -> None:
        self.pulls[reference] += 1
        answer = self.registry.get(reference)
        if answer is None:
            raise errors.ImageMissing(image=reference, reason="no registry has it")
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=answer.seconds))
        if answer.error is not None:
            raise answer.error
        assert answer.script is not None, f"the pull of {reference} has neither a script nor an error"
        self.images[reference] = answer.script

    def _may_be_let_go(self, box: _Box, order: ports.ContainerOrder) -> bool:
        """Whether the armed container is what is ordered, and still waits for who orders it."""
        same = _at_the_gate(box.order) == _at_the_gate(order)
        return same and not box.over and box.armed_by is self.caller()

    def _end_waiting(self, box: _Box) -> None:
        box.over = True
        box.changed.set()

    def _end(self, box: _Box, *, code: int, oom: bool = False) -> None:
        box.code, box.oom, box.ends_at = code, oom, self._clock.now()
        box.changed.set()

    def _find(self, attempt: run.AttemptRef) -> _Box | None:
        """The container as it is now; one that was to vanish by now is gone."""
        box = self._boxes.get(attempt)
        if box is not None and box.outcome.vanishes and box.ended(self._clock.now()):
            self._forget(attempt)
            return None
        return box

    def _forget(self, attempt: run.AttemptRef) -> None:
        box = self._boxes.pop(attempt, None)
        if box is not None:
            box.gone = True
            box.changed.set()

    async def _lived_until(self, box: _Box, moment: datetime) -> bool:
        """Waits until `moment`; False when the container ended before it."""
        while self._clock.now() < moment:
            if box.gone or box.ended(self._clock.now()):
                break  # perhaps after it, when somebody has set the clock back since
            await self._until_changed(box, moment if box.ends_at is None else min(moment, box.ends_at))
            await self._ask()
        return not box.gone and (box.ends_at is None or moment <= box.ends_at)

    async def _until_changed(self, box: _Box, moment: datetime | None) -> None:
        """Returns at `moment`, or sooner when somebody ended or removed the container."""
        box.changed.clear()
        if moment is None:
            await box.changed.wait()
            return
        waiting = [
            asyncio.ensure_future(box.changed.wait()),
            asyncio.ensure_future(self._clock.sleep_until(moment)),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
