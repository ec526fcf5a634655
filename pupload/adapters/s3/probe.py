"""
Tries on a real store what pupload needs of it, under a scratch key, and says what each lack costs.

Every line is tried on its own: one thing a store does not do hides no other. Nothing is left behind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from secrets import token_hex

import aiohttp
from yarl import URL

from pupload import errors, ports
from pupload.adapters.s3 import calls, checksums, reach

_BODY = b"pupload looks whether this store does what it needs.\n"
_TYPE = "text/plain"
_SMALLEST_PART = 5 << 20
_URL_SECONDS = 300


class Lacking(Exception):
    """The store did something else than S3 would."""


@dataclass(frozen=True, slots=True)
class _Trial:
    what: str
    cost: str
    """What is lost where the store does not do it, or how to mend it."""
    run: Callable[[], Awaitable[str]]
    """Returns a detail for the line; raises `Lacking` or one of our errors."""


async def run(store: ports.ObjectStore, caller: calls.Caller, clock: ports.Clock) -> Sequence[ports.ProbeLine]:
    """One line per trial, in their order. Where not even a PUT works the rest is not tried."""
    trials = _Trials(store, caller, clock)
    lines: list[ports.ProbeLine] = []
    try:
        for trial in trials.all():
            lines.append(await _line(trial))
            if trial is trials.first and not lines[-1].ok:
                break
    finally:
        await trials.clean_up()
    return lines


async def _line(trial: _Trial) -> ports.ProbeLine:
    try:
        return ports.ProbeLine(what=trial.what, ok=True, detail=await trial.run())
    except (errors.PuploadError, Lacking) as error:
        return ports.ProbeLine(what=trial.what, ok=False, detail=f"{error} {trial.cost}".strip())


class _Trials:
    def __init__(self, store: ports.ObjectStore, caller: calls.Caller, clock: ports.Clock) -> None:
        self._store = store
        self._caller = caller
        self._clock = clock
        self._prefix = f".pupload-probe/{token_hex(8)}/"
        self._key = self._prefix + "a ü+ö"
        self._copy = self._prefix + "copy"
        self._parts = self._prefix + "parts"
        self._upload: str | None = None
        self.first = _Trial("put an object", "Nothing works without it: check the keys and the bucket.", self._put)

    def all(self) -> Sequence[_Trial]:
        return (
            self.first,
            _Trial("clock", "Signatures hold for 15 minutes: set the clocks by NTP.", self._clock_skew),
            _Trial("stat an object", "Arrivals of uploads cannot be noticed.", self._stat),
            _Trial(
                "tell an absent object from a forbidden one",
                "Waiting for uploads fails: give the keys s3:ListBucket.",
                self._absent,
            ),
            _Trial("get an object", "Nodes cannot get their inputs.", self._get),
            _Trial("get a range", "A broken download must begin anew.", self._range),
            _Trial(
                "get only what was sealed (If-Match)", "A later upload is noticed only by its hash.", self._if_match
            ),
            _Trial(
                "put only what is new (If-None-Match)",
                "Two uploads at the same moment are told apart only by what is recorded.",
                self._if_none_match,
            ),
            _Trial("copy what was sealed", "Uploads cannot be sealed in the store.", self._copy_if),
            _Trial("list objects", "Left-overs cannot be found and deleted.", self._list),
            _Trial("multipart upload", "Objects above 5 GB cannot be put.", self._multipart),
            _Trial("presigned PUT", "Users cannot upload: check PublicEndpoint, region and proxies.", self._url_put),
            _Trial("presigned GET", "Users cannot download: check PublicEndpoint, region and proxies.", self._url_get),
            _Trial("presigned URLs bind the content type", "The header is not to be trusted.", self._url_bound),
            _Trial("checksum of the store's own", "Uploads are read once more to be hashed.", self._checksum),
            _Trial("delete an object", "Objects stay for ever: give the keys s3:DeleteObject.", self._delete),
        )

    async def clean_up(self) -> None:
        for key in (self._key, self._copy, self._parts):
            await _quietly(self._store.delete(key))
        if self._upload is not None:
            await _quietly(self._store.abort_multipart(self._parts, self._upload))

    async def _put(self) -> str:
        await self._store.put_bytes(self._key, _BODY, content_type=_TYPE)
        return ""

    async def _clock_skew(self) -> str:
        answer = await self._caller.ask(calls.Call(method="HEAD", key=self._key))
        try:
            theirs = parsedate_to_datetime(answer.headers["Date"])
        except (KeyError, ValueError):
            return "the store tells no time"
        skew = abs(theirs - self._clock.now())
        if skew > timedelta(minutes=1):
            raise Lacking(f"The clocks are {skew.total_seconds():.0f} seconds apart.")
        return ""

    async def _stat(self) -> str:
        stat = await self._store.stat(self._key)
        _must(stat.size == len(_BODY), "It tells another size.")
        _must(bool(stat.etag), "It tells no ETag.")
        _must(stat.content_type == _TYPE, f"The content type became {stat.content_type}.")
        return ""

    async def _absent(self) -> str:
        try:
            await self._store.stat(self._prefix + "never")
        except errors.ObjectAbsent:
            return ""
        raise Lacking("It tells of an object that was never put.")

    async def _get(self) -> str:
        _must(await self._store.read(self._key) == _BODY, "It gave other bytes.")
        return ""

    async def _range(self) -> str:
        call = calls.Call(method="GET", key=self._key, headers={"Range": "bytes=8-12"})
        answer = await self._caller.ask(call)
        _must(answer.status == 206 and answer.body == _BODY[8:13], "It gave something else.")
        return ""

    async def _if_match(self) -> str:
        call = calls.Call(method="GET", key=self._key, headers={"If-Match": f'"{"0" * 32}"'})
        await _must_refuse(self._caller.ask(call), "It does not look at If-Match.")
        return ""

    async def _if_none_match(self) -> str:
        headers = {"If-None-Match": "*", "Content-Type": _TYPE, "Content-Length": str(len(_BODY))}
        call = calls.Call(method="PUT", key=self._key, headers=headers, body=_BODY)
        await _must_refuse(self._caller.ask(call), "It put the object although there was one.")
        return ""

    async def _copy_if(self) -> str:
        etag = (await self._store.stat(self._key)).etag
        copied = await self._store.copy(self._key, self._copy, if_etag=etag, content_type="text/x-copy")
        _must(copied.size == len(_BODY), "The copy has another size.")
        _must(copied.content_type == "text/x-copy", "The copy kept the source's content type.")
        await _must_refuse(self._store.copy(self._key, self._copy, if_etag="0" * 32), "It copied a changed source.")
        return ""

    async def _list(self) -> str:
        found = [stat.key async for stat in self._store.list(self._prefix)]
        _must(self._key in found, "The object is not in the list.")
        return ""

    async def _multipart(self) -> str:
        self._upload = await self._store.begin_multipart(self._parts, content_type=_TYPE)
        bodies = b"\0" * _SMALLEST_PART, b"end"
        for number, body in enumerate(bodies, 1):
            await self._put_url(
                self._store.presign_part(
                    self._parts, self._upload, number, expires_seconds=_URL_SECONDS, audience="server"
                ),
                body,
            )
        parts = await self._store.parts(self._parts, self._upload)
        _must([part.size for part in parts] == [len(body) for body in bodies], "It lists other parts than were put.")
        stat = await self._store.complete_multipart(self._parts, self._upload, parts)
        self._upload = None
        _must(stat.size == sum(map(len, bodies)), "The whole has another size than its parts.")
        return ""

    async def _url_put(self) -> str:
        url = self._store.presign_put(
            self._key, expires_seconds=_URL_SECONDS, content_type=_TYPE, size=len(_BODY), audience="server"
        )
        status = await self._put_url(url, _BODY, {"Content-Type": _TYPE})
        _must(status == 200, f"It answered {status}.")
        return ""

    async def _url_bound(self) -> str:
        url = self._store.presign_put(self._key, expires_seconds=_URL_SECONDS, content_type=_TYPE, audience="server")
        status = await self._put_url(url, _BODY, {"Content-Type": "text/html"})
        _must(status == 403, f"It answered {status} to another type than was signed.")
        return ""

    async def _url_get(self) -> str:
        url = self._store.presign_get(
            self._key, expires_seconds=_URL_SECONDS, filename="ü.txt", content_type="text/x-other", audience="server"
        )
        status, headers, body = await self._send("GET", url)
        _must(status == 200 and body == _BODY, f"It answered {status}.")
        _must(headers.get("Content-Type") == "text/x-other", "It does not look at response-content-type.")
        _must(
            "attachment" in headers.get("Content-Disposition", ""), "It does not look at response-content-disposition."
        )
        return ""

    async def _checksum(self) -> str:
        digest = sha256(_BODY).digest()
        headers = {
            "Content-Type": _TYPE,
            "Content-Length": str(len(_BODY)),
            "x-amz-checksum-sha256": checksums.in_header(digest),
        }
        await self._caller.ask(calls.Call(method="PUT", key=self._key, headers=headers, body=_BODY))
        stat = await self._store.stat(self._key)
        _must(stat.sha256 == digest.hex(), "It tells no SHA-256 of an object.")
        return ""

    async def _delete(self) -> str:
        await self._store.delete(self._key)
        try:
            await self._store.stat(self._key)
        except errors.ObjectAbsent:
            return ""
        raise Lacking("The object is still there.")

    async def _put_url(self, url: str, body: bytes, headers: dict[str, str] | None = None) -> int:
        status, _, _ = await self._send("PUT", url, body, headers)
        return status

    async def _send(
        self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """As a user would: nothing but the URL."""
        try:
            async with (
                aiohttp.ClientSession(
                    connector=reach.connector(self._caller.guard, limit=1), skip_auto_headers=["Content-Type"]
                ) as session,
                session.request(
                    method,
                    URL(url, encoded=True),
                    data=calls.in_pieces(body or b""),
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=60),
                ) as response,
            ):
                return response.status, dict(response.headers), await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Lacking(f"The URL cannot be used ({type(error).__name__}).") from error


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Lacking(otherwise)


async def _must_refuse(asked: Awaitable[object], otherwise: str) -> None:
    try:
        await asked
    except errors.PreconditionFailed:
        return
    raise Lacking(otherwise)


async def _quietly(work: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(work, 30)
    except (errors.PuploadError, TimeoutError):
        return
