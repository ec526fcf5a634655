"""
Which request is which: the one table of everything this store does.

A route is found by its method, by what it is addressed to, and by its parameters, all of which must be known to it.
That is the point: S3 has some sixty sub-resources (`?acl`, `?tagging`, …), and a request for one that is not in the
table is refused by name; it must never be taken for a plain PUT or DELETE of the object.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from pupload.adapters.s3.embedded import buckets, completing, copies, listing, multipart, objects
from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

Handler = Callable[[Store, Call], Awaitable[web.StreamResponse]]

COPY = "(x-amz-copy-source)"
"""Stands among the parameters for the header that makes a PUT a copy."""


@dataclass(frozen=True, slots=True)
class Route:
    """A request that is answered: `selects` must be among its parameters, `allows` may be."""

    method: str
    level: str
    handler: Handler
    selects: frozenset[str] = frozenset()
    allows: frozenset[str] = frozenset()

    def fits(self, method: str, level: str, names: frozenset[str]) -> bool:
        """Whether it answers such a request."""
        return (
            (method, level) == (self.method, self.level)
            and self.selects <= names
            and names <= self.selects | self.allows
        )


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LISTS = _names("prefix delimiter max-keys encoding-type")

ROUTES = (
    Route("GET", "store", buckets.list_all, allows=_names("prefix max-buckets continuation-token bucket-region")),
    Route("PUT", "bucket", buckets.create),
    Route("HEAD", "bucket", buckets.head),
    Route("DELETE", "bucket", buckets.delete),
    Route("GET", "bucket", buckets.location, _names("location")),
    Route("GET", "bucket", buckets.get_cors, _names("cors")),
    Route("PUT", "bucket", buckets.put_cors, _names("cors")),
    Route("DELETE", "bucket", buckets.delete_cors, _names("cors")),
    Route("POST", "bucket", objects.delete_many, _names("delete")),
    Route(
        "GET",
        "bucket",
        multipart.list_uploads,
        _names("uploads"),
        _names("prefix delimiter key-marker upload-id-marker max-uploads encoding-type"),
    ),
    Route(
        "GET",
        "bucket",
        listing.list_v2,
        _names("list-type"),
        _LISTS | _names("continuation-token start-after fetch-owner"),
    ),
    Route("GET", "bucket", listing.list_v1, allows=_LISTS | _names("marker")),
    Route(
        "GET", "object", multipart.list_parts, _names("uploadId"), _names("max-parts part-number-marker encoding-type")
    ),
    Route("GET", "object", objects.tags, _names("tagging")),
    Route("GET", "object", objects.get, allows=objects.OVERRIDES | _names("partNumber")),
    Route("HEAD", "object", objects.head, allows=objects.OVERRIDES | _names("partNumber")),
    Route("PUT", "object", objects.put),
    Route("PUT", "object", copies.copy_object, _names(COPY)),
    Route("PUT", "object", multipart.put_part, _names("uploadId partNumber")),
    Route("PUT", "object", copies.copy_part, _names(f"uploadId partNumber {COPY}")),
    Route("POST", "object", multipart.begin, _names("uploads")),
    Route("POST", "object", completing.complete, _names("uploadId")),
    Route("DELETE", "object", multipart.abort, _names("uploadId")),
    Route("DELETE", "object", objects.delete),
)

_METHODS = frozenset(route.method for route in ROUTES)


def find(call: Call) -> Handler:
    """Raises `Refusal`: NotImplemented, MethodNotAllowed."""
    level = "object" if call.key else "bucket" if call.bucket else "store"
    # x-id is what some SDKs call the operation; it says nothing.
    names = {name for name in call.query if not name.lower().startswith("x-amz-") and name != "x-id"}
    if call.header("x-amz-copy-source") is not None:
        names.add(COPY)
    route = _route(call.method, level, frozenset(names))
    if route is not None:
        return route.handler
    if call.method not in _METHODS or not any((call.method, level) == (one.method, one.level) for one in ROUTES):
        raise Refusal("MethodNotAllowed", Method=call.method)
    raise Refusal(
        "NotImplemented", f"This store does not implement this request: {', '.join(sorted(names)) or 'plain'}"
    )


@lru_cache(maxsize=256)
def _route(method: str, level: str, names: frozenset[str]) -> Route | None:
    return next((route for route in ROUTES if route.fits(method, level, names)), None)
