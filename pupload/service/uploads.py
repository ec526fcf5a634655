"""Uploads: leave to put an object, parts for large ones, and the word that it is there."""

import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from pupload import errors
from pupload.domain import access, deadlines, secret, signing
from pupload.domain.plan import Origin
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.ports import ObjectStore, Part
from pupload.service import asking, owned, spooling
from pupload.service.presenting import URL_SECONDS, Presenter
from pupload.service.runs import Runs
from pupload.service.views import PartTicket, RunView, UploadTicket

MIB = 1024 * 1024

PART_BYTES = 64 * MIB
"""The size of a part, unless that made more than `MAX_PARTS`."""

MAX_PARTS = 10_000
"""S3's limit."""

MAX_WEBHOOK_BYTES = 64 * MIB
"""A body POSTed to us passes through our disk; larger objects are put into the store by a presigned URL."""


_OTHERWISE = {
    Origin.UPLOAD: ": it takes an upload, not a webhook's body",
    Origin.WEBHOOK: ": it takes the body of a webhook's POST",
    Origin.STATIC: ": its object lies in the store, or does not",
    Origin.APPROVAL: ": it takes a yes or no, by POST /api/v1/flow/approve",
    Origin.RUN: ": it takes the result of another flow's run",
    Origin.FACTS: ": it takes what is remembered",
}
"""How the object of a waiting edge comes, for whoever brings it the wrong way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What the headers of a webhook say about its body; empty where one is missing."""

    plain: str = ""
    """`sha256=` and the hex HMAC-SHA256 of the body: any body, at any time."""
    message_id: str = ""
    timestamp: str = ""
    signatures: str = ""
    """With the two above: as `domain.signing` has them. Where there are any, `plain` counts for nothing."""


