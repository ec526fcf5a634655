"""What every measurement is given: how often, and whom to tell how far it is."""

import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.benchmarks.figures import Figure

REPEAT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The terms of a benchmark."""

    say: Callable[[str], None]
    repeat: int = REPEAT
    """Rounds, each of the baseline and of pupload."""

    def samples(self, usual: int) -> int:
        """How many of what is quick: so many usually, fewer or more where there are other rounds than usual."""
        return max(usual * self.repeat // REPEAT, 1)

    def round(self, name: str, number: int, **took: float) -> None:
        """Tells what one round came to, in milliseconds."""
        self.say(f"{name} {number + 1}/{self.repeat}: " + ", ".join(f"{who} {ms:.0f} ms" for who, ms in took.items()))


Part = Callable[[Lab], Awaitable[Sequence[Figure]]]
"""Measures, and returns its rows."""


def ms(began: float, ended: float) -> float:
    """Between two times in seconds."""
    return (ended - began) * 1e3


def now() -> float:
    """The time that nodes tell as well: of the wall clock, in seconds."""
    return time.time()


@contextmanager
def undisturbed() -> Iterator[None]:
    """While answers are timed: this process does not look for cycles of its own, which takes it a tenth of a second."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
