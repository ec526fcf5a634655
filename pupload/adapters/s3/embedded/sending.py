"""
Bytes on their way out: from the row, or from blobs by the kernel's `sendfile`.

An object in parts is several files one after the other. When something fails after the headers went out, nothing can
be said any more: the connection is cut, so that nobody takes half an object for a whole.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

from aiohttp import web

from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.rows import StoredObject
from pupload.adapters.s3.embedded.store import Store


async def send(
    store: Store, call: Call, stored: StoredObject, *, start: int, length: int, status: int, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answers with `length` bytes of the object from `start`. The caller holds its blobs."""
    headers = {**call.extra, **headers, "Content-Length": str(length)}
    if stored.data is not None:
        return web.Response(status=status, headers=headers, body=stored.data[start : start + length])
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(call.request)
    try:
        for blob, offset, count in pieces(stored, start, length):
            await _send_file(store, call.request, store.blobs.path(blob), offset, count)
    except BaseException:
        if call.request.transport is not None:
            call.request.transport.abort()
        raise
    return response


def pieces(stored: StoredObject, start: int, length: int) -> Iterator[tuple[str, int, int]]:
    """Blob, offset in it and count, one after the other, of these bytes of the object."""
    for extent in stored.extents:
        if length <= 0:
            return
        if start < extent.size:
            count = min(length, extent.size - start)
            yield extent.blob, start, count
            length -= count
            start = 0
        else:
            start -= extent.size


async def _send_file(store: Store, request: web.BaseRequest, path: Path, offset: int, count: int) -> None:
    file = await store.in_thread(lambda: path.open("rb", buffering=0))
    try:
        if request.transport is None:
            raise ConnectionResetError
        await asyncio.get_running_loop().sendfile(request.transport, file, offset, count)
    finally:
        file.close()
