"""Ids and chance from a seed: the same seed gives the same run of events again."""

import random  # noqa: TID251 - chance that repeats itself is what this module is for

from pupload.domain import ids

_START_MILLISECONDS = 1_772_539_200_000
"""2026-03-03T12:00Z, where the virtual clock starts as well."""


class SeededIds:
    """`ports.Ids` that repeats itself. Run ids sort in the order of their making, as real ones do."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not for secrets: the tests' chance
        self._made = 0

    def new_run_id(self) -> str:
        """`run_` and a new ULID."""
        self._made += 1
        milliseconds = _START_MILLISECONDS + self._made
        return ids.run_id(milliseconds << ids.RANDOM_BITS | self._random.getrandbits(ids.RANDOM_BITS))

    def token(self) -> str:
        """32 letters and digits."""
        return f"{self._random.getrandbits(128):032x}"

    def fraction(self) -> float:
        """Evenly between 0 and 1."""
        return self._random.random()
