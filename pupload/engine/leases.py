"""
Which runs are ours: signing in, renewing, taking over, reading letters, claiming room.

All of it happens in beats, three to a lease, and at once when there is news. A beat renews the lease; where it may have
run out meanwhile it looks through what is still ours, and only then is the lease taken for valid again. It takes over
what has no live owner: so starting is recovering, and so is going on after another controller has died.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from pupload import errors
from pupload.domain.run import Run
from pupload.engine.driver import Driver
from pupload.engine.lease import Lease
from pupload.engine.sharing import Sharing, least
from pupload.engine.tasks import Tasks
from pupload.engine.timers import first_of, sleep
from pupload.engine.uploads import Uploads
from pupload.ports import Clock, Controller, Nudge, Ownership, Posted

log = logging.getLogger(__name__)

BEATS = 3
"""In the time of one lease: it survives two that fail."""

AGAIN_SECONDS = 1.0
"""How soon a beat that failed is made again."""

CLAIM_PAUSE_SECONDS = 0.2
"""Between two claims, however much comes and goes."""


class Leases:
    """Keeps this controller's lease, and what follows from it."""

    def __init__(
        self,
        *,
        ownership: Ownership,
        me: Controller,
        lease: Lease,
        driver: Driver,
        uploads: Uploads,
        sharing: Sharing,
        room_moved: asyncio.Event,
        clock: Clock,
        on_taken_over: Callable[[], None],
        on_gone: Callable[[], None],
    ) -> None:
        """
        `on_taken_over` is told when runs changed hands: something may be left that belongs to nobody. `on_gone` is when
        another controller is not alive any more, whether it had runs or not.
        """
        self._ownership = ownership
        self._me = me
        self._lease = lease
        self._driver = driver
        self._uploads = uploads
        self._sharing = sharing
        self._room_moved = room_moved
        self._clock = clock
        self._on_taken_over = on_taken_over
        self._on_gone = on_gone
        self._tasks = Tasks()
        self._reading = Tasks()
        self._being_read: set[int] = set()
        self._others: Sequence[Controller] = ()
        self._one_at_a_time = asyncio.Lock()
        self._in_doubt = False
        """Whether something may be ours of which we know nothing, or the other way round."""

    @property
    def others(self) -> Sequence[Controller]:
        """The other controllers that were alive at the last beat."""
        return self._others

    async def start(self) -> list[Run]:
        """
        Signs in, and takes over what has no live owner. Returns the runs taken up.

        Raises `errors.Misconfigured` when this controller does not fit the others, `errors.DatabaseUnavailable`.
        """
        self._sharing.reset()
        began = self._clock.monotonic()
        await self._ownership.sign_in(self._me, lease_seconds=self._lease.seconds)
        self._lease.renew(began)
        # First, and then claimed: what the attempts of an earlier self hold is left alone until we claim.
        taken = [*await self._take_over(), *await self._beat()]
        self._tasks.start(self._go_on(), name="beats of the lease")
        self._tasks.start(self._claim_in_between(), name="claims of room")
        return taken

    async def close(self) -> None:
        """No beats any more; the lease is left as it is, for what is to be ended under it."""
        await self._tasks.close()
        await self._reading.close()

    async def sign_out(self) -> None:
        """Others may take over at once what is ours. Where the database is away, they do when the lease is over."""
        self._lease.give_up()
        try:
            await self._ownership.sign_out()
        except errors.PuploadError as error:
            log.warning("could not sign out: %s", error)

    # ── Beats ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _go_on(self) -> None:
        pause = self._lease.seconds / BEATS
        with self._ownership.news() as news:
            while True:
                await first_of(sleep(self._clock, pause), news.wait())
                pause = self._lease.seconds / BEATS
                try:
                    await self._beat()
                except errors.TryLater as error:
                    log.warning("the lease could not be renewed: %s", error)
                    pause = min(pause, AGAIN_SECONDS)
                    self._in_doubt = True
                except Exception:
                    log.exception("the lease could not be renewed")
                    self._in_doubt = True

    async def _beat(self) -> list[Run]:
        """Returns the runs that were taken up."""
        async with self._one_at_a_time:
            await self._renew()
            taken = await self._share_and_take_over()
        for posted in await self._ownership.letters():
            if posted.id not in self._being_read:
                self._being_read.add(posted.id)
                self._reading.start(self._work_in(posted), name=f"letter {posted.id} to {posted.run}")
        return taken

    async def _renew(self) -> None:
        # Everything is reckoned from before the first question: whoever is frozen in between finds the lease over.
        began = self._clock.monotonic()
        before, self._others = self._others, await self._ownership.renew()
        if {other.id for other in before} - {other.id for other in self._others}:
            self._on_gone()
        self._sharing.hear_of(self._others)
        lapsed = not self._lease.valid
        if lapsed or self._in_doubt:
            in_doubt, self._in_doubt = self._in_doubt, True
            if lapsed:
                log.warning("the lease had run out; looking through what is still ours")
                self._sharing.reset()
            await self._look_through(lapsed=lapsed)
            self._in_doubt = False
            if lapsed or in_doubt:
                self._on_taken_over()
        self._lease.renew(began)

    async def _look_through(self, *, lapsed: bool) -> None:
        """
        Lets go of the runs that are ours no more, and takes up those that are ours unknown to us.

        Where the lease had run out, what is ours may have been another's for a while: what we know of it is old then.
        """
        known = set(self._driver.live)
        owned = await self._ownership.owned()
        for run_id in sorted(known.difference(owned)):
            self._driver.let_go(run_id)
        if lapsed:
            known = {run_id for run_id in owned if run_id in known and await self._driver.is_current(run_id)}
        await self._driver.take_up(run_id for run_id in owned if run_id not in known)

    async def _share_and_take_over(self) -> list[Run]:
        """
        Claims room, and takes over what has no live owner.

        In this order: room that a dead controller had is handed out only when it is known what its attempts still hold.
        Where there is more room than before it is claimed once more: the dead may have come back in between, and
        taken up its runs before us. So it is where runs were taken over: others must hear of what they hold.
        """
        share = await self._sharing.claim()
        taken = await self._take_over()
        if taken or self._sharing.is_more(share):
            share = least(share, await self._sharing.claim())
        self._sharing.apply(share)
        return taken

    async def _take_over(self) -> list[Run]:
        taken: list[Run] = []
        self._in_doubt, in_doubt = True, self._in_doubt
        while run_ids := await self._ownership.take_over():
            taken += await self._driver.take_up(run_ids)
        self._in_doubt = in_doubt
        if taken:
            log.info("took up %d runs", len(taken))
            self._on_taken_over()
        return taken

    async def _claim_in_between(self) -> None:
        while True:
            await self._room_moved.wait()
            self._room_moved.clear()
            if self._sharing.alone or not self._lease.valid:
                continue  # the next beat claims
            try:
                async with self._one_at_a_time:
                    await self._share_and_take_over()
            except errors.TryLater as error:
                log.warning("no room could be claimed: %s", error)
            await sleep(self._clock, CLAIM_PAUSE_SECONDS)

    # ── Letters ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _work_in(self, posted: Posted) -> None:
        try:
            if isinstance(posted.letter, Nudge):
                await self._uploads.look(posted.run, posted.letter.edge)
            else:
                await self._driver.report(posted.run, posted.letter)
            await self._ownership.take_letters([posted.id])
        except errors.PuploadError as error:
            log.info("letter to %s is looked at again: %s", posted.run, error)
        finally:
            self._being_read.discard(posted.id)
