"""`namespace.Namespaces` in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pupload.domain.namespace import Namespace


class Namespaces:
    """Lasts as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Namespace] = {}

    async def put(self, this: Namespace) -> Namespace | None:
        """See `namespace.Namespaces.put`."""
        await asyncio.sleep(0)
        kept = self._kept.get(_key(this))
        if (0 if kept is None else kept.revision) != this.revision:
            return None
        saved = self._kept[_key(this)] = replace(this, revision=this.revision + 1)
        return saved

    async def find(self, name: str) -> Sequence[Namespace]:
        """See `namespace.Namespaces.find`."""
        await asyncio.sleep(0)
        return [this for _, this in sorted(self._kept.items()) if this.name == name]

    async def list(self, *, account: int | None = None) -> Sequence[Namespace]:
        """See `namespace.Namespaces.list`."""
        await asyncio.sleep(0)
        return [this for _, this in sorted(self._kept.items()) if account in (None, this.account)]

    async def remove(self, this: Namespace) -> None:
        """See `namespace.Namespaces.remove`."""
        await asyncio.sleep(0)
        self._kept.pop(_key(this), None)


def _key(this: Namespace) -> tuple[str, int]:
    return this.name, this.account or 0
