"""Images brought to the machine before their nodes are due."""

import logging

from pupload import errors
from pupload.domain.run import Run
from pupload.engine.tasks import Tasks
from pupload.ports import Executor

log = logging.getLogger(__name__)


class Preparing:
    """Has images at hand, where they can be."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._tasks = Tasks()
        self._under_way: set[str] = set()

    async def close(self) -> None:
        """Stops; an attempt brings what it needs."""
        await self._tasks.close()

    def prepare(self, run: Run, node: str) -> None:
        """Has the node's image at hand, if it can be; an attempt will say so if it cannot."""
        image = run.plan.nodes[node].image
        if image not in self._under_way:
            self._under_way.add(image)
            task = self._tasks.start(self._prepare(image), name=f"prepare {image}")
            task.add_done_callback(lambda _: self._under_way.discard(image))

    async def _prepare(self, image: str) -> None:
        try:
            await self._executor.resolve_image(image)
        except errors.PuploadError as error:
            log.info("image %s is not at hand: %s", image, error)
