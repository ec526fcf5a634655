"""
Copying within a bucket, on the condition that the source is still the one that was looked at.

Stores differ here more than elsewhere: in what they say of sources that are too large for one copy, and in whether
they look at the condition at all.
"""

from urllib.parse import quote

from pupload import errors, ports
from pupload.adapters.s3 import calls, large

_MAYBE_TOO_LARGE = frozenset({"InvalidRequest", "EntityTooLarge", "InvalidArgument"})
"""What stores say when a copy's source is above 5 GiB."""


async def copy(
    store: ports.ObjectStore,
    caller: calls.Caller,
    source: str,
    target: str,
    *,
    if_etag: str,
    content_type: str | None,
    part_bytes: int,
) -> ports.ObjectStat:
    """As `ports.ObjectStore.copy`; what is too large for one copy is copied in parts of `part_bytes`."""
    caller.path_of(source)
    where = quote(f"{caller.bucket.name}/{source}", safe="/")
    headers = {"x-amz-copy-source": f"/{where}", "x-amz-copy-source-if-match": f'"{if_etag}"'}
    try:
        copied = await _copy(store, caller, source, target, headers, content_type, part_bytes)
        await _check_copy(store, source, copied, if_etag)
        return copied
    except errors.ObjectAbsent as absent:
        raise errors.ObjectAbsent(key=source, store=store.name) from absent
    except errors.PreconditionFailed as failed:
        raise errors.PreconditionFailed(key=source, store=store.name) from failed


async def _copy(
    store: ports.ObjectStore,
    caller: calls.Caller,
    source: str,
    target: str,
    headers: dict[str, str],
    content_type: str | None,
    part_bytes: int,
) -> ports.ObjectStat:
    typed = {"x-amz-metadata-directive": "REPLACE", "Content-Type": content_type} if content_type else {}
    call = calls.Call(method="PUT", key=target, headers={**headers, **typed}, patience=large.PATIENCE_TO_COPY)
    try:
        await caller.ask(call)
    except errors.StoreRefused as refused:
        if refused.code not in _MAYBE_TOO_LARGE:
            raise
        found = await store.stat(source)
        if found.size <= part_bytes:
            raise
        return await large.copy(
            store,
            caller,
            found,
            target,
            headers=headers,
            content_type=content_type or found.content_type,
            part_bytes=part_bytes,
        )
    return await store.stat(target)


async def _check_copy(store: ports.ObjectStore, source: str, copied: ports.ObjectStat, if_etag: str) -> None:
    """
    Some stores (radosgw 16) do not look at the condition: then what was copied is looked at afterwards.

    A copy has its source's ETag, unless that was put in parts; then the source must still have the expected one.
    """
    if copied.etag == if_etag:
        return
    try:
        now = (await store.stat(source)).etag
    except errors.ObjectAbsent:
        now = ""
    if now != if_etag:
        await store.delete(copied.key)
        raise errors.PreconditionFailed(key=source, store=store.name)
