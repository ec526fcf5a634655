"""
What an account said to flows, and what came back.

What it said is kept when its run was started, and what came back once the run has succeeded, each once. Where a server
died in between, what was said is what the run was given.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pupload import errors, ports
from pupload.domain import thread
from pupload.domain.artifact import Artifact
from pupload.domain.plan import Origin
from pupload.domain.run import Run, Status
from pupload.domain.thread import Message, Role, Thread
from pupload.engine.engine import Engine
from pupload.service import owned, results
from pupload.service.results import Results

LABEL = "thread"
"""Of a run: what its thread is with."""

_MOMENT = timedelta(microseconds=1)

MOST_MESSAGES = 1000
"""In one answer."""


class Threads:
    """What can be asked about threads, and what follows from runs that belong to one."""

    def __init__(self, *, engine: Engine, kept: ports.Threads, results: Results) -> None:
        self._engine = engine
        self._kept = kept
        self._results = results

    async def history(self, flow: str, *, before: datetime | None = None, limit: int = 10) -> ports.Said:
        """The last messages of the caller's thread with the flow, or the last before; at most 1 000."""
        most = min(max(limit, 0), MOST_MESSAGES)
        return await self._kept.read(owned.mine(), flow, before=before, limit=most)

    async def clear(self, flow: str) -> None:
        """Nothing was said in the caller's thread with the flow."""
        await self._kept.clear(owned.mine(), flow)

    async def list(self, *, limit: int = 100, offset: int = 0) -> ports.ThreadPage:
        """The caller's threads; to who sees everything, everybody's. The one of the last message first."""
        return await self._kept.list(account=owned.shown(), limit=min(max(limit, 0), MOST_MESSAGES), offset=offset)

    async def every(self) -> Sequence[Thread]:
        """All that `list` gives, page after page."""
        found: list[Thread] = []
        while page := (await self.list(limit=MOST_MESSAGES, offset=len(found))).threads:
            found += page
        return found

    async def messages(self, this: Thread) -> Sequence[Message]:
        """All that was said in a thread of `list`, in its order."""
        return (await self._kept.read(this.account, this.flow, limit=this.messages)).messages

    async def forget(self, threads: Iterable[Thread] = (), *, message_ids: Sequence[int] = ()) -> None:
        """Nothing was said in these threads of `list`; nor were these messages, of such as are the caller's."""
        for this in threads:
            await self._kept.clear(this.account, this.flow)
        if message_ids:
            await self._kept.forget(message_ids, account=owned.shown())

    async def said(self, run: Run, text: str) -> None:
        """The run, which is labelled with its thread, was started with this."""
        await self._say(run, Role.USER, text, run.created_at)

    # ── What follows ─────────────────────────────────────────────────────────────────────────────────────────────

    def concerns(self, run: Run) -> bool:
        """See `engine.consequences.Consequence`."""
        return LABEL in run.plan.labels

    async def see_to(self, run: Run) -> None:
        """See `engine.consequences.Consequence`."""
        if not run.status.terminal:
            return
        known = {message.role for message in await self._kept.said_in(run.id)}
        if Role.USER not in known and (given := _given(run)) is not None:
            await self.said(run, await self._text(run, given))
        if Role.ASSISTANT not in known and run.status is Status.COMPLETE:
            # Whoever reads back from a message must find the other, so no two of a run are said at the same moment.
            at = max(run.finished_at or run.created_at, run.created_at + _MOMENT)
            await self._say(run, Role.ASSISTANT, await self._results.reply(run.id), at)

    async def _say(self, run: Run, role: Role, text: str, at: datetime) -> None:
        account, flow = run.plan.account, run.plan.labels[LABEL]
        await self._kept.say(Message(account=account, flow=flow, run=run.id, role=role, text=thread.cut(text), at=at))

    async def _text(self, run: Run, given: Artifact) -> str:
        await self._engine.staging.prepare(run)
        store = self._engine.staging.store(run, given.store)
        size = min(given.size, thread.MOST_TEXT_BYTES)
        try:
            return (await store.read(given.key, length=size) if size else b"").decode(errors="replace")
        except errors.ObjectAbsent:
            return ""


def _given(run: Run) -> Artifact | None:
    """The text that the run was given."""
    outside = [name for name, edge in run.plan.edges.items() if edge.origin is Origin.UPLOAD]
    there = (found for name in outside if name not in run.gone and (found := run.artifacts.get(name)) is not None)
    return next((one for one in there if results.is_text(one)), None)
