"""Runs from which something follows: others that wait for them, or were told that they would hear."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Following(Protocol):
    """
    Which runs something may follow from that was not done yet.

    A run whose plan says so (`Plan.followed`) is followed from its creation, in the same commit; one that is doomed is
    not any more.
    """

    async def follow(self, run_id: str) -> None:
        """Something may follow from the run, be it over already. Nothing happens where there is none."""

    async def unsettled(self, *, after: str = "", limit: int = 100) -> Sequence[str]:
        """The ids behind `after` of followed runs that are over, by id."""

    async def settle(self, run_id: str) -> None:
        """All that follows from the run was done. Nothing happens to one that is not over."""

    async def children(self, run_id: str) -> Mapping[str, str]:
        """
        The runs that were started for the results that this run waits for: their ids, by its edges.

        Where one was started again, the later one; none that are doomed.
        """
