"""What is kept of flows, and the definitions of their nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pupload.domain import flow, nodedef, saved


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Flows and node definitions that belong together, as pushed by `pup push`."""

    id: str
    """A UUID, lower case."""
    name: str = ""
    flows: tuple[flow.Flow, ...] = ()
    definitions: tuple[nodedef.NodeDef, ...] = ()
    stores: tuple[flow.Store, ...] = ()
    account: int | None = None
    """Whose it is; None: nobody's."""


class FlowStore(Protocol):
    """Projects, durably."""

    async def put_project(self, project: Project) -> None:
        """Saves it, in place of an earlier one of the same id and account."""

    async def projects(self, project_id: str) -> Sequence[Project]:
        """All of this id, nobody's first, then by their accounts' numbers; one of an account at most."""


SavedFlows = saved.SavedFlows
"""Flows kept under a name with every version they had: promised beside what is kept."""


SavedPage = saved.Page


class Catalogue(Protocol):
    """Node definitions known by name, whoever's flow uses them."""

    async def find(self, uses: str) -> nodedef.NodeDef | None:
        """The definition `Publisher/Name`, or None."""

    async def all(self) -> Sequence[nodedef.NodeDef]:
        """All of them, by name."""
