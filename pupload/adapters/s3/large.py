"""
Objects too large for one request: put, or copied inside the store, in parts.

Parts go several at a time in bounded memory. Whatever fails, the upload is aborted, so that no parts are left to be
paid for.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from pupload import ports
from pupload.adapters.s3 import answers, calls, transfer, xml

PATIENCE_TO_PUT = 15.0
PATIENCE_TO_COPY = 45.0
"""A copy or a completion of hundreds of gigabytes answers late, and some stores are silent until then."""
_AT_A_TIME = 4

T = TypeVar("T")


async def put(
    store: ports.ObjectStore,
    caller: calls.Caller,
    key: str,
    path: Path,
    *,
    size: int,
    content_type: str,
    part_bytes: int,
    at_a_time: int = _AT_A_TIME,
) -> ports.ObjectStat:
    """Makes the file the object, `at_a_time` of its parts at once. Returns its stat with the SHA-256 of the file."""
    async with _upload(store, key, content_type) as upload_id:
        ranges = transfer.split(size, part_bytes)
        sending = [partial(_put_part, caller, key, upload_id, path, *one) for one in ranges]
        parts, digest = await transfer.both(transfer.at_most(at_a_time, sending), transfer.hash_file(path))
        return replace(await store.complete_multipart(key, upload_id, parts), sha256=digest)


async def copy(
    store: ports.ObjectStore,
    caller: calls.Caller,
    source: ports.ObjectStat,
    target: str,
    *,
    headers: dict[str, str],
    content_type: str,
    part_bytes: int,
) -> ports.ObjectStat:
    """Makes a copy; `headers` name the source and its ETag."""
    async with _upload(store, target, content_type) as upload_id:
        ranges = transfer.split(source.size, part_bytes)
        copying = [partial(_copy_part, caller, target, upload_id, headers, *one) for one in ranges]
        parts = await transfer.at_most(_AT_A_TIME, copying)
        return await store.complete_multipart(target, upload_id, parts)


@asynccontextmanager
async def _upload(store: ports.ObjectStore, key: str, content_type: str) -> AsyncIterator[str]:
    upload_id = await store.begin_multipart(key, content_type=content_type)
    try:
        yield upload_id
    except BaseException:
        await transfer.despite_all(store.abort_multipart(key, upload_id))
        raise


async def _put_part(
    caller: calls.Caller, key: str, upload_id: str, path: Path, number: int, start: int, size: int
) -> ports.Part:
    call = calls.Call(
        method="PUT",
        key=key,
        query=(("partNumber", str(number)), ("uploadId", upload_id)),
        headers={"Content-Length": str(size)},
        source=transfer.file_source(path, start, size),
        patience=PATIENCE_TO_PUT,
    )
    answer = await caller.ask(call)
    return ports.Part(number=number, size=size, etag=answers.etag(answer.headers))


async def _copy_part(
    caller: calls.Caller, key: str, upload_id: str, headers: dict[str, str], number: int, start: int, size: int
) -> ports.Part:
    call = calls.Call(
        method="PUT",
        key=key,
        query=(("partNumber", str(number)), ("uploadId", upload_id)),
        headers={**headers, "x-amz-copy-source-range": f"bytes={start}-{start + size - 1}"},
        patience=PATIENCE_TO_COPY,
    )
    return ports.Part(number=number, size=size, etag=await caller.ask_for(call, xml.read_etag))
