"""
Which containers of this process wait at their gates, and their way there and on.

Whatever goes wrong with a gate, the node starts: plainly, when its turn comes. What armed containers and gates are
stands at the head of `arming`.
"""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pupload import errors, ports
from pupload.adapters.docker import arming, confinement, containers, events, gate, images
from pupload.domain import run

_log = logging.getLogger(__name__)

_MEETING_SECONDS = 10.0
"""Between the engine's word that the gate was started and the gate's own."""
_SOON_SECONDS = 0.2
_LOOK_AGAIN_SECONDS = 1.0
_MOST_FAILURES = 3
"""In a row: of gates to come to wait, or of one image's commands to begin."""
_REMEMBERED = 1000
_ENDED_BY_OTHERS = frozenset({-1, 137, 143})
"""Removed, killed or stopped: no fault of the gate's."""
_THE_ORDERS_FAULT = frozenset({errno.ENOENT, errno.E2BIG})
"""Such a command does not start plainly either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What an executor does with a container, given its name or its id."""

    create: Callable[[str, confinement.Config, ports.ContainerOrder], Awaitable[bool]]
    """Whether it was made now; raises what `ports.Executor.arm` raises."""
    look_over: Callable[[confinement.Config, ports.ContainerOrder], None]
    """Raises `errors.ContainerRefused` for settings that no container may have."""
    check: Callable[[str, confinement.Config], Awaitable[str]]
    """Its id; raises `errors.ContainerRefused`, and it is gone, where it is less confined than asked."""
    start: Callable[[str], Awaitable[None]]
    """Raises `errors.ContainerRefused`, and it is gone, where the engine would not start it."""
    kill: Callable[[str], Awaitable[object]]
    remove: Callable[[str], Awaitable[object]]
    """It is gone afterwards, whatever it did, or on its way."""
    inspect: Callable[[str], Awaitable[containers.Inspected | None]]
    """As it is now; None where there is none."""
    watch: Callable[[str], AbstractContextManager[events.Watch]]


class _Fitness:
    """What is known of where gates work and where they do not, so that what fails is not tried for ever."""

    def __init__(self) -> None:
        self._reason = ""
        self._failures = 0
        self._odd: dict[str, int] = {}

    def program(self, image: str, facts: images.Facts) -> bytes | None:
        """The gate for containers of this image; None where they are to be started plainly."""
        odd = self._odd.get(image, 0) >= _MOST_FAILURES
        return None if self._reason or odd else gate.program(facts.architecture)

    def worked(self) -> None:
        """A gate waits."""
        self._failures = 0

    def failed(self, reason: str, *, for_good: bool) -> None:
        """It did not come to wait; `for_good`: nor will another. Who looks at the log is told once."""
        self._failures += 1
        if not self._reason and (for_good or self._failures >= _MOST_FAILURES):
            self._reason = reason
            _log.warning("no containers are armed ahead from now on, each node starts when its turn comes: %s", reason)

    def opened(self, image: str, number: int) -> None:
        """What came of opening a gate: 0, or why the kernel did not execute the image's command."""
        if not number:
            self._odd.pop(image, None)
        elif number not in _THE_ORDERS_FAULT:
            while len(self._odd) >= _REMEMBERED:
                del self._odd[next(iter(self._odd))]
            self._odd[image] = self._odd.get(image, 0) + 1

    @property
    def hopeless(self) -> bool:
        """Whether no container is armed any more."""
        return bool(self._reason)


