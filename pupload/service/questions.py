"""Flows that are asked something, and answer: a value in, and what comes of it out."""

import json
from datetime import datetime
from typing import Any

from pupload import ports
from pupload.domain.run import Run
from pupload.service.flows import Flows
from pupload.service.launching import Launches
from pupload.service.threads import LABEL, Threads


class Questions:
    """What can be asked of saved flows; every method raises `errors.UnknownSavedFlow`."""

    def __init__(self, *, launches: Launches, flows: Flows, threads: Threads) -> None:
        self._launches = launches
        self._flows = flows
        self._threads = threads

    async def ask(self, flow: str, value: Any, *, kept: bool = False) -> Run:
        """
        A run of the flow, given the value; where it is `kept`, this and the answer go into the caller's thread with it.

        Raises as `Launches.flow` does.
        """
        if not kept:
            return await self._launches.flow(flow, value)
        found = await self._flows.find(flow)
        run = await self._launches.flow(found.id, value, labels={LABEL: found.id})
        await self._threads.said(run, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        return run

    async def history(self, flow: str, *, before: datetime | None = None, limit: int = 100) -> ports.Said:
        """The last that the caller and the flow said to each other, or the last before."""
        return await self._threads.history((await self._flows.find(flow)).id, before=before, limit=limit)

    async def forget(self, flow: str) -> None:
        """The caller and the flow never said anything to each other."""
        await self._threads.clear((await self._flows.find(flow)).id)
