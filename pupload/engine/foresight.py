"""
What is done for the attempts that the end of another lets begin, before it is known how that one ended.

Its outputs are stored some time before its engine tells (`pupload.engine.outputs`), and nearly every attempt that got
so far ends well. So it is asked already what would be decided then, whether the work that follows was done before, and
the inputs are laid where its containers wait. It counts only where that is what is decided: nothing of it is saved or
shown, no container begins by it, and where it comes to nothing the container in whose directory something lies is
thrown away.
"""

import logging
from collections.abc import Sequence

from pupload.domain import commands, events
from pupload.domain.artifact import Artifact
from pupload.domain.run import AttemptRef, Run
from pupload.engine.ahead import Ahead, given
from pupload.engine.arming import Arming
from pupload.engine.driver import Driver
from pupload.engine.memory import Memory
from pupload.engine.staging import Staging
from pupload.engine.tasks import Tasks
from pupload.engine.work import Phase, Work

log = logging.getLogger(__name__)


class Foresight:
    """What was begun for attempts that are not decided on yet."""

    def __init__(self, *, driver: Driver, memory: Memory, arming: Arming, staging: Staging) -> None:
        self._driver = driver
        self._memory = memory
        self._arming = arming
        self._staging = staging
        self._tasks = Tasks()
        self._begun: dict[str, Ahead] = {}
        """By attempt."""
        self._behind: dict[str, list[AttemptRef]] = {}
        """The attempts for which something was begun, by the one whose end they wait for."""

    async def close(self) -> None:
        """Nothing is done any more."""
        self._begun.clear()
        self._behind.clear()
        await self._tasks.close()

    def look(self, work: Work, artifacts: Sequence[Artifact]) -> None:
        """
        The attempt has stored all its outputs, and may have ended well: what would follow from that is begun.

        Not behind what is told to stop, nor behind collections, whose items are counted first.
        """
        if work.phase is not Phase.EXECUTING or work.stopped or any(port.many for port in work.node.outputs):
            return
        try:
            self._look(work.ref, artifacts)
        except Exception:
            log.exception("what follows %s is not begun before its end, for a reason of ours", work.ref.id)

    def _look(self, ref: AttemptRef, artifacts: Sequence[Artifact]) -> None:
        run = self._driver.live.get(ref.run)
        if run is None or not self._arming.awaits(run, {artifact.edge for artifact in artifacts}):
            return
        end = events.NodeSucceeded(node=ref.node, attempt=ref.number, exit_code=0, artifacts=tuple(artifacts))
        if (decision := self._driver.foreseen(run, end)) is None:
            return
        for order in decision.commands:
            if isinstance(order, commands.StartNode):
                self._begin(ref, decision.run, AttemptRef(run=ref.run, node=order.node, number=order.attempt))

    def _begin(self, behind: AttemptRef, run: Run, ref: AttemptRef) -> None:
        if ref.id not in self._begun and self._arming.has(ref.id):
            self._begun[ref.id] = self.ahead(run, ref)
            self._behind.setdefault(behind.id, []).append(ref)

    def ahead(self, run: Run, ref: AttemptRef) -> Ahead:
        """
        Begins what can be done before the attempt is saved as one to start: the run is as it will be.

        It is asked whether its work was done before, and the inputs are laid where its container waits for them.
        """
        node = run.plan.nodes[ref.node]
        ahead = Ahead(given(run, node), asking=self._memory.foresee(run, node, ref))
        laying = self._arming.to_lay_in(ref) if any(ahead.given) else None
        if laying is not None:
            ahead.folder, before = laying
            fetching = self._staging.fetch_inputs(run, node, before)
            ahead.fetching = self._tasks.ask(fetching, name=f"inputs of {ref.id}")
        return ahead

    def taken(self, ref: AttemptRef) -> Ahead | None:
        """What was begun for the attempt, which is decided on: it is the caller's now. None where nothing was."""
        return self._begun.pop(ref.id, None)

    async def end(self, behind: AttemptRef) -> None:
        """It is known how that attempt ended: what was begun for others and is not theirs now, comes to nothing."""
        for ref in self._behind.pop(behind.id, ()):
            if (ahead := self._begun.pop(ref.id, None)) is not None:
                await ahead.end()
                if ahead.fetching is not None:
                    self._arming.dismiss(ref)

    def forget(self, behind: AttemptRef) -> None:
        """Nobody here sees to that attempt any more, nor to those behind it."""
        for ref in self._behind.pop(behind.id, ()):
            if (ahead := self._begun.pop(ref.id, None)) is not None:
                ahead.forget()
