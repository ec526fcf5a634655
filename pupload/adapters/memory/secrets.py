"""`ports.SecretStore` in memory, where nothing needs to be sealed."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from pupload import errors, ports


class Secrets:
    """Lasts as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], tuple[str, datetime]] = {}
        """By name and account, 0 where it is nobody's."""
        self._keys = 1

    async def put(self, name: str, value: str, *, account: int | None = None, at: datetime) -> None:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        self._kept[name, account or 0] = value, at

    async def reveal(self, name: str, *, account: int | None = None) -> str | None:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        value, _ = self._kept.get((name, account or 0), (None, None))
        return value

    async def list(self) -> Sequence[ports.SecretInfo]:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        return [
            ports.SecretInfo(name=name, changed_at=at, account=account or None)
            for (name, account), (_, at) in sorted(self._kept.items())
        ]

    async def remove(self, name: str, *, account: int | None = None) -> None:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        if self._kept.pop((name, account or 0), None) is None:
            raise errors.UnknownSecret(name=name)

    async def reseal(self, *, new_key: bool) -> str:
        """See `ports.SecretStore`."""
        await asyncio.sleep(0)
        self._keys += new_key
        return str(self._keys)
