"""Completing an upload in parts, also where the answer to an earlier attempt was lost."""

from collections.abc import Sequence

from pupload import errors, ports
from pupload.adapters.s3 import answers, calls, large, xml


async def complete(
    store: ports.ObjectStore, caller: calls.Caller, key: str, upload_id: str, parts: Sequence[ports.Part]
) -> ports.ObjectStat:
    """As `ports.ObjectStore.complete_multipart`."""
    call = calls.Call(
        method="POST",
        key=key,
        query=(("uploadId", upload_id),),
        headers={"Content-Type": "application/xml"},
        body=xml.write_completion(parts),
        patience=large.PATIENCE_TO_COPY,
    )
    try:
        await caller.ask(call)
    except errors.ObjectAbsent:
        return await _completed_before(store, key, parts)
    except errors.StoreUnavailable:
        # radosgw 16 calls it an internal error when there is no such upload (any more).
        if await _has_upload(store, key, upload_id):
            raise
        return await _completed_before(store, key, parts)
    return await store.stat(key)


async def _has_upload(store: ports.ObjectStore, key: str, upload_id: str) -> bool:
    try:
        await store.parts(key, upload_id)
    except errors.ObjectAbsent:
        return False
    return True


async def _completed_before(store: ports.ObjectStore, key: str, parts: Sequence[ports.Part]) -> ports.ObjectStat:
    """
    An attempt whose answer was lost may have completed the upload, and then there is none any more.

    The object's ETag tells whether it is made of these parts.
    """
    absent = errors.ObjectAbsent(key=key, store=store.name)
    try:
        stat = await store.stat(key)
    except errors.ObjectAbsent:
        raise absent from None
    if stat.etag != answers.etag_of_parts(parts):
        raise absent
    return stat
