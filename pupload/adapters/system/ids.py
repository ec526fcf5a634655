"""
New ids from this machine's clock and its source of chance.

A run's id is a capability of sorts (whoever knows it may ask for the run), so even ids of the same millisecond, which
must go on growing, are a random distance apart.
"""

import secrets
import threading
import time

from pupload.domain import ids

_STEP_BITS = 72
"""How far apart two ids of one millisecond may be: 256 of them fit for certain, and none can be guessed."""


class SystemIds:
    """`ports.Ids` of this machine. Run ids grow, even within a millisecond and when the clock is set back."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def new_run_id(self) -> str:
        """`run_` and a new ULID."""
        milliseconds = time.time_ns() // 1_000_000
        fresh = milliseconds << ids.RANDOM_BITS | secrets.randbits(ids.RANDOM_BITS)
        with self._lock:
            if fresh >> ids.RANDOM_BITS <= self._last >> ids.RANDOM_BITS:
                fresh = self._last + 1 + secrets.randbits(_STEP_BITS)
            self._last = fresh
        return ids.run_id(fresh)

    def token(self) -> str:
        """32 letters and digits: 128 bits."""
        return secrets.token_hex(16)

    def fraction(self) -> float:
        """Evenly between 0 and 1."""
        return secrets.SystemRandom().random()
