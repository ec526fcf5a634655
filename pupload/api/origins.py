"""
Which pages of the web may talk to this server through somebody's browser.

Programs send no `Origin`, and may. A browser sends one with every request that a foreign page makes: unless that page
was allowed, requests that change something are refused here, for an open server on loopback is within reach of every
page its user visits. Names in `Host` are checked where the server knows its own: a foreign name that was made to
point at this machine is refused as well.
"""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-API-Key, X-Request-ID"

_EXPOSED_HEADERS = (
    "X-Request-ID, Retry-After, X-Total-Count, X-Page, X-Per-Page, "
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Idempotent-Replay"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may come through a browser. As made, nobody but pages of this very server."""

    origins: Collection[str] = ()
    """Such as `https://app.example.com`."""
    loopback: bool = False
    """Pages that this machine serves on any port."""
    hosts: Collection[str] | None = None
    """The only names this server answers to, without ports; None: any."""

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin were allowed."""
        return origin in self.origins or (self.loopback and _host_of(origin) in LOOPBACK)


def check(request: web.Request, policy: Policy) -> None:
    """Raises 421 for a name that is not ours, 403 for a foreign page that would change something."""
    if policy.hosts is not None and _host_of(f"//{request.host}") not in policy.hosts:
        raise web.HTTPMisdirectedRequest(text="this server does not answer to that name")
    origin = request.headers.get("Origin")
    # A WebSocket is begun by a GET, and browsers let any page read what comes over one.
    safe = request.method in _SAFE and request.headers.get("Upgrade", "").lower() != "websocket"
    if origin is None or safe or policy.allows(origin):
        return
    if urlsplit(origin).netloc.lower() != request.host.lower():
        raise web.HTTPForbidden(text="requests from pages of another origin are not allowed here")


def preflight(request: web.Request, policy: Policy) -> web.Response | None:
    """The answer to a browser that asks beforehand; None where the request is no such question."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    if not policy.allows(request.headers.get("Origin", "")):
        raise web.HTTPForbidden(text="requests from pages of another origin are not allowed here")
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": "600",
        },
    )


def headers(request: web.Request, policy: Policy) -> dict[str, str]:
    """What an answer must say so that a page of an allowed origin may read it."""
    origin = request.headers.get("Origin")
    if origin is None or not policy.allows(origin):
        return {"Vary": "Origin"} if policy.origins or policy.loopback else {}
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": _EXPOSED_HEADERS,
    }


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
