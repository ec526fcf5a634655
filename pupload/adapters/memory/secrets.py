"""`ports.SecretStore` in memory, where nothing needs to be sealed."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from pupload import errors, ports


class Secrets:
    """Lasts as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, datetime]] = {}
        self._keys = 1

    async def put(self, name: str, value: str, *, at: datetime) -> None:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        self._kept[name] = value, at

    async def reveal(self, name: str) -> str | None:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        return self._kept[name][0] if name in self._kept else None

    async def list(self) -> Sequence[ports.SecretInfo]:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        return [ports.SecretInfo(name=name, changed_at=at) for name, (_, at) in sorted(self._kept.items())]

    async def remove(self, name: str) -> None:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        if self._kept.pop(name, None) is None:
            raise errors.UnknownSecret(name=name)

    async def reseal(self, *, new_key: bool) -> str:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        self._keys += new_key
        return str(self._keys)
