"""
Users of a server that goes away again and again. They do not give up, and remember what they were told.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

from pupload import errors
from pupload.client import Client
from tests.checker import Violation
from tests.torture import flows

T = TypeVar("T")
Json = dict[str, Any]

TERMINAL = frozenset({"COMPLETE", "ERROR", "STOPPED"})
AGAIN_SECONDS = 0.5
ASK_SECONDS = 30.0
"""How long one question may take: a server may be frozen while it is asked."""

PARTS_FROM_BYTES = 8 << 30
"""An upload of so many bytes comes in parts."""

OVER = (errors.NotAwaited, errors.Conflict, errors.Malformed)
"""How the server says that an upload is not awaited (any more)."""


@dataclass(slots=True)
class Told:
    """What the users were told, of all runs together."""

    cases: dict[str, flows.Case] = field(default_factory=dict)
    """By the id of a run that was accepted."""
    ended: dict[str, str] = field(default_factory=dict)
    """The status in which a run was seen when it was over."""
    broken: list[Violation] = field(default_factory=list)
    refused: int = 0
    """Requests that had to be refused, and were."""
    asked_again: int = 0
    late: set[str] = field(default_factory=set)
    """Runs for which something was put when they were over."""
    removed: set[str] = field(default_factory=set)
    """Attempts whose container was removed by somebody else, and with it what was not read of its log; by id."""

    def complain(self, invariant: str, run: str, sentence: str, evidence: str = "") -> None:
        """A promise was not kept, as far as a user can tell."""
        self.broken.append(Violation(invariant=invariant, run=run, sentence=sentence, evidence=evidence))


class User:
    """Whoever wants one case's run."""

    def __init__(self, case: flows.Case, clients: Sequence[Client], told: Told, over: asyncio.Event) -> None:
        """
        `clients` are those of all servers: this one or that is asked.

        `over` is set when there are no faults any more and all should come to an end.
        """
        self._case = case
        self._clients = clients
        self._chance = random.Random(case.number)
        self._told = told
        self._over = over

    async def play(self) -> None:
        """All that this user does, until the run is over."""
        case = self._case
        run = await self._start()
        self._told.cases[run["ID"]] = case
        doing = [asyncio.create_task(self._put(run, put)) for put in case.puts if not put.late]
        if case.cancel is not None:
            doing.append(asyncio.create_task(self._cancel(run["ID"], *case.cancel)))
        if case.waits:
            doing.append(asyncio.create_task(self._give_up(run["ID"])))
        try:
            ended = await self._until_ended(run["ID"])
        finally:
            for task in doing:
                task.cancel()
            done = await asyncio.gather(*doing, return_exceptions=True)
        self._complain_of(done, run["ID"])
        for put in case.puts:
            if put.late:
                await self._put_late(run, put)
        if case.resumed and ended["Status"] in ("ERROR", "STOPPED"):
            await self._resume(run["ID"])

    def _complain_of(self, done: list[Any], run_id: str) -> None:
        for error in done:
            if isinstance(error, Exception):
                self._told.complain("API", run_id, f"{type(error).__name__}: {error}")

    @property
    def _client(self) -> Client:
        return self._chance.choice(self._clients)

    # ── Asking ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until there is an answer."""
        while True:
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    return await ask()
            except (errors.TryLater, TimeoutError, aiohttp.ClientError, OSError):
                self._told.asked_again += 1
                await asyncio.sleep(AGAIN_SECONDS)

    async def _start(self) -> Json:
        case = self._case
        run = await self._insist(lambda: self._client.start(case.order, idempotency_key=case.key))
        if case.twice:
            again = await self._insist(lambda: self._client.start(case.order, idempotency_key=case.key))
            if again["ID"] != run["ID"]:
                self._told.complain("KEY", run["ID"], f"a repeated request was answered with {again['ID']}")
        return run

    async def _until_ended(self, run_id: str) -> Json:
        if self._case.streams:
            await self._follow(run_id)
        while True:
            run = await self._insist(lambda: self._client.status(run_id))
            if run["Status"] in TERMINAL:
                self._told.ended[run_id] = run["Status"]
                return run
            await asyncio.sleep(AGAIN_SECONDS * 2)

    async def _follow(self, run_id: str) -> None:
        """Reads the journal as it grows, to its end: every number must come, and once."""
        last = 0
        while True:
            try:
                async for event in self._client.events(run_id, after=last):
                    if event.cursor != last + 1:
                        self._told.complain("I9", run_id, f"event {event.cursor} came after {last}")
                    last = event.cursor or last
            except (errors.TryLater, TimeoutError, aiohttp.ClientError, OSError):
                self._told.asked_again += 1
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    # ── Uploads ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _put(self, run: Json, put: flows.Put) -> None:
        await asyncio.sleep(put.after)
        if put.parts:
            await self._begin_parts(run["ID"], put.edge)
        if not await self._deliver(run["ID"], put.edge, put.data):
            return
        if put.again is not None:
            await self._deliver(run["ID"], put.edge, put.again)
        if put.tells:
            await self._tell(run["ID"], put.edge)

    async def _deliver(self, run_id: str, edge: str, data: bytes) -> bool:
        """Puts the bytes where the run waits for them; whether it did."""

        async def put() -> bool:
            run = await self._client.status(run_id)
            urls = [each["PutURL"] for each in run["WaitingURLs"] if each["Artifact"]["EdgeName"] == edge]
            if not urls:
                return False
            async with aiohttp.ClientSession() as session, session.put(urls[0], data=data) as response:
                if response.status >= 500:
                    raise errors.TryLater(reason=f"the store answered {response.status}")
                if response.status != 200:
                    text = (await response.text(errors="replace"))[:300]
                    self._told.complain("API", run_id, f"a PUT of {edge} was answered with {response.status}", text)
                return True

        return await self._insist(put)

    async def _begin_parts(self, run_id: str, edge: str) -> None:
        place = f"/api/v1/upload/{run_id}/{edge}"
        try:
            await self._insist(lambda: self._client._call("POST", place, {"Size": PARTS_FROM_BYTES}))
        except OVER:
            return

    async def _tell(self, run_id: str, edge: str) -> None:
        try:
            await self._insist(lambda: self._client._call("POST", f"/api/v1/upload/{run_id}/{edge}/complete", {}))
        except OVER:
            return  # the run ended meanwhile

    async def _put_late(self, run: Json, put: flows.Put) -> None:
        """What comes when nobody waits any more; a store takes it, for it knows no runs."""
        urls = [each["PutURL"] for each in run["WaitingURLs"] if each["Artifact"]["EdgeName"] == put.edge]
        self._told.late.add(run["ID"])
        for url in urls:
            try:
                async with (
                    asyncio.timeout(ASK_SECONDS),
                    aiohttp.ClientSession() as session,
                    session.put(url, data=put.data) as response,
                ):
                    await response.read()
            except (TimeoutError, aiohttp.ClientError, OSError):
                continue

    # ── Ending ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _cancel(self, run_id: str, after: float, mode: str) -> None:
        await asyncio.sleep(after)
        await self._insist(lambda: self._client.cancel(run_id, mode=mode))

    async def _give_up(self, run_id: str) -> None:
        await self._over.wait()
        await self._insist(lambda: self._client.cancel(run_id))

    async def _resume(self, run_id: str) -> None:
        key = f"resume {self._case.key}"
        try:
            run = await self._insist(lambda: self._client.resume(run_id, idempotency_key=key))
        except errors.Conflict:
            return  # what it would go on from is not there any more
        self._told.cases[run["ID"]] = self._case
        doing = [asyncio.create_task(self._put(run, put)) for put in self._case.puts]
        try:
            await self._until_ended(run["ID"])
        finally:
            for task in doing:
                task.cancel()
            done = await asyncio.gather(*doing, return_exceptions=True)
        self._complain_of(done, run["ID"])


# ── Others ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def pester(client: Client, told: Told, chance: random.Random) -> None:
    """Asks for something that must be refused, once."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            if chance.random() < 0.5:
                await _ask_invalid(client, told, flows.invalid(chance))
            else:
                await _send_hostile(client, told, flows.hostile(chance))
    except (errors.TryLater, TimeoutError, aiohttp.ClientError, OSError):
        return  # it is away


async def _ask_invalid(client: Client, told: Told, order: Json) -> None:
    try:
        run = await client.start(order)
    except errors.Refused:
        told.refused += 1
        return
    told.complain("API", run["ID"], "a flow that breaks rules was accepted", str(order)[:300])


async def _send_hostile(client: Client, told: Told, body: bytes) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{client.url}/api/v1/flow/test", data=body, headers={"Content-Type": "application/json"}
        ) as response,
    ):
        text = (await response.text(errors="replace"))[:300]
        if 400 <= response.status < 500:
            told.refused += 1
        elif response.status != 503:
            sentence = f"a body that is no order was answered with {response.status}"
            told.complain("API", "", sentence, f"{body[:60]!r}: {text}")
