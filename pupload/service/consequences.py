"""All that follows from runs, in one place."""

from pupload.engine.consequences import Consequence
from pupload.engine.engine import Engine


class Consequences:
    """Has them follow."""

    def __init__(self, engine: Engine, *every: Consequence) -> None:
        """Each of them, in no order that matters."""
        self._engine = engine
        self._every = every

    def start(self) -> None:
        """They follow from now on, from what was left undone first."""
        self._engine.consequences.start(self._every)

    async def close(self) -> None:
        """Nothing follows any more; what is left undone is found by the next server."""
        await self._engine.consequences.close()
