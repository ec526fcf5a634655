"""All runs and flows at a glance: what happened by day, what goes wrong, what there is, and how much of it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Literal

from pupload import errors
from pupload.domain import outline, saved, secret
from pupload.domain.flow import DEFAULT_STORE
from pupload.domain.run import Status
from pupload.engine import aside
from pupload.engine.engine import Engine
from pupload.ports import RunSummary
from pupload.service import owned
from pupload.service.outlines import Outlines

MOST_DAYS = 365
MOST_HITS = 100
MOST_FLOWS = 1000
"""On a dashboard, and so many ids of runs that go on."""

_TREND_DAYS = 7
_RECENT = 50
_FAILING = 5
MOST_PURGE_DAYS = 36_500
"""How far a purge may look back."""

Kind = Literal["flow", "store", "variable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The runs that started on one day, in UTC, by what they have come to since."""

    date: date
    success: int = 0
    failed: int = 0
    cancelled: int = 0
    running: int = 0
    """Those that are not over yet."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.success + self.failed + self.cancelled + self.running


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLine:
    """A saved flow, and how large it is."""

    flow: saved.SavedFlow
    nodes: int
    edges: int
    """Pairs of nodes of which one takes what the other makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """How many runs of a saved flow failed."""

    flow_id: str
    name: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What somebody wants to see first."""

    flows: Sequence[FlowLine]
    """By namespace and name."""
    flows_total: int
    recent: Sequence[RunSummary]
    """Newest first."""
    trends: Sequence[Day]
    """The last seven days, today at the end."""
    failing: Sequence[Failing]
    """Of those days, the flow that failed most often first."""
    running: Sequence[str]
    """The ids of runs that have started and are not over, newest first."""
    day_total: int
    """Runs that started in the last 24 hours."""
    day_success: int
    day_failed: int

    @property
    def runs_today(self) -> int:
        """Since midnight, UTC."""
        return self.trends[-1].total

    @property
    def runs_yesterday(self) -> int:
        """The day before."""
        return self.trends[-2].total


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something that a search found."""

    kind: Kind
    id: str
    name: str
    description: str = ""
    """Of a store, where it is; of a variable, what a flow says of it. Never a value."""
    flows: Sequence[str] = ()
    """The ids of flows that name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemInfo:
    """How much there is."""

    database_bytes: int
    flows: int
    active_runs: int
    """Runs with nodes under way."""
    queued_runs: int
    """Runs that wait for a slot."""
    max_concurrent_runs: int
    """How many may go on at once; without a limit, how many attempts may."""


class Overview:
    """What can be asked about all runs and flows together."""

    def __init__(self, *, engine: Engine, outlines: Outlines) -> None:
        self._engine = engine
        self._runs = owned.Runs(engine)
        self._clock = engine.world.clock
        self._secrets = owned.Secrets(engine.world.secrets)
        self._outlines = outlines

    # ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def calendar(self, *, days: int = 90) -> Sequence[Day]:
        """
        So many days, today (UTC) at the end, each with the runs that started on it; on some none did.

        Raises `errors.Malformed` for less than one day or more than a year.
        """
        if not 1 <= days <= MOST_DAYS:
            raise errors.Malformed(reason=f"days must be a whole number, 1 to {MOST_DAYS}")
        return await self._days(self._clock.now(), days)

    async def dashboard(self) -> Dashboard:
        """Everything at a glance."""
        now = self._clock.now()
        since = _midnight(now) - timedelta(days=_TREND_DAYS - 1)
        outlines, trends, failing, recent, last, running = await asyncio.gather(
            self._outlines.all(),
            self._days(now, _TREND_DAYS),
            self._runs.failing(since, limit=MOST_FLOWS),
            self._runs.list(limit=_RECENT),
            self._runs.statuses(now - timedelta(days=1)),
            self._runs.under_way(limit=MOST_FLOWS),
        )
        there = [(outlines[flow_id].flow, count) for flow_id, count in failing if flow_id in outlines]
        return Dashboard(
            flows=[_line(each) for each in list(outlines.values())[:MOST_FLOWS]],
            flows_total=len(outlines),
            recent=recent.runs,
            trends=trends,
            failing=[Failing(flow_id=flow.id, name=flow.full_name, count=count) for flow, count in there[:_FAILING]],
            running=running,
            day_total=sum(last.values()),
            day_success=last.get(Status.COMPLETE, 0),
            day_failed=last.get(Status.ERROR, 0),
        )

    async def flows(self, *, limit: int = MOST_FLOWS) -> Sequence[FlowLine]:
        """The saved flows, by namespace and name."""
        return [_line(each) for each in list((await self._outlines.all()).values())[:limit]]

    async def flow(self, flow_id: str) -> FlowLine:
        """One of them. Raises `errors.UnknownSavedFlow`."""
        found = (await self._outlines.all()).get(flow_id)
        if found is None:
            raise errors.UnknownSavedFlow(flow=flow_id)
        return _line(found)

    async def system(self) -> SystemInfo:
        """How much there is of everything; what is queued is so on this server."""
        admission = self._engine.admission
        return SystemInfo(
            database_bytes=await self._runs.size(),
            flows=len(await self._outlines.all()),
            active_runs=await self._runs.active(),
            queued_runs=self._queued(),
            max_concurrent_runs=admission.room.attempts if admission.slots.most is None else admission.slots.most,
        )

    def _queued(self) -> int:
        """How many runs wait for a slot here, of those that are there for the caller."""
        slots, live = self._engine.admission.slots, self._engine.driver.live
        if owned.shown() is None:
            return slots.waiting
        return sum(run in live and owned.sees(live[run].plan) for run in slots.queued)

    async def purge(self, *, days: int = 30) -> int:
        """
        Runs that are over and started more than so many days ago do not exist any more; returns how many that were.

        What they own is deleted soon, but for objects that runs still need which resumed them. Runs that never started
        stay. Raises `errors.Malformed` for less than a day.
        """
        if not 1 <= days <= MOST_PURGE_DAYS:
            raise errors.Malformed(reason=f"Days must be a whole number, 1 to {MOST_PURGE_DAYS}")
        return await self._engine.retention.purge_older(self._clock.now() - timedelta(days=days))

    async def _days(self, now: datetime, days: int) -> Sequence[Day]:
        first = _midnight(now) - timedelta(days=days - 1)
        counted = await self._runs.days(first)
        dates = [first.date() + timedelta(days=number) for number in range(days)]
        return [_day(each, counted.get(each, {})) for each in dates]

    # ── Searching ────────────────────────────────────────────────────────────────────────────────────────────────

    async def search(self, text: str, *, limit: int = 30) -> Sequence[Hit]:
        """
        What has the text in its name or description, in whatever case, or as its id: flows, stores, then variables.

        Raises `errors.Malformed` for no text, or a limit below 1 or above 100.
        """
        wanted = text.strip().casefold()
        if not wanted:
            raise errors.Malformed(reason="q must say what to search for")
        if not 1 <= limit <= MOST_HITS:
            raise errors.Malformed(reason=f"limit must be a whole number, 1 to {MOST_HITS}")
        outlines = await self._outlines.all()
        secrets = [info.name for info in await self._secrets.list()]
        look = partial(_found, wanted, outlines, secrets)
        return (await aside.aside(look, large=len(outlines) > MOST_FLOWS))[:limit]


def _found(wanted: str, outlines: Mapping[str, outline.Outline], secrets: Sequence[str]) -> Sequence[Hit]:
    return [
        *(_flow_hit(each.flow) for each in outlines.values() if _is_meant(each.flow, wanted)),
        *_matching(wanted, _stores(outlines)),
        *_matching(wanted, _variables(outlines, secrets)),
    ]


def _line(this: outline.Outline) -> FlowLine:
    return FlowLine(flow=this.flow, nodes=this.nodes, edges=this.edges)


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _day(date: date, counts: Mapping[Status, int]) -> Day:
    going = counts.get(Status.RUNNING, 0) + counts.get(Status.WAITING, 0)
    return Day(
        date=date,
        success=counts.get(Status.COMPLETE, 0),
        failed=counts.get(Status.ERROR, 0),
        cancelled=counts.get(Status.STOPPED, 0),
        running=going,
    )


def _flow_hit(flow: saved.SavedFlow) -> Hit:
    return Hit(kind="flow", id=flow.id, name=flow.full_name, description=flow.description, flows=(flow.id,))


def _is_meant(flow: saved.SavedFlow, wanted: str) -> bool:
    return wanted in saved.words(flow) or wanted == flow.id.casefold()


def _matching(wanted: str, hits: Iterator[Hit]) -> Iterator[Hit]:
    for hit in hits:
        if wanted in f"{hit.name}\n{hit.description}".casefold() or wanted == hit.id.casefold():
            yield hit


def _stores(outlines: Mapping[str, outline.Outline]) -> Iterator[Hit]:
    """Each store once, wherever and however often flows name it; the server's own is always there."""
    found: dict[tuple[str, str], list[str]] = {(DEFAULT_STORE, DEFAULT_STORE): []}
    for each in outlines.values():
        for store in each.stores:
            found.setdefault((store.name, store.about), []).append(each.flow.id)
    for (name, place), flows in sorted(found.items()):
        about = "the server's own store" if place == DEFAULT_STORE else place
        yield Hit(kind="store", id=f"store:{name}@{place}", name=name, description=about, flows=flows)


def _variables(outlines: Mapping[str, outline.Outline], secrets: Sequence[str]) -> Iterator[Hit]:
    """Parameters by their names, then secrets, those that are only named among them."""
    params: dict[str, list[str]] = {}
    about: dict[str, str] = {}
    named: dict[str, list[str]] = {name: [] for name in secrets}
    for each in outlines.values():
        for param in each.params:
            params.setdefault(param.name, []).append(each.flow.id)
            about.setdefault(param.name, param.about)
        for name in each.secrets:
            named.setdefault(name, []).append(each.flow.id)
    for name, flows in sorted(params.items()):
        yield Hit(kind="variable", id=f"param.{name}", name=name, description=about[name], flows=flows)
    for name, flows in sorted(named.items()):
        yield Hit(kind="variable", id=secret.label(name), name=name, flows=flows)
