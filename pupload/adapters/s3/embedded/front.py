"""
The door: every request on the S3 port passes here, and every answer leaves here.

Address, signature, unknown headers, route: in this order, and all of it before a byte of the body is looked at.
Nothing is written to a log but our own faults, and never a URL's query: it may be a signature.
"""

import itertools
import logging
import secrets
from collections.abc import Iterable

from aiohttp import web

from pupload.adapters.s3 import signing
from pupload.adapters.s3.embedded import address, cors, replies, routes, rows
from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

_log = logging.getLogger(__name__)

_NEVER_A_PAGE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "script-src 'none'"}
"""Objects are anybody's bytes: a browser takes them for what they are told to be, and runs nothing of them."""


class Front:
    """Answers requests; `credentials` is the one pair of keys, `domains` the names below which buckets are named."""

    def __init__(self, store: Store, credentials: signing.Credentials, domains: Iterable[str]) -> None:
        self._store = store
        self._credentials = credentials
        self._domains = tuple(domains)
        # Unlike any other start's, and no system call for each request.
        self._start, self._numbers = secrets.token_hex(4).upper(), itertools.count(1)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Never raises for what a client did."""
        self._store.requests += 1
        extra = {
            "x-amz-request-id": f"{self._start}{next(self._numbers):08X}",
            "Server": "pupload",
            **_NEVER_A_PAGE,
        }
        try:
            return await self._answer(request, extra)
        except Refusal as refused:
            response = replies.refusal(
                refused, extra, resource=request.raw_path.partition("?")[0], has_body=request.method != "HEAD"
            )
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and we a trace
            _log.exception("%s failed, request id %s", request.method, extra["x-amz-request-id"])
            response = replies.refusal(Refusal("InternalError"), extra, resource="", has_body=request.method != "HEAD")
        if not request.content.is_eof():
            # The rest of the body is nobody's; the connection cannot be used for another request.
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest, extra: dict[str, str]) -> web.StreamResponse:
        target = address.read(request.raw_path, request.headers.get("Host", ""), self._domains)
        if request.method == "OPTIONS":
            return await self._preflight(request, target, extra)
        if "Origin" in request.headers:
            extra |= await self._allowances(request, target)
        call = Call(request, target, self._verify(request, target), extra)
        call.refuse_unknown_headers()
        return await routes.find(call)(self._store, call)

    def _verify(self, request: web.BaseRequest, target: address.Target) -> signing.Verified:
        wire = signing.WireRequest(request.method, target.raw_path, target.raw_query, tuple(request.headers.items()))
        try:
            return signing.verify(wire, secret_of=self._secret_of, region=self._store.region, now=self._store.clock())
        except signing.SignatureRefused as refused:
            raise Refusal(refused.code, refused.message, status=refused.status) from None

    def _secret_of(self, access_key: str) -> str | None:
        return self._credentials.secret_key if access_key == self._credentials.access_key else None

    async def _preflight(
        self, request: web.BaseRequest, target: address.Target, extra: dict[str, str]
    ) -> web.StreamResponse:
        """A browser asks before it sends; it cannot sign that question."""
        origin = request.headers.get("Origin")
        method = request.headers.get("Access-Control-Request-Method")
        if origin is None or method is None:
            raise Refusal("InvalidRequest", "Insufficient information. Origin request header needed.")
        headers = request.headers.get("Access-Control-Request-Headers", "").split(",")
        allowed = cors.allow(await self._rules(target), origin=origin, method=method, headers=headers)
        if allowed is None:
            raise Refusal("AccessForbidden")
        return web.Response(headers={**extra, **allowed})

    async def _allowances(self, request: web.BaseRequest, target: address.Target) -> dict[str, str]:
        rules = await self._rules(target)
        return dict(cors.allow(rules, origin=request.headers["Origin"], method=request.method) or {})

    async def _rules(self, target: address.Target) -> tuple[cors.Rule, ...]:
        try:
            bucket = await self._store.index.read(lambda db: rows.find_bucket(db, target.bucket))
        except Refusal:
            return ()
        return cors.load(bucket.cors)
