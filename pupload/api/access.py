"""
Who asks, and whether they may: found out for every route before anything is done for them.

A route is served behind `guarded`, and there is no other way to it, however its path is written: what is asked for is
known by the handler that answers, not by the text of the path. Only the connection's own peer says where somebody
calls from; what headers say of it anybody can have written.
"""

import hmac
import ipaddress
from dataclasses import replace
from functools import wraps

from aiohttp import web

from pupload import errors
from pupload.api import limiting
from pupload.api.web import SERVER, SERVICES, Route
from pupload.domain.access import ANYBODY, Caller, Permission
from pupload.service import asking

CALLER = web.RequestKey("caller", Caller)
"""The key under which a request carries who asks."""

_TOKEN = web.RequestKey("token", str)

VOID = "Invalid or missing token"
"""Why a stream ends whose token opens nothing any more."""

SETUP_HEADER = "X-Setup-Token"

_FORWARDED = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")


def guarded(route: Route, *, always_asks: bool = False) -> Route:
    """
    The route with a handler that answers only who may ask, and for them (`asking.caller`).

    Others get `errors.Unauthenticated` or `errors.NotAllowed`. `always_asks`: also while there are no accounts.
    """
    needs = route.needs
    if needs is None:
        return route

    @wraps(route.handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        who = await admit(request, needs, always_asks=always_asks, token_in_query=route.token_in_query)
        with asking.asked_by(who):
            return await route.handler(request)

    return replace(route, handler=answer)


async def admit(
    request: web.Request, needs: Permission, *, always_asks: bool = False, token_in_query: bool = False
) -> Caller:
    """
    Who asks, and may; the request knows it afterwards. For routes that are open, and say no in a way of their own.

    Raises `errors.Unauthenticated`, `errors.NotAllowed`.
    """
    who = await _identify(request, always_asks=always_asks, token_in_query=token_in_query)
    _check(who, needs)
    request[CALLER] = who
    return who


def caller(request: web.Request) -> Caller:
    """Who asks: `access.ANYBODY` where a route is open to everybody."""
    found: Caller = request.get(CALLER, ANYBODY)
    return found


def check(request: web.Request, permission: Permission) -> None:
    """What a route needs beside what it always does. Raises `errors.NotAllowed`."""
    _check(caller(request), permission)


async def until_void(request: web.Request) -> None:
    """Returns when whoever asks may not any more: their key is revoked, expired, or may do something else now."""
    await request.app[SERVICES].callers.until_void(request.get(_TOKEN, ""), caller(request))


def address(request: web.Request) -> str:
    """The address at the other end of the connection; empty where it has none."""
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def counted_as(request: web.Request) -> str:
    """Whose tries somebody's are, where it is counted who tries passwords and codes: theirs, or their network's."""
    return limiting.caller(request, request.app[SERVER].entry.proxies)


async def set_up(request: web.Request, name: str, password: str) -> str:
    """
    The token of the first account, for who sits at this machine or shows the set-up token (`SETUP_HEADER`).

    Raises what `Callers.set_up` raises, and `errors.Forbidden` for others.
    """
    callers, known = request.app[SERVICES].callers, request.app[SERVER].entry.setup_token
    if await callers.are_set_up():
        raise errors.AlreadySetUp
    shown = request.headers.get(SETUP_HEADER, "")
    if not is_local(request) and not (known and hmac.compare_digest(known.encode(), shown.encode(errors="replace"))):
        raise errors.Forbidden(
            reason="the first account is made on the server's own machine, or with the set-up token that the server "
            f"told when it began, in the header {SETUP_HEADER}"
        )
    return await callers.set_up(name, password)


def is_local(request: web.Request) -> bool:
    """
    Whether somebody asks who sits at this machine: no proxy brought it, and the operator has it count.

    A proxy that adds no header cannot be told from them: the setting `local_resets` is for that.
    """
    brought = any(name.lower().startswith(("x-forwarded", *_FORWARDED)) for name in request.headers)
    return request.app[SERVER].entry.local_resets and is_loopback(address(request)) and not brought


def is_loopback(text: str) -> bool:
    """Whether an address is this machine's own, be it written as IPv6."""
    try:
        read = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = read.ipv4_mapped if isinstance(read, ipaddress.IPv6Address) else None
    return (mapped or read).is_loopback


def token(request: web.Request, *, in_query: bool) -> str:
    """What is shown to say who asks; empty where nothing is. The first that is there counts, right or wrong."""
    scheme, _, shown = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and shown.strip():
        return shown.strip()
    if key := request.headers.get("X-API-Key", "").strip():
        return key
    return request.query.get("token", "") if in_query else ""


async def _identify(request: web.Request, *, always_asks: bool, token_in_query: bool) -> Caller:
    """Who asks. Raises `errors.Unauthenticated`."""
    callers, server = request.app[SERVICES].callers, request.app[SERVER]
    if not always_asks and not await callers.are_set_up():
        if server.entry.insecure or is_loopback(address(request)):
            return ANYBODY
        raise errors.TokenMissing
    shown = token(request, in_query=token_in_query)
    if not shown:
        raise errors.TokenMissing
    request[_TOKEN] = shown
    return await callers.identify(shown)


def _check(who: Caller, permission: Permission) -> None:
    if not who.may(permission):
        raise errors.NotAllowed(permission=permission)
