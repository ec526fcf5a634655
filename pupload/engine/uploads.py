"""
Objects from outside: noticed when they arrive, sealed, and told to their run.

A user puts an upload under a key of its own that nobody can guess. On arrival it is copied inside the store, as it is
at that moment, to the key where the run finds it: a later PUT to the same URL changes nothing that counts. Its type is
told from the sealed bytes and compared with what the flow accepts, before anything runs.
"""

import asyncio
import heapq
import logging
from dataclasses import dataclass, field
from datetime import timedelta

from pupload import errors
from pupload.domain import deadlines, events, keys
from pupload.domain.artifact import Artifact
from pupload.domain.plan import EdgePlan, Origin
from pupload.domain.run import Run
from pupload.engine.contents import Contents, consumers
from pupload.engine.driver import Driver
from pupload.engine.lease import Lease, for_ever
from pupload.engine.objects import sha256_of, value_of
from pupload.engine.post import Post
from pupload.engine.staging import Staging
from pupload.engine.tasks import Tasks
from pupload.engine.timers import sleep, sleep_until
from pupload.ports import Clock, Nudge, ObjectStat, ObjectStore, Sealed, SealsAtOnce

log = logging.getLogger(__name__)

FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 0.25, 5.0
"""How soon a store that tells nothing is asked again; doubled each time, from the one to the other."""

SHORTEST_PAUSE_SECONDS = 0.001
"""Two clocks are read, and one counts in microseconds: what is less than that would be no pause at all."""

STATIC_SECONDS = 600.0
"""How long a store may stay away from which an object is wanted that should be there already."""

LOOKS_AT_ONCE = 32
"""How many stores' answers are waited for at the same time."""

SEALINGS_AT_ONCE = 32

Key = tuple[str, str]
"""A run's id and an edge."""


@dataclass(slots=True)
class _Watch:
    run: str
    edge: str
    store: ObjectStore
    key: str
    """Where the object arrives."""
    pause: float = FIRST_LOOK_SECONDS
    look_at: float | None = None
    """When it is looked at next, by the monotonic clock."""
    sealing: "asyncio.Task[bool] | None" = None
    away_since: float | None = None
    """Since when its store does not answer, by the monotonic clock."""
    copies: set[str] = field(default_factory=set)
    """Keys where there may be a copy of it, for the run to find."""


class _NoLongerOurs(Exception):
    """The run was let go of while its upload was looked at."""


