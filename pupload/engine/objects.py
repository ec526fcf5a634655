"""What the engine asks of objects in stores, beside what every store promises."""

import asyncio
import hashlib
from datetime import datetime, timedelta

from pupload import errors
from pupload.domain import truth
from pupload.domain.plan import EdgePlan
from pupload.ports import Clock, ObjectStat, ObjectStore

CLOCK_LEEWAY = timedelta(minutes=15)
"""How far a store's clock may be from ours; what SigV4 allows."""


async def sha256_of(store: ObjectStore, found: ObjectStat) -> str:
    """The SHA-256 hex of the object's bytes, read through once. Raises `errors.PreconditionFailed` when it changed."""
    digest = hashlib.sha256()
    async for piece in store.stream(found.key, if_etag=found.etag):
        await asyncio.to_thread(digest.update, piece)
    return digest.hexdigest()


async def value_of(store: ObjectStore, found: ObjectStat, edge: EdgePlan) -> str:
    """What the object says, as JSON or text, where a condition asks for it. Raises as `sha256_of`."""
    if not edge.valued or not 0 < found.size <= truth.JSON_BYTES:
        return ""
    data = b"".join([piece async for piece in store.stream(found.key, if_etag=found.etag)])
    return await asyncio.to_thread(truth.legible, data) or ""


async def stored_before(store: ObjectStore, key: str, since: datetime, clock: Clock) -> ObjectStat | None:
    """The object, where there is one that is not older than `since`."""
    try:
        found = await store.stat(key)
    except errors.ObjectAbsent:
        return None
    return found if found.modified_at - clock.skew() >= since - CLOCK_LEEWAY else None
