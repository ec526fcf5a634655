"""
How many requests a caller may make.

Each address has its own rate, and may be ahead of it by a burst (the generic cell rate algorithm: a caller who keeps to
the rate is never refused, whatever the moment). Of so many addresses the count is kept; who is beyond that is counted
anew. A WebSocket, or a stream, counts once.
"""

import ipaddress
import math
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache

from aiohttp import web
from throttled import RateLimiterType, Throttled, rate_limiter, store

from pupload import errors, ports

MOST_PEERS = 10_000

_IPV6_PREFIX = 64
"""A network of this size is one caller's: there are as many addresses in it as anybody likes."""
_WHOLE_SECONDS = 1000
"""The rate is counted over so many, so that it need not be a whole number in one."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HEADERS = web.RequestKey("rate_headers", dict)
"""What the answer says of the caller's rate."""


UNLIMITED = {"X-RateLimit-Limit": str(2**31 - 1), "X-RateLimit-Remaining": str(2**31 - 1), "X-RateLimit-Reset": "0"}
"""What an answer says where there is no rate, and must say something: no client waits for a moment long past."""


class Limits:
    """Counts the requests of every caller. Used from the event loop only."""

    def __init__(
        self, clock: ports.Clock, *, per_second: float, burst: int = 0, proxies: Sequence[Network] = ()
    ) -> None:
        """`burst` requests may come at once, twice those of a second if it is 0. `proxies` name their callers."""
        self._clock = clock
        self.per_second = per_second
        self.burst = max(burst or math.ceil(2 * per_second), 1)
        self._proxies = tuple(proxies)
        quota = rate_limiter.per_duration(
            timedelta(seconds=_WHOLE_SECONDS), round(per_second * _WHOLE_SECONDS), self.burst
        )
        self._throttle = Throttled(
            using=RateLimiterType.GCRA.value, quota=quota, store=store.MemoryStore(options={"MAX_SIZE": MOST_PEERS})
        )

    def count(self, request: web.Request) -> None:
        """Counts the request, and notes what its answer says. Raises `errors.TooManyRequests`."""
        found = self._throttle.limit(caller(request, self._proxies))
        state = found.state
        request[HEADERS] = {
            "X-RateLimit-Limit": str(self.burst),
            "X-RateLimit-Remaining": str(int(state.remaining)),
            "X-RateLimit-Reset": str(math.ceil(self._clock.now().timestamp() + state.reset_after)),
        }
        if found.limited:
            raise errors.TooManyRequests(rate=f"{self.per_second:g}", seconds=max(math.ceil(state.retry_after), 1))


def caller(request: web.Request, proxies: Sequence[Network]) -> str:
    """
    Whose request it is: the address at the other end, or behind proxies the last that none of them has.

    What stands further to the left in `X-Forwarded-For` anybody can have written.
    """
    peer = request.remote or ""
    if proxies and _is_in(peer, proxies):
        for step in reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(",")):
            address = step.strip()
            if not address:
                continue
            peer = address
            if not _is_in(address, proxies):
                break
    return _name_of(peer[:64])


@lru_cache(maxsize=MOST_PEERS)
def _name_of(address: str) -> str:
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(read, ipaddress.IPv6Address):
        if read.ipv4_mapped is not None:
            return str(read.ipv4_mapped)
        return str(ipaddress.ip_network((read, _IPV6_PREFIX), strict=False))
    return str(read)


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(read, ipaddress.IPv6Address) and read.ipv4_mapped is not None:
        read = read.ipv4_mapped
    return any(read in network for network in networks)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The addresses and networks that these name. Raises `errors.Misconfigured`."""
    try:
        return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts if text.strip())
    except ValueError as error:
        raise errors.Misconfigured(reason=f"trusted_proxies: {error}") from error
