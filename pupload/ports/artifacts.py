"""What all runs made, one object after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pupload.domain import artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An artifact, and the run that has it."""

    run: str
    edge: str
    artifact: artifact.Artifact | None
    """None where it does not read back."""
    gone_at: datetime | None = None
    """Since when its object is deleted."""


class ArtifactIndex(Protocol):
    """The artifacts of all runs that are not doomed, those that were uploaded and items of collections included."""

    async def artifacts(
        self, *, after: tuple[str, str] | None = None, account: int | None = None, limit: int = 100
    ) -> Sequence[Kept]:
        """
        Those behind the one of this run on this edge: the newest run's first (by its id), of one run by their edges.
        Where an `account` is given, those of its runs.

        Fewer than `limit` are given only at the end. Of one that does not read back nothing is told but its place.
        """

    async def edges(self, first: str, last: str) -> Sequence[tuple[str, str]]:
        """Run and edge of all artifacts of the runs with ids from `first` to `last`."""
