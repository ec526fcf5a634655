"""Callbacks: who was told that a run is over, who was not, and telling them again."""

from collections.abc import Sequence

from pupload.domain.delivery import Delivery
from pupload.engine.engine import Engine
from pupload.service.runs import Runs


class Callbacks:
    """What can be asked about callbacks."""

    def __init__(self, *, engine: Engine, runs: Runs) -> None:
        self._engine = engine
        self._runs = runs

    async def of_run(self, run_id: str) -> Sequence[Delivery]:
        """All of the run; there are none before it is over. Raises `errors.UnknownRun`."""
        run = await self._runs.find(run_id)
        return await self._engine.world.outbox.of_run(run.id)

    async def send_again(self, run_id: str, delivery_id: str) -> Delivery:
        """
        The delivery, which is sent again at once and as often as a new one, also when the receiver has it already.

        Raises `errors.UnknownRun`, `errors.UnknownDelivery`.
        """
        run = await self._runs.find(run_id)
        return await self._engine.callbacks.send_again(run.id, delivery_id)
