"""
Where somebody is in the feed, the one stream of what happens in all runs.

A commit that wrote events or log lines of a run is a row of the feed. Rows have an order in which they are read, told
by two numbers (the database's transaction and the row), and whoever reads may have been told some of a row only.
Written as text it is what the `id` of a server-sent event holds.
"""

import re
from dataclasses import dataclass

_WRITTEN = re.compile(r"(\d{1,18})\.(\d{1,18})\.(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """All of the rows before it were told, and of its own the first `told` things."""

    group: int = 0
    row: int = 0
    told: int = 0

    def __str__(self) -> str:
        return f"{self.group}.{self.row}.{self.told}"


def read(text: str) -> Place | None:
    """The place that was written so; None where it is none."""
    found = _WRITTEN.fullmatch(text)
    return None if found is None else Place(*map(int, found.groups()))
