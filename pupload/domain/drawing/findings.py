"""What is wrong with a drawing, or with what somebody wants to do to it."""

from dataclasses import dataclass
from enum import StrEnum


class Wrong(StrEnum):
    """In what way."""

    ABSENT = "absent"
    """It names something that is not there."""
    TAKEN = "taken"
    """There is one already."""
    UNFIT = "unfit"
    """It cannot be so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    sentence: str
    kind: Wrong = Wrong.UNFIT
    node: str = ""
    """The node that it is about; empty: an edge, or the whole."""
