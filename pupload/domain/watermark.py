"""
How much of a disk must stay free, and what is not begun any more when less is.

Below the reserve nothing new is begun that fills the disk: no attempt starts, and the server's own store takes no
upload. What runs goes on, and finds the reserve to end in. Below a part of the reserve no new run is taken either.
"""

from dataclasses import dataclass
from enum import IntEnum

GIB = 1 << 30

USUAL_BYTES, USUAL_SHARE = 2 * GIB, 0.05
"""The reserve where nobody says otherwise: the smaller of the two."""

LAST_SHARE = 0.25
"""The part of the reserve below which no run is taken."""


class Level(IntEnum):
    """Of the fullest disk."""

    ENOUGH = 0
    LOW = 1
    """Below the reserve."""
    FULL = 2
    """Below the last part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A file system, as it is at a moment."""

    what: str
    """What is kept there, for a person."""
    path: str
    free_bytes: int
    """What those may still write who are not root."""
    total_bytes: int


def reserve_bytes(space: Space, wanted: int | None) -> int:
    """What is to stay free there; `wanted` is what the operator says, if anything."""
    return min(USUAL_BYTES, int(space.total_bytes * USUAL_SHARE)) if wanted is None else wanted


def level(space: Space, wanted: int | None) -> Level:
    """How full it is."""
    reserve = reserve_bytes(space, wanted)
    if space.free_bytes >= reserve:
        return Level.ENOUGH
    return Level.LOW if space.free_bytes >= reserve * LAST_SHARE else Level.FULL
