"""Who does what may block, where nobody has better hands: the event loop's own threads."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """`ports.Hands`: a trip to a thread and back for each piece of work."""

    async def do(self, work: Callable[..., T], /, *given: Any) -> T:
        """See `ports.Hands`."""
        return await asyncio.to_thread(work, *given)
