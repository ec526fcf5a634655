"""
Letters to runs that another controller owns.

Whoever is asked something about such a run leaves a letter for its owner and waits a little for it to be worked in. An
owner that died reads nothing: then whoever takes the run over finds the letter, and the caller is told how the run
stands.
"""

import logging

from pupload.engine.timers import first_of, sleep
from pupload.ports import Clock, Journal, Letter, Ownership

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""How long a letter is waited for."""

LOOK_SECONDS = 0.25
"""How soon it is looked after when nobody says that anything happened."""


class Post:
    """Leaves letters."""

    def __init__(self, *, ownership: Ownership, journal: Journal, clock: Clock) -> None:
        self._ownership = ownership
        self._journal = journal
        self._clock = clock

    async def deliver(self, run_id: str, letter: Letter) -> bool:
        """
        Leaves the letter for the run's owner. Returns whether it was worked in soon, or nobody needs to any more.

        Raises `errors.DatabaseUnavailable` when it could not be left.
        """
        with self._journal.subscribe(run_id) as subscription:
            number = await self._ownership.post(run_id, letter)
            until = self._clock.monotonic() + ANSWER_SECONDS
            while not await self._ownership.is_taken(number):
                if self._clock.monotonic() >= until:
                    log.warning("nobody has worked in what was said of run %s yet: %s", run_id, type(letter).__name__)
                    return False
                await first_of(subscription.wait(), sleep(self._clock, LOOK_SECONDS))
        return True
