"""`ports.Knowledge` in memory."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from pupload import errors, ports
from pupload.domain.knowledge import Fact, Scope, said_again


class Knowledge:
    """Lasts as long as the process."""

    def __init__(self, is_there: Callable[[str], bool]) -> None:
        """`is_there` tells whether there is a run, with which its facts go."""
        self._is_there = is_there
        self._facts: dict[tuple[str, str], Fact] = {}

    async def say(self, facts: Sequence[Fact]) -> None:
        """See `ports.Knowledge`."""
        await asyncio.sleep(0)
        for fact in facts:
            before = self._facts.get((fact.place, fact.key))
            self._facts[fact.place, fact.key] = fact if before is None else said_again(before, fact)

    async def known(self, places: Sequence[str], *, count: bool = False) -> Sequence[Fact]:
        """See `ports.Knowledge`."""
        await asyncio.sleep(0)
        found = [fact for fact in self._there() if fact.place in places]
        for fact in found if count else ():
            self._facts[fact.place, fact.key] = replace(fact, access_count=fact.access_count + 1)
        return found

    async def get(self, fact_id: str) -> Fact:
        """See `ports.Knowledge`."""
        await asyncio.sleep(0)
        found = next((fact for fact in self._there() if fact.id == fact_id), None)
        if found is None:
            raise errors.UnknownFact(name=fact_id[:64])
        return found

    async def list(
        self,
        *,
        account: int | None = None,
        scope: Scope | None = None,
        kind: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> ports.FactPage:
        """See `ports.Knowledge`."""
        await asyncio.sleep(0)
        found = [
            fact
            for fact in self._there()
            if account in (None, fact.account) and scope in (None, fact.scope) and kind in (None, fact.type)
        ]
        found.sort(key=lambda fact: (fact.updated_at, fact.id), reverse=True)
        return ports.FactPage(facts=found[offset : offset + limit], total=len(found))

    async def remove(self, fact_ids: Sequence[str]) -> None:
        """See `ports.Knowledge`."""
        await asyncio.sleep(0)
        self._facts = {where: fact for where, fact in self._facts.items() if fact.id not in fact_ids}

    def _there(self) -> Sequence[Fact]:
        return [fact for fact in self._facts.values() if not fact.run or self._is_there(fact.run)]
