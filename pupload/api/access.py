"""Whether a caller may do what is asked for: as long as there are no accounts, everybody may."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from pupload.domain.access import Permission

Check = Callable[[web.Request, Permission], Awaitable[None]]
"""Raises `errors.Forbidden` for who may not."""

REFUSED = "insufficient permissions"
"""What somebody is told who may not, and need not know more."""


async def anybody(request: web.Request, permission: Permission) -> None:
    """Refuses nobody."""


CHECK: web.AppKey[Check] = web.AppKey("access")


async def check(request: web.Request, permission: Permission) -> None:
    """Raises `errors.Forbidden` unless whoever asks may do that."""
    await request.app[CHECK](request, permission)