class Uploads:
    """Watches for the objects that runs wait for."""

    def __init__(
        self,
        *,
        driver: Driver,
        staging: Staging,
        contents: Contents,
        clock: Clock,
        max_bytes: int,
        lease: Lease | None = None,
        post: Post | None = None,
    ) -> None:
        self._lease = lease or for_ever(clock)
        self._post = post
        self._driver = driver
        self._staging = staging
        self._contents = contents
        self._clock = clock
        self._max_bytes = max_bytes
        self._watches: dict[Key, _Watch] = {}
        self._by_key: dict[tuple[int, str], _Watch] = {}
        self._listening: set[int] = set()
        self._looks: list[tuple[float, int, Key]] = []
        self._order = 0
        self._look_now = asyncio.Event()
        self._looking = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._sealing = asyncio.Semaphore(SEALINGS_AT_ONCE)
        self._tasks = Tasks()

    def __len__(self) -> int:
        return len(self._watches)

    def start(self) -> None:
        """Looks for arrivals from now on."""
        self._tasks.start(self._look_around(), name="look for uploads")

    async def close(self) -> None:
        """Stops watching."""
        await self._tasks.close()

    def watch(self, run: Run, edge: str, *, look: bool = False) -> None:
        """Watches for the object of the edge, once however often it is asked for; `look`: it may be there already."""
        if (run.id, edge) in self._watches:
            return
        plan = run.plan.edges[edge]
        store = self._staging.store(run, plan.store)
        watch = _Watch(run.id, edge, store, plan.upload_key or plan.key)
        self._watches[run.id, edge] = watch
        self._by_key[id(store), watch.key] = watch
        if store.notifies:
            self._listen(store)
        if look or plan.origin is Origin.STATIC or not store.notifies:
            self._look_at(watch, 0.0)

    def unwatch_run(self, run_id: str, edges: list[str]) -> None:
        """The run does not wait for these any more."""
        for edge in edges:
            watch = self._watches.pop((run_id, edge), None)
            if watch is not None:
                self._by_key.pop((id(watch.store), watch.key), None)

    def let_go(self, run_id: str) -> None:
        """The run is another's: what it waits for is not ours to find."""
        self.unwatch_run(run_id, [edge for run, edge in list(self._watches) if run == run_id])

    async def arrived(self, run_id: str, edge: str) -> bool:
        """
        Somebody says that the object is there: looks at once.

        Returns whether it was there; False also where nobody waits for it, or no longer, or the run is another
        controller's: that one looks, and is waited for. Raises `errors.StoreUnavailable` when the store cannot be
        asked.
        """
        if (run_id, edge) not in self._watches and self._post is not None and run_id not in self._driver.live:
            if await self._goes_on(run_id):
                await self._post.deliver(run_id, Nudge(edge=edge))
            return False
        return await self.look(run_id, edge)

    async def _goes_on(self, run_id: str) -> bool:
        try:
            return not (await self._driver.look(run_id)).status.terminal
        except errors.UnknownRun:
            return False

    async def look(self, run_id: str, edge: str) -> bool:
        """As `arrived`, here and nowhere else."""
        watch = self._watches.get((run_id, edge))
        if watch is None:
            return False
        try:
            return await self._seal_once(watch)
        except errors.PreconditionFailed:
            self._look_at(watch, FIRST_LOOK_SECONDS)  # it is being put anew at this moment
            return False

    async def refuse(self, run_id: str, edge: str, reason: str) -> None:
        """
        The run goes without what it waits for on this edge; whoever owns it is told.

        Nothing happens where it does not wait for that (any more). Raises `errors.DatabaseUnavailable`.
        """
        report = events.UploadRefused(edge=edge, reason=reason)
        if run_id in self._driver.live:
            await self._driver.report(run_id, report)
            self.unwatch_run(run_id, [edge])
        elif self._post is not None and await self._goes_on(run_id):
            await self._post.deliver(run_id, report)

    # ── Noticing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _listen(self, store: ObjectStore) -> None:
        if id(store) not in self._listening:
            self._listening.add(id(store))
            self._tasks.start(self._hear(store), name=f"arrivals in store {store.name}")

    async def _hear(self, store: ObjectStore) -> None:
        while True:
            try:
                await self._hear_on(store)
            except Exception:
                log.exception("arrivals in store %s are not told for now", store.name)
            await sleep(self._clock, LAST_LOOK_SECONDS)

    async def _hear_on(self, store: ObjectStore) -> None:
        async for key in store.arrivals():
            if key:
                watch = self._by_key.get((id(store), key))
                if watch is not None:
                    self._tasks.start(self._try_to_seal(watch), name=f"seal {watch.edge} of {watch.run}")
            else:
                # Arrivals may have been missed: look at everything that is expected in this store.
                for watch in [one for one in self._watches.values() if one.store is store]:
                    self._look_at(watch, 0.0)

    def _look_at(self, watch: _Watch, pause: float) -> None:
        when = self._clock.monotonic() + pause
        if watch.look_at is not None and watch.look_at <= when:
            return
        watch.look_at = when
        self._order += 1
        heapq.heappush(self._looks, (when, self._order, (watch.run, watch.edge)))
        self._look_now.set()

    async def _look_around(self) -> None:
        while True:
            self._look_now.clear()
            while self._looks and self._looks[0][0] <= self._clock.monotonic():
                when, _, key = heapq.heappop(self._looks)
                watch = self._watches.get(key)
                if watch is not None and watch.look_at == when:
                    watch.look_at = None
                    await self._looking.acquire()
                    self._tasks.start(self._look(watch), name=f"look for {watch.edge} of {watch.run}")
            if not self._looks:
                await self._look_now.wait()
            else:
                await self._pause(self._looks[0][0] - self._clock.monotonic())

    async def _pause(self, seconds: float) -> None:
        until = self._clock.now() + timedelta(seconds=max(seconds, SHORTEST_PAUSE_SECONDS))
        await sleep_until(self._clock, until, or_sooner=self._look_now)

    async def _look(self, watch: _Watch) -> None:
        try:
            there = await self._try_to_seal(watch)
        finally:
            self._looking.release()
        still_wanted = (watch.run, watch.edge) in self._watches
        if not there and still_wanted and not watch.store.notifies:
            self._look_at(watch, watch.pause)
            watch.pause = min(watch.pause * 2, LAST_LOOK_SECONDS)

    # ── Sealing ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _try_to_seal(self, watch: _Watch) -> bool:
        try:
            return await self._seal_once(watch)
        except (errors.TryLater, errors.PreconditionFailed) as error:
            log.warning("upload of edge %s of %s: %s", watch.edge, watch.run, error)
            if isinstance(error, errors.StoreUnavailable) and await self._is_given_up(watch, error):
                return True
        except Exception:
            log.exception("upload of edge %s of %s could not be sealed", watch.edge, watch.run)
        self._look_at(watch, LAST_LOOK_SECONDS)
        return False

    async def _is_given_up(self, watch: _Watch, error: errors.StoreUnavailable) -> bool:
        """
        Whether the store of a static object was away for too long: the run is told, with the store's name.

        An upload is not given up: its user cannot reach the store either, and its deadline stands.
        """
        now = self._clock.monotonic()
        watch.away_since = now if watch.away_since is None else watch.away_since
        run = self._driver.live.get(watch.run)
        static = run is not None and run.plan.edges[watch.edge].origin is Origin.STATIC
        if not static or now - watch.away_since < STATIC_SECONDS:
            return False
        reason = f"object {watch.key} of edge {watch.edge} cannot be had: {error}"
        await self._driver.report(watch.run, events.UploadRefused(edge=watch.edge, reason=reason))
        self.unwatch_run(watch.run, [watch.edge])
        return True

    async def _seal_once(self, watch: _Watch) -> bool:
        """Whether the object was there; one sealing at a time however many notice it."""
        earlier = watch.sealing
        # It may have looked before what we are told of came in: only its yes is an answer to us.
        if earlier is not None and not earlier.done() and await asyncio.shield(earlier):
            return True
        if watch.sealing is earlier or watch.sealing is None or watch.sealing.done():
            watch.sealing = self._tasks.ask(self._seal(watch), name=f"seal {watch.edge} of {watch.run}")
        return await asyncio.shield(watch.sealing)

    async def _seal(self, watch: _Watch) -> bool:
        async with self._sealing:
            if (watch.run, watch.edge) not in self._watches:
                return True
            try:
                run = await self._driver.look(watch.run)
            except errors.UnknownRun:
                self.unwatch_run(watch.run, [watch.edge])  # it was deleted
                return False
            if not self._driver.owns(run):
                self.unwatch_run(watch.run, [watch.edge])
                return False
            plan = run.plan.edges[watch.edge]
            report: events.Report
            try:
                report = events.UploadSealed(edge=watch.edge, artifact=await self._sealed(run, plan, watch))
            except errors.ObjectAbsent:
                if plan.origin is not Origin.STATIC:
                    return False
                reason = f"object {plan.key} of edge {plan.name} is not in store {plan.store}"
                report = events.UploadRefused(edge=watch.edge, reason=reason)
            except _NoLongerOurs:
                return False
            except (errors.Refused, errors.AttemptFailed, errors.ObjectForbidden, errors.StoreRefused) as error:
                report = events.UploadRefused(edge=watch.edge, reason=str(error))
            await self._driver.report(watch.run, report)
            self.unwatch_run(watch.run, [watch.edge])
            if plan.upload_key:
                self._tasks.start(self._tidy(watch), name=f"remove upload {watch.edge} of {watch.run}")
            return True

    async def _sealed(self, run: Run, plan: EdgePlan, watch: _Watch) -> Artifact:
        """
        The artifact that the object became.

        Raises `errors.ObjectAbsent`, `errors.WrongType`, `errors.TwoTypes`, `errors.OverLimit`, `errors.TooLarge`.
        """
        store = watch.store
        found, head = await self._kept(run, plan, watch)
        subject = f"upload of edge {plan.name}"
        told = await self._contents.of_object(
            store, found, head=head, subject=subject, takers=consumers(run, plan.name)
        )
        return Artifact(
            edge=plan.name,
            store=plan.store,
            key=found.key,
            size=found.size,
            content_type=told.content_type,
            facts=told.facts,
            sha256=found.sha256 or await sha256_of(store, found),
            etag=found.etag,
            created_at=self._clock.now() + self._clock.skew(),  # to be compared with its store's
            value=await value_of(store, found, plan),
        )

    async def _kept(self, run: Run, plan: EdgePlan, watch: _Watch) -> tuple[ObjectStat, bytes]:
        """The object, where nobody puts another in its place any more, and its first bytes."""
        store, head_bytes = watch.store, self._contents.head_bytes
        at_once = store if plan.upload_key and isinstance(store, SealsAtOnce) else None
        found = await self._stat(store, watch.key, plan.name) if at_once is None else None
        if plan.upload_key:
            # Two owners of the run, one of them late, may find two uploads here: neither copies over the other.
            target = keys.of_attempt(run.id, plan, run.fence)
            await self._lease.sure()
            if (watch.run, watch.edge) not in self._watches:
                raise _NoLongerOurs
            watch.copies.add(target)
            if at_once is not None and (sealed := await self._at_once(at_once, watch.key, target, plan.name)):
                return sealed.stat, sealed.head
            found = found or await self._stat(store, watch.key, plan.name)
            found = await self._copy(store, found, target, plan.name)
        assert found is not None
        return found, await store.read(found.key, length=head_bytes) if found.size else b""

    async def _at_once(self, store: SealsAtOnce, key: str, target: str, edge: str) -> Sealed | None:
        try:
            return await store.seal(key, target, head_bytes=self._contents.head_bytes, most_bytes=self._max_bytes)
        except errors.TooLarge as error:
            raise self._too_large(edge) from error

    def _too_large(self, edge: str) -> errors.TooLarge:
        return errors.TooLarge(what=f"upload of edge {edge}", limit=self._max_bytes)

    async def _stat(self, store: ObjectStore, key: str, edge: str) -> ObjectStat:
        found = await store.stat(key)
        if found.size > self._max_bytes:
            raise self._too_large(edge)
        return found

    async def _copy(self, store: ObjectStore, found: ObjectStat, target: str, edge: str) -> ObjectStat:
        while True:
            try:
                return await store.copy(found.key, target, if_etag=found.etag)
            except errors.PreconditionFailed:
                found = await self._stat(store, found.key, edge)  # put once more in this moment: the newer one counts

    async def _tidy(self, watch: _Watch) -> None:
        """
        The upload goes, once nobody awaits it; and so does its copy where the run did not take it: it was refused, or
        came too late.
        """
        try:
            run = await self._driver.look(watch.run)
            taken = run.artifacts.get(watch.edge)
            for copy in sorted(watch.copies):
                if taken is None or taken.key != copy:
                    await watch.store.delete(copy)
            if self._driver.owns(run) or watch.edge not in deadlines.awaited(run):
                await watch.store.delete(watch.key)
        except errors.PuploadError as error:
            # Nothing depends on it, and closing the run removes the upload once more.
            log.info("upload %s could not be removed yet: %s", watch.key, error)
