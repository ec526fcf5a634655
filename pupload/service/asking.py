"""
Who asks, for whatever is done on the way to an answer.

A request's handler runs for its caller. What nobody asked for, such as work that goes on in the background, runs for
`access.ANYBODY`, which sees everything; where it is somebody's, it says so (`asked_by`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pupload.domain.access import ANYBODY, Caller

_CALLER: ContextVar[Caller] = ContextVar("caller", default=ANYBODY)


def caller() -> Caller:
    """Who asks."""
    return _CALLER.get()


@contextmanager
def asked_by(who: Caller) -> Iterator[None]:
    """Inside, that is who asks; tasks that are started inside go on for them."""
    token = _CALLER.set(who)
    try:
        yield
    finally:
        _CALLER.reset(token)
