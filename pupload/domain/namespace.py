"""
Namespaces: what stands before the last slash of a saved flow's name, where somebody said more of it.

Most namespaces are there because a flow is. One that is kept has a description, may be empty, and knows what was
said of its schedules as a whole; and it keeps the *sketches* that flows in it were made of, as they were sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

MOST_SKETCHES = 100
MOST_BYTES = 2 * 1024 * 1024
"""Of all sketches of one namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """The graph that a version of a saved flow was made of."""

    version: int
    graph: str = field(repr=False)
    """JSON, as it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A namespace that is kept."""

    name: str
    account: int | None = None
    """Whose it is; None: nobody's."""
    description: str = ""
    created_at: datetime
    running: bool = False
    """Whether its schedules were last said to start runs."""
    sketches: Mapping[str, Sketch] = field(default_factory=dict)
    """By the names of their flows."""
    revision: int = 0
    """Grows with every save."""


class Namespaces(Protocol):
    """Namespaces that are kept, durably. Each account has names of its own."""

    async def put(self, this: Namespace) -> Namespace | None:
        """
        Saves it in place of the one of the same revision, or as a new one where that is 0. Returns it with its new
        revision.

        None, and nothing is saved, when somebody else saved it since, or it is not there any more.
        """

    async def find(self, name: str) -> Sequence[Namespace]:
        """Those of that name, of all accounts: nobody's first, then by their numbers."""

    async def list(self, *, account: int | None = None) -> Sequence[Namespace]:
        """Those of the account, or everybody's, by name."""

    async def remove(self, this: Namespace) -> None:
        """It is not there any more; as it may have been before."""
