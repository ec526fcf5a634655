"""Looking whether a store has what it says it took: a file is only given up when its object is there whole."""

from collections.abc import Awaitable, Callable

from pupload import errors, ports
from pupload.adapters.s3 import calls


async def confirmed(
    store: ports.ObjectStore, caller: calls.Caller, put: Callable[[], Awaitable[ports.ObjectStat]]
) -> ports.ObjectStat:
    """
    What `put` returns, once the store shows the same; until then it is put again, a few times.

    Raises as `put` does, and `errors.StoreUnavailable` for a store that keeps nothing of what it takes.
    """

    async def attempt() -> ports.ObjectStat:
        sent = await put()
        lack = await _lack(store, sent)
        if lack:
            raise calls.TryAgain(caller.unavailable(f"it took {sent.size} bytes as {sent.key}, and {lack}"))
        return sent

    return await caller.patiently(attempt)


async def _lack(store: ports.ObjectStore, sent: ports.ObjectStat) -> str:
    """What is wrong with the object; nothing as far as the store lets us look."""
    try:
        found = await store.stat(sent.key)
    except errors.ObjectAbsent:
        return "has no such object"
    except (errors.ObjectForbidden, errors.StoreRefused):
        return ""  # keys that may put, and see nothing; a store that tells no sizes
    if found.size != sent.size:
        return f"has {found.size}"
    if found.sha256 not in (None, sent.sha256):
        return "has others"
    return ""
