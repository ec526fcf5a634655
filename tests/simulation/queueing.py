"""
Slots: never may more runs have something under way than there are slots, whatever befalls the server.

Whoever had a slot before a restart keeps it; so what is forbidden is to begin a run while there is none.
"""

import random
from collections.abc import Iterable

from pupload.domain import events, queueing
from pupload.domain.run import Decision, Run


def most_runs(seed: int) -> int | None:
    """How many slots there are; mostly any number."""
    return random.Random(f"slots {seed}").choice((None, None, 1, 1, 2))


def priority(seed: int, case: str) -> int | None:
    """What the run of the case is ordered with."""
    return random.Random(f"priority {seed} {case}").choice((None, None, -10, 5))


class Watch:
    """Which runs have slots, by what is saved."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._begun: set[str] = set()

    def restarted(self, saved: Iterable[Run]) -> None:
        """There is another process, which knows what was saved."""
        self._begun = {run.id for run in saved if not run.status.terminal and queueing.has_begun(run)}

    def see(self, decision: Decision) -> str:
        """The decision was saved. Returns what is wrong with it."""
        run = decision.run
        wrong = ""
        if any(isinstance(event, events.NodeAdmitted) for event in decision.events):
            if self._most is not None and run.id not in self._begun and len(self._begun) >= self._most:
                others = ", ".join(sorted(self._begun))
                wrong = f"a run was begun though there are {self._most} slots, which these have: {others}"
            self._begun.add(run.id)
        if run.status.terminal or not run.active:
            self._begun.discard(run.id)
            if run.queued_at is not None:
                wrong = wrong or "a run waits for a slot that has nothing under way"
        return wrong
