"""
Those who want to know are told that a run is over: at least once, or it stands there that they could not be.

What is to be told is saved before a run is closed, so that no crash loses it; a loop sends what is due. A receiver that
is slow, away or hostile has no effect on runs, and little on other receivers: each host is sent a few at a time.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from pupload import errors
from pupload.domain import callbacks, delivery, signing
from pupload.domain import secret as secrets
from pupload.domain.delivery import Delivery, Reply, State
from pupload.domain.run import Run
from pupload.engine.tasks import Tasks
from pupload.engine.timers import sleep, sleep_until
from pupload.ports import Clock, Ids, Outbox, Poster

log = logging.getLogger(__name__)

AT_ONCE, AT_ONCE_PER_HOST = 64, 4
"""Tries under way."""

TIMEOUT_SECONDS = 10.0
"""For one try, from the name's resolution to the answer's end. Well below `delivery.CLAIM_SECONDS`."""

LOOK_SECONDS = 600.0
"""How often the outbox is looked at when nothing is due: another controller may have died over what it had to send."""

AGAIN_SECONDS = 5.0
"""After an outbox that could not be asked, or not about all."""

Look = Callable[[str], Awaitable[Run]]


class Reveal(Protocol):
    """The secret of this name that is the account's, or nobody's; None where there is none."""

    async def __call__(self, name: str, *, account: int | None) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Whom the operator wants told of all runs; empty: nobody."""

    url: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


NOBODY = Operator()


class Callbacks:
    """Tells receivers of runs."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        poster: Poster,
        look: Look,
        reveal: Reveal,
        clock: Clock,
        ids: Ids,
        operator: Operator,
    ) -> None:
        """`look` gives a run, `reveal` a secret that a flow refers to."""
        self._outbox = outbox
        self._poster = poster
        self._look = look
        self._reveal = reveal
        self._clock = clock
        self._ids = ids
        self._operator = operator
        self._news = asyncio.Event()
        self._busy: Counter[str] = Counter()
        """Tries under way, by host."""
        self._tasks = Tasks()
        self.pending = 0
        """Deliveries that are neither delivered nor given up, when the outbox was last looked at."""
        self.totals: Counter[State] = Counter()
        """How many this process has brought to an end, by how."""

    def start(self) -> None:
        """Sends what is due from now on."""
        self._tasks.start(self._work(), name="send callbacks")

    def look(self) -> None:
        """Somebody may have left something to send: looks at once."""
        self._news.set()

    async def close(self) -> None:
        """Stops; a try that was under way is made again by whoever comes next."""
        await self._tasks.close()

    async def announce(self, run: Run) -> None:
        """The run is over, and all who want to be told will be: that is saved when this returns. Twice is once."""
        made = callbacks.made(run, operator_url=self._operator.url)
        if made:
            await self._outbox.add(made)
            self._news.set()

    async def send_again(self, run_id: str, delivery_id: str) -> Delivery:
        """The delivery, due at once, and as often as a new one. Raises `errors.UnknownDelivery`."""
        while True:
            this = await self._outbox.get(run_id, delivery_id)
            saved = await self._outbox.put(delivery.sent_again(this, now=self._clock.now()))
            if saved is not None:
                self._news.set()
                return saved

    # ── Sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        while True:
            self._news.clear()
            try:
                next_look = await self._send_due()
            except errors.PuploadError as error:
                log.warning("callbacks cannot be looked at for now: %s", error)
                next_look = self._clock.now() + timedelta(seconds=AGAIN_SECONDS)
            await sleep_until(self._clock, next_look, or_sooner=self._news)

    async def _send_due(self) -> datetime:
        """Begins to send what is due, as far as there is room. Returns when to look again, unless there is news."""
        now = self._clock.now()
        room = max(AT_ONCE - self._busy.total(), 1)
        for this in await self._outbox.due(now, per_host=AT_ONCE_PER_HOST, limit=room):
            if self._busy[this.host] < AT_ONCE_PER_HOST and self._busy.total() < AT_ONCE:
                claimed = await self._outbox.put(delivery.claimed(this, now=now))
                if claimed is not None:
                    self._busy[this.host] += 1
                    self._tasks.start(self._send(claimed), name=f"callback {this.id}")
        outlook = await self._outbox.outlook()
        self.pending = outlook.pending
        latest = now + timedelta(seconds=LOOK_SECONDS)
        if outlook.due_at is None or outlook.due_at > now:
            return min(outlook.due_at or latest, latest)
        # There was no room for it, and the end of any try is news; or somebody else has it, or nobody can read it.
        return latest if self._busy.total() else now + timedelta(seconds=AGAIN_SECONDS)

    async def _send(self, this: Delivery) -> None:
        try:
            at = self._clock.now()
            reply = await self._try(this, at)
            await self._save(this, reply, at)
        finally:
            self._busy[this.host] -= 1
            if not self._busy[this.host]:
                del self._busy[this.host]
            self._news.set()

    async def _try(self, this: Delivery, at: datetime) -> Reply:
        seconds = int((at + self._clock.skew()).timestamp())  # whoever takes it has the wall clock
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "pupload",
            "webhook-id": this.id,
            "webhook-timestamp": str(seconds),
        }
        try:
            keys = [signing.key_of(one) for one in await self._secrets(this)]
        except (errors.PuploadError, ValueError) as error:
            return Reply(error=f"it cannot be signed: {error}")
        if keys:
            made = (signing.signature(key, message_id=this.id, timestamp=seconds, body=this.body) for key in keys)
            headers["webhook-signature"] = " ".join(made)
        return await self._poster.post(
            this.url, headers=headers, body=this.body, trusted=this.place is None, timeout_seconds=TIMEOUT_SECONDS
        )

    async def _secrets(self, this: Delivery) -> Sequence[str]:
        """As they are now: an exchanged one signs from the next try on."""
        if this.place is None:
            return self._operator.secrets
        plan = (await self._look(this.run)).plan
        given = plan.flow.callbacks[this.place].secrets
        return [await self._revealed(one, plan.account) for one in given]

    async def _revealed(self, secret: str, account: int | None) -> str:
        name = secrets.named(secret)
        if name is None:
            return secret
        value = await self._reveal(name, account=account)
        if value is None:
            raise ValueError(f"there is no secret {name}")
        return value

    async def _save(self, this: Delivery, reply: Reply, at: datetime) -> None:
        """Saves what the try came to, however long that takes: else it would be made once more."""
        chance = self._ids.fraction()
        while True:
            try:
                after = delivery.answered(this, reply, at=at, now=self._clock.now(), chance=chance)
                if await self._outbox.put(after) is None:
                    await self._note(this, after.tries[-1])
                elif after.state is not State.PENDING:
                    self._count(after)
                return
            except errors.UnknownDelivery:
                return  # its run was deleted meanwhile
            except errors.TryLater as error:
                log.warning("what became of callback %s cannot be saved for now: %s", this.id, error)
                await sleep(self._clock, AGAIN_SECONDS)

    async def _note(self, this: Delivery, tried: delivery.Try) -> None:
        """Somebody wants it sent again since, or has taken it up: the try is told all the same."""
        while True:
            kept = await self._outbox.get(this.run, this.id)
            if tried in kept.tries or await self._outbox.put(delivery.noted(kept, tried)) is not None:
                return

    def _count(self, this: Delivery) -> None:
        self.totals[this.state] += 1
        if this.state is State.FAILED:
            log.warning("callback %s of run %s was given up: %s", this.id, this.run, this.tries[-1].error)
