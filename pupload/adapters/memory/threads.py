"""What was said, in memory."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pupload import ports
from pupload.domain.thread import Message, Role, Thread


class Threads:
    """`ports.Threads` in memory."""

    def __init__(self) -> None:
        self._messages: dict[tuple[str, Role], Message] = {}
        self._last = 0

    async def say(self, message: Message) -> None:
        """See `ports.Threads.say`."""
        await asyncio.sleep(0)
        if (message.run, message.role) not in self._messages:
            self._last += 1
            self._messages[message.run, message.role] = replace(message, id=self._last)

    async def said_in(self, run_id: str) -> Sequence[Message]:
        """See `ports.Threads.said_in`."""
        await asyncio.sleep(0)
        return [self._messages[run_id, role] for role in Role if (run_id, role) in self._messages]

    async def read(
        self, account: int | None, flow: str, *, before: datetime | None = None, limit: int = 100
    ) -> ports.Said:
        """See `ports.Threads.read`."""
        await asyncio.sleep(0)
        found = [one for one in self._messages.values() if (one.account, one.flow) == (account, flow)]
        found = sorted((one for one in found if before is None or one.at < before), key=lambda one: (one.at, one.id))
        first = max(len(found) - max(limit, 0), 0)
        return ports.Said(messages=found[first:], more=first > 0)

    async def clear(self, account: int | None, flow: str) -> None:
        """See `ports.Threads.clear`."""
        await asyncio.sleep(0)
        kept = {key: one for key, one in self._messages.items() if (one.account, one.flow) != (account, flow)}
        self._messages = kept

    async def forget(self, message_ids: Sequence[int], *, account: int | None = None) -> None:
        """See `ports.Threads.forget`."""
        await asyncio.sleep(0)
        self._messages = {
            key: one
            for key, one in self._messages.items()
            if one.id not in message_ids or account not in (None, one.account)
        }

    async def list(self, *, account: int | None = None, limit: int = 100, offset: int = 0) -> ports.ThreadPage:
        """See `ports.Threads.list`."""
        await asyncio.sleep(0)
        threads: dict[tuple[int | None, str], list[Message]] = defaultdict(list)
        for one in self._messages.values():
            if account in (None, one.account):
                threads[one.account, one.flow].append(one)
        found = [_thread(*key, messages) for key, messages in threads.items()]
        found.sort(key=lambda one: (one.last_at, one.account or 0, one.flow), reverse=True)
        return ports.ThreadPage(threads=found[offset : offset + limit], total=len(found))


def _thread(account: int | None, flow: str, messages: Sequence[Message]) -> Thread:
    return Thread(
        account=account,
        flow=flow,
        messages=len(messages),
        turns=sum(one.role is Role.USER for one in messages),
        size=sum(len(one.text.encode()) for one in messages),
        first_at=min(one.at for one in messages),
        last_at=max(one.at for one in messages),
    )
