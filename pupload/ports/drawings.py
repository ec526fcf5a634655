"""Where drawings are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pupload.domain.drawing.model import Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingLine:
    """A drawing as lists show it."""

    drawing: Drawing
    """Without its nodes and edges."""
    nodes: int
    edges: int
    """How many it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingPage:
    """Some of the drawings, by their numbers."""

    drawings: Sequence[DrawingLine]
    total: int
    """Of all that match, not of this page."""


class Drawings(Protocol):
    """
    Drawings with their nodes and edges, durably.

    A drawing is saved whole, in one commit; its number and those of its nodes and edges are given here, and no number
    is given twice. Of an account's drawings, and of nobody's, each has a slug of its own, and one at most is the
    default: who becomes that takes the place of the one before. What was removed is not there for anybody.
    """

    async def create(self, this: Drawing) -> Drawing:
        """Saves a new one; returns it with its numbers. Raises `errors.DrawingTaken`."""

    async def save(self, this: Drawing) -> Drawing:
        """
        Saves it in place of the revision before; returns it with the numbers of what is new in it, and its revision.

        Nothing is saved where it raises: `errors.DrawingChanged` when somebody else changed it since,
        `errors.DrawingTaken`, `errors.UnknownDrawing`.
        """

    async def get(self, drawing_id: int) -> Drawing:
        """Raises `errors.UnknownDrawing`, `errors.Damaged`."""

    async def find(self, slug: str, *, account: int | None = None, first: int | None = None) -> Drawing:
        """
        The drawing of this slug: where an `account` is said, one of its own, or a public one.

        Of several it is the one of the account `first` (None: nobody's), else that of the lowest number. Raises
        `errors.UnknownDrawing`, `errors.Damaged`.
        """

    async def list(self, *, account: int | None = None, limit: int = 100, offset: int = 0) -> DrawingPage:
        """By number; where an `account` is said, its own and public ones."""

    async def remove(self, drawing_id: int, *, at: datetime) -> None:
        """It is not there any more, and its slug is free. Raises `errors.UnknownDrawing`."""