class Uploads:
    """What can be asked about uploads."""

    def __init__(
        self, *, engine: Engine, runs: Runs, presenter: Presenter, max_bytes: int, spool: spooling.Spool
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._presenter = presenter
        self._max_bytes = max_bytes
        self._spool = spool
        self._secrets = owned.Secrets(engine.world.secrets)

    async def renew(self, run_id: str, edge: str, *, size: int | None = None) -> UploadTicket:
        """
        A fresh URL for a waiting edge; with a `size` above what one PUT takes, a plan of parts.

        A multipart upload that was begun before goes on: `received` names the parts that are there. Raises
        `errors.UnknownRun`, `errors.NotAwaited`, `errors.TooLarge`.
        """
        run, store = await self._waiting(run_id, edge)
        if size is not None and size > self._max_bytes:
            raise errors.TooLarge(what=f"upload of edge {edge}", limit=self._max_bytes)
        waiting = self._presenter.waiting(run, edge)
        if size is None or size <= store.single_put_limit:
            return UploadTicket(waiting=waiting)
        key = run.plan.edges[edge].upload_key
        part_size = max(PART_BYTES, -(-size // MAX_PARTS // MIB) * MIB)
        sizes = {n: min(part_size, size - offset) for n, offset in enumerate(range(0, size, part_size), 1)}
        upload_id, received = await self._begun(store, key, sizes)
        parts = [
            PartTicket(
                number=number,
                offset=(number - 1) * part_size,
                size=length,
                url=store.presign_part(key, upload_id, number, expires_seconds=URL_SECONDS),
            )
            for number, length in sizes.items()
        ]
        return UploadTicket(waiting=waiting, upload_id=upload_id, part_size=part_size, parts=parts, received=received)

    async def _begun(self, store: ObjectStore, key: str, sizes: Mapping[int, int]) -> tuple[str, Sequence[Part]]:
        """The multipart upload that goes on, or a new one: parts of another plan would spoil the object."""
        async for upload in store.multiparts(key):
            if upload.key == key:
                received = await store.parts(key, upload.upload_id)
                if all(sizes.get(part.number) == part.size for part in received):
                    return upload.upload_id, received
                await store.abort_multipart(key, upload.upload_id)
        return await store.begin_multipart(key), ()

    async def complete(self, run_id: str, edge: str, *, upload_id: str | None = None) -> RunView:
        """
        "It is there": looks at once, and returns the run as it is then.

        With `upload_id` the parts are put together first. Raises `errors.UnknownRun`, `errors.NotAwaited`, also when
        nothing is there yet; asking again after it was sealed is fine.
        """
        run = await self._runs.find(run_id)
        if edge in run.artifacts and run.plan.edges[edge].origin is not Origin.NODE:
            return await self._runs.status(run.id)
        run, store = await self._waiting(run_id, edge)
        joined = upload_id is None or await _join(store, run.plan.edges[edge].upload_key, upload_id)
        there = await self._engine.uploads.arrived(run.id, edge)
        # Where it was not, somebody else may just have sealed it: the store tells of a new object at once.
        if there or edge not in deadlines.awaited(await self._runs.find(run.id)):
            return await self._runs.status(run.id)
        if not joined:
            raise errors.NotAwaited(edge=edge, run=run.id, hint=f" by multipart upload {str(upload_id)[:64]}")
        raise errors.Conflict(reason=f"the upload of edge {edge} is not there yet")

    async def abort(self, run_id: str, edge: str, *, upload_id: str) -> None:
        """The parts received are thrown away; the edge goes on waiting."""
        run, store = await self._waiting(run_id, edge)
        await store.abort_multipart(run.plan.edges[edge].upload_key, upload_id)

    async def receive(
        self,
        run_id: str,
        edge: str,
        body: AsyncIterator[bytes],
        *,
        size: int | None,
        signed: Signed,
        token: str,
    ) -> RunView:
        """
        Takes the body as the object of a webhook's edge; one that comes again changes nothing.

        `token` is the one in the URL; where the well has a secret, the body must be `signed`. Whoever has that need not
        be the run's owner: of a run that is somebody's they are told how far it is, and nothing of what is in it.

        Raises `errors.UnknownRun`, `errors.NotAwaited`, `errors.Forbidden`, `errors.TooLarge`, `errors.TryLater`.
        """
        with asking.asked_by(access.ANYBODY):  # the token says who may, and has no account
            view = await self._received(run_id, edge, body, size=size, signed=signed, token=token)
        if view.run.plan.account is None:
            return view
        plan = replace(view.run.plan, params={}, labels={})
        run = replace(view.run, plan=plan, nodes={}, error="")
        return replace(view, run=run, nodes=(), logs={}, waiting=(), artifacts={}, warnings=())

    async def _received(
        self, run_id: str, edge: str, body: AsyncIterator[bytes], *, size: int | None, signed: Signed, token: str
    ) -> RunView:
        run = await self._runs.find(run_id)
        plan = run.plan.edges.get(edge)
        if plan is None or plan.origin is not Origin.WEBHOOK:
            raise errors.NotAwaited(edge=edge[:128], run=run.id, hint=_why(run, edge))
        if not _same(plan.upload_key.rpartition("/")[2], token):
            raise errors.Forbidden(reason="the token of this URL is not the one that was given out")
        if edge not in run.artifacts:
            await self._waiting(run_id, edge, origin=Origin.WEBHOOK)  # before anything is read
        self._engine.disks.check()
        limit = min(MAX_WEBHOOK_BYTES, self._max_bytes)
        async with self._spool.taken(body, what=f"edge {edge} of run {run.id}", size=size, limit=limit) as path:
            if plan.secret:
                check = partial(self._check_signature, await self._secret(plan.secret, run.plan.account), signed)
                await spooling.read(path, check)
            if edge in (await self._runs.find(run_id)).artifacts:
                return await self._runs.status(run.id)  # whoever sends it again did not hear that it came
            run, store = await self._waiting(run_id, edge, origin=Origin.WEBHOOK)
            await store.put_file(plan.upload_key, path, content_type="application/octet-stream")
        await self._engine.uploads.arrived(run.id, edge)
        await self._remove_what_came_too_late(run.id, edge, store, plan.upload_key)
        return await self._runs.status(run.id)

    def taken(
        self, body: AsyncIterator[bytes], *, what: str, size: int | None = None
    ) -> AbstractAsyncContextManager[Path]:
        """The file that holds the body while it is needed, of at most what an upload may have; see `Spool.taken`."""
        self._engine.disks.check()
        return self._spool.taken(body, what=what, size=size, limit=min(MAX_WEBHOOK_BYTES, self._max_bytes))

    async def _remove_what_came_too_late(self, run_id: str, edge: str, store: ObjectStore, key: str) -> None:
        """Whoever waited for it may have ended, and tidied up, while it was being put."""
        if edge not in deadlines.awaited(await self._runs.find(run_id)):
            with suppress(errors.PuploadError):  # retention comes by later
                await store.delete(key)

    def _check_signature(self, given: str, signed: Signed, body: bytes | memoryview) -> None:
        """Raises `errors.Forbidden` when the body is signed by nobody who has the secret."""
        if not signed.signatures:
            wanted = hmac.new(given.encode(), body, sha256).hexdigest()
            if not _same(wanted, signed.plain.removeprefix("sha256=").lower()):
                raise errors.Forbidden(reason="the signature is not that of this body")
            return
        try:
            key = signing.key_of(given)
        except ValueError as error:
            raise errors.Forbidden(reason=f"the secret of this webhook cannot be used: {error}") from error
        reason = signing.objection(
            [key],
            message_id=signed.message_id,
            timestamp=signed.timestamp,
            signatures=signed.signatures,
            body=body,
            now=self._engine.world.clock.now() + self._engine.world.clock.skew(),  # the sender has the wall clock
        )
        if reason is not None:
            raise errors.Forbidden(reason=reason)

    async def _secret(self, given: str, account: int | None) -> str:
        """What a webhook's bodies are signed with. Raises `errors.Forbidden` where that is a secret that is not set."""
        name = secret.named(given)
        value = given if name is None else await self._secrets.reveal(name, account=account)
        if value is None:
            raise errors.Forbidden(reason=f"secret {name}, which the body must be signed with, is not set")
        return value

    async def _waiting(self, run_id: str, edge: str, *, origin: Origin = Origin.UPLOAD) -> tuple[Run, ObjectStore]:
        run = await self._runs.find(run_id)
        plan = run.plan.edges.get(edge)
        if plan is None or plan.origin is not origin or edge not in deadlines.awaited(run):
            raise errors.NotAwaited(edge=edge[:128], run=run.id, hint=_why(run, edge))
        await self._engine.staging.prepare(run)
        return run, self._engine.staging.store(run, plan.store)


async def _join(store: ObjectStore, key: str, upload_id: str) -> bool:
    """Puts the parts together. Returns whether there is such an upload; there is none any more once that was done."""
    try:
        await store.complete_multipart(key, upload_id, await store.parts(key, upload_id))
    except errors.ObjectAbsent:
        return False
    return True


def _same(wanted: str, given: str) -> bool:
    """Tells nothing by how long it takes; `given` may be any text."""
    return hmac.compare_digest(wanted.encode(), given.encode(errors="replace"))


def _why(run: Run, edge: str) -> str:
    if edge not in run.plan.edges:
        return ": the flow has no such edge"
    if edge in run.artifacts:
        return ": it has its object already"
    origin = run.plan.edges[edge].origin
    if origin is Origin.NODE:
        return ": a node produces it"
    if edge in deadlines.awaited(run):
        return _OTHERWISE[origin]
    return f": the run is {run.status}"