class Armory:
    """The armed containers of this process."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._gates: dict[run.AttemptRef, arming.Gate] = {}
        self._fitness = _Fitness()

    @property
    def hopeless(self) -> bool:
        """Whether no container is armed any more."""
        return self._fitness.hopeless

    def may_arm(self, order: ports.ContainerOrder) -> bool:
        """Whether it is worth a question to the engine."""
        return not self._fitness.hopeless and arming.is_plain(order)

    # ── there ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def arm(self, name: str, order: ports.ContainerOrder, image: images.Facts, plain: confinement.Config) -> bool:
        """
        As `ports.Executor.arm`; `plain` are the settings of a plain start.

        When it raises, or is cancelled, something may be left, which does not wait.
        """
        program = self._fitness.program(order.image, image)
        if program is None:
            return False
        asked = arming.armed(plain)
        there = self._gates.get(order.attempt)
        if there is not None and there.asked == asked:
            return True
        if there is not None:
            del self._gates[order.attempt]
            if await self._withdraw(there):
                return False
        if not await self._hands.create(name, asked, order):
            # What an earlier process left is in the way of nobody; whatever else there is is.
            left = await self._hands.inspect(name)
            if left is None or not arming.never_ran(left) or not containers.has_ended(left):
                return False
            await self.replace(left)
            if not await self._hands.create(name, asked, order):
                return False
        made = arming.Gate(asked)
        try:
            if not await self._stands(made, name, order, program):
                return False
            self._gates[order.attempt] = made
        finally:
            if self._gates.get(order.attempt) is not made:
                made.close()
        return True

    async def _stands(self, made: arming.Gate, name: str, order: ports.ContainerOrder, program: bytes) -> bool:
        """Whether the gate waits; if not, its container is gone."""
        try:
            await made.place(order.inputs, program)
            made.container = await self._hands.check(name, made.asked)
            await self._hands.start(name)
            await self._meet(made, name)
        except errors.ContainerRefused as refused:
            # Another refusal is not the gate's fault: a plain start is refused as well, or it was removed meanwhile.
            if arming.PLACE in str(refused):
                self._fitness.failed(f"the gate cannot be executed: {refused}", for_good=True)
        except FileNotFoundError:
            pass  # the attempt's directory was removed: nobody wants it any more
        except OSError as error:
            self._fitness.failed(f"the gate cannot be put into {order.inputs}: {error}", for_good=False)
        if made.waits:
            self._fitness.worked()
            return True
        await self._hands.remove(made.container or name)
        return False

    async def _meet(self, made: arming.Gate, name: str) -> None:
        """Returns when the gate waits, or it is clear that it will not."""
        meeting, ending = asyncio.ensure_future(made.meet()), asyncio.ensure_future(self._end_of(name))
        try:
            await asyncio.wait({meeting, ending}, timeout=_MEETING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if meeting.done():
                meeting.result()
            elif not ending.done():
                self._fitness.failed(f"the gate was not heard of within {_MEETING_SECONDS:g} s", for_good=False)
            elif ending.result() == gate.GAVE_UP:
                self._fitness.failed("a program in a container cannot connect to this one's socket", for_good=True)
            elif ending.result() not in _ENDED_BY_OTHERS:
                self._fitness.failed(f"the gate ended with exit code {ending.result()}", for_good=True)
        finally:
            for task in (meeting, ending):
                task.cancel()
            await asyncio.gather(meeting, ending, return_exceptions=True)

    async def _end_of(self, name: str) -> int:
        # As a rule the gate has come by the time the engine says that it was started.
        await asyncio.sleep(_SOON_SECONDS)
        with self._hands.watch(name) as watch:
            while (found := await self._hands.inspect(name)) is not None and not containers.has_ended(found):
                await watch.changed(within_seconds=_LOOK_AGAIN_SECONDS)
        return int(found["State"]["ExitCode"]) if found is not None else -1

    # ── and on ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, order: ports.ContainerOrder, image: images.Facts, plain: confinement.Config) -> bool:
        """
        Whether the attempt's command runs now, or did.

        If not, no container of ours waits for the attempt any more. Raises `errors.ContainerRefused` for an order whose
        settings no container may have.
        """
        waiting = self._gates.pop(order.attempt, None)
        if waiting is None:
            return False
        try:
            self._hands.look_over(plain, order)
            outcome = await self._try(waiting, order, image, plain)
        except errors.ContainerRefused:
            await self._withdraw(waiting)
            raise
        except BaseException:
            waiting.close()
            raise
        if not outcome.reason or outcome.errno:
            self._fitness.opened(order.image, outcome.errno)
        if not outcome.reason:
            waiting.close()
            return True
        _log.info("%s does not begin in the container armed for it: %s", order.attempt.id, outcome.reason)
        return await self._withdraw(waiting)

    async def _try(
        self, waiting: arming.Gate, order: ports.ContainerOrder, image: images.Facts, plain: confinement.Config
    ) -> arming.Outcome:
        if waiting.asked != arming.armed(plain) or not arming.is_plain(order):
            return arming.Outcome("it is ordered otherwise by now")
        argv = arming.command(order, image)
        if not argv:
            return arming.Outcome("there is no command")
        return await waiting.open(argv, order.environment)

    async def _withdraw(self, waiting: arming.Gate) -> bool:
        """Whether its command ran after all, until now. If not the container is gone."""
        try:
            await self._hands.kill(waiting.container)
            if waiting.opened:
                return True
        finally:
            waiting.close()
        await self._hands.remove(waiting.container)
        return False

    async def replace(self, found: containers.Inspected) -> None:
        """The container, armed by somebody else, does not wait any more: it is gone, or its command had begun."""
        await self._hands.kill(str(found["Id"]))
        if arming.never_ran(found):
            await self._hands.remove(str(found["Id"]))

    def drop(self, attempt: run.AttemptRef) -> None:
        """The attempt's gate, if one waits, ends; its container stays."""
        waiting = self._gates.pop(attempt, None)
        if waiting is not None:
            waiting.close()

    def close(self) -> None:
        """All gates end."""
        for attempt in list(self._gates):
            self.drop(attempt)
