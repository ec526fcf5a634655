"""
What is done for an attempt while it is being saved that it begins.

It may come to nothing, and what was decided may be decided once more on other facts: so it counts only where the
attempt begins with the very inputs that it was done for.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pupload.domain.artifact import Artifact
from pupload.domain.plan import NodePlan
from pupload.domain.run import Run
from pupload.engine.memory import Asked
from pupload.engine.staging import Folder
from pupload.engine.tasks import ended

Given = tuple[Artifact | None, ...]
"""What lies on the edges of a node's inputs, in the order of its ports."""


def given(run: Run, node: NodePlan) -> Given:
    """What the node would begin with now."""
    return tuple(run.artifacts.get(port.edge) for port in node.inputs)


@dataclass(slots=True)
class Ahead:
    """Questions and files of one attempt."""

    given: Given
    asking: "asyncio.Task[Asked | None] | None" = None
    """Whether its work was done before."""
    folder: Folder | None = None
    """Of what is armed for it; None where nothing is."""
    fetching: "asyncio.Task[dict[str, str]] | None" = None
    """Brings the inputs there: their paths inside the container, by port."""

    def asked(self, now: Given) -> "asyncio.Task[Asked | None] | None":
        """The answer, where it was asked for these inputs."""
        return self.asking if self.given == now else None

    async def fetched(self, now: Given, folder: Folder) -> Mapping[str, str] | None:
        """
        The inputs' paths, where they are these and lie in that directory; None: somebody has to look what does.

        Where what was armed was taken down there may be another of the same path by now: only the same one counts.
        """
        if self.fetching is None:
            return None
        if self.folder is not folder:
            await ended(self.fetching)
            return None
        await asyncio.wait({self.fetching})
        if self.given != now or self.fetching.cancelled() or self.fetching.exception() is not None:
            return None
        return self.fetching.result()

    async def end(self) -> None:
        """Nothing is done any more afterwards."""
        for task in (self.asking, self.fetching):
            if task is not None:
                await ended(task)

    def forget(self) -> None:
        """The same, soon."""
        for task in (self.asking, self.fetching):
            if task is not None:
                task.cancel()
