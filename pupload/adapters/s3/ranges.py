"""
A large object from a distant store: several ranges of it at a time, given on in their order.

One connection to a store far away brings little at a time, however broad the line. What waits for its turn is in
memory: as many ranges as are under way, never more.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from pupload import errors
from pupload.adapters.s3 import answers, calls, transfer

RANGE_BYTES = 8 << 20


class NoRanges(Exception):
    """The store gives no ranges of this object; nothing of it was given on."""


async def pieces(
    caller: calls.Caller, key: str, *, etag: str, size: int, at_once: int, range_bytes: int = RANGE_BYTES
) -> AsyncGenerator[bytes, None]:
    """
    The bytes of the object, of which `size` and `etag` are known. A range that breaks off is asked for again.

    Raises as `ports.ObjectStore.fetch`, and `NoRanges` before the first piece.
    """
    ranges = deque((start, min(range_bytes, size - start)) for start in range(0, size, range_bytes))
    under_way: deque[asyncio.Task[bytes]] = deque()
    try:
        # The first alone: whether the store gives ranges is known then.
        yield await _range(caller, key, etag, *ranges.popleft(), first=True)
        while ranges or under_way:
            while ranges and len(under_way) < at_once:
                under_way.append(asyncio.ensure_future(_range(caller, key, etag, *ranges.popleft())))
            yield await under_way.popleft()
    finally:
        await transfer.end(under_way)


async def _range(caller: calls.Caller, key: str, etag: str, start: int, length: int, *, first: bool = False) -> bytes:
    headers = {"Range": f"bytes={start}-{start + length - 1}", "If-Match": f'"{etag}"'}
    call = calls.Call(method="GET", key=key, headers=headers)

    async def attempt() -> bytes:
        response = await caller.send(call)
        try:
            if answers.etag(response.headers) not in ("", etag):  # some stores know no If-Match
                raise errors.PreconditionFailed(key=key, store=caller.store)
            if response.status != 206:
                raise NoRanges if first else errors.PreconditionFailed(key=key, store=caller.store)
            with caller.turned(call):
                body = await response.read()
            if len(body) != length:
                raise errors.PreconditionFailed(key=key, store=caller.store)
            return body
        finally:
            response.close()  # which keeps the connection where all was read

    return await caller.patiently(attempt)
