"""
Schedules that count: runs of drawings at an interval, so many, with pauses after failures, until they are done or dead.

The run that a schedule starts is its owner's. What it came to is counted once it is over (`pupload.engine.counting`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pupload import errors
from pupload.domain import counting, schedule
from pupload.domain.access import Permission
from pupload.domain.counting import Count
from pupload.domain.drawing.model import Drawing, DrawnNode
from pupload.domain.run import Run, Status
from pupload.domain.schedule import CatchUp, Schedule
from pupload.engine.counting import Counter
from pupload.engine.engine import Engine
from pupload.service import asking, behalf, owned
from pupload.service.drawings import Drawings
from pupload.service.drawn_runs import DrawnRuns
from pupload.service.schedules import Schedules

LABEL = "schedule"
"""Of a run: the schedule that started it."""

TRIGGER = "trigger_schedule"
"""The component that begins a drawing on a schedule."""

ACTIVE, PAUSED = "active", "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the schedules, the latest first."""

    schedules: Sequence[Schedule]
    total: int
    """Of all that match, not of this page."""


def status(this: Schedule) -> str:
    """`active`, `paused`, `done` or `dead`."""
    assert this.count is not None
    if this.count.over is not None:
        return this.count.over.value
    return ACTIVE if this.enabled else PAUSED


class Counted:
    """
    What can be asked about schedules that count, and what follows from their runs.

    Whatever names one raises `errors.UnknownSchedule` where there is none of the caller's.
    """

    def __init__(self, *, engine: Engine, schedules: Schedules, drawings: Drawings, drawn: DrawnRuns) -> None:
        self._engine = engine
        self._all = schedules
        self._schedules = owned.Schedules(engine)
        self._drawings = drawings
        self._drawn = drawn
        self._counter = Counter(schedules=self._schedules.everybodys, runner=self)
        schedules.scheduler.count_with(self._counter)

    async def list(self, *, status_: str = "", drawing: int | None = None, limit: int = 50, offset: int = 0) -> Page:
        """The caller's, the latest first; those with this status, of this drawing, where that is said."""
        flow_id = None if drawing is None else schedule.of_drawing(drawing)
        found = await self._schedules.list(flow_id=flow_id)
        matching = [this for this in found if this.count is not None and status_ in ("", status(this))]
        matching.sort(key=lambda this: this.id, reverse=True)
        return Page(schedules=matching[offset : offset + limit], total=len(matching))

    async def get(self, schedule_id: str) -> Schedule:
        """The schedule of this id, in whatever spelling."""
        found = await self._all.get(schedule_id)
        if found.count is None:
            raise errors.UnknownSchedule(name=schedule_id[:64])
        return found

    async def create(self, count: Mapping[str, Any], *, interval_seconds: int) -> Schedule:
        """
        A new one, whose first run comes an interval from now; `count` has fields of `Count`.

        Raises `errors.UnknownDrawing`, `errors.UnknownDrawnNode`, `errors.Malformed`.
        """
        now = self._all.scheduler.now()
        made = Count(**count, updated_at=now)
        drawing = await self._drawings.get(made.drawing)
        if made.trigger and drawing.node(made.trigger) is None:
            raise errors.UnknownDrawnNode(drawing=drawing.slug, node=made.trigger[:64])
        this = Schedule(
            id=schedule.schedule_id(self._engine.world.ids.new_run_id()),
            flow_id=schedule.of_drawing(made.drawing),
            interval_seconds=interval_seconds,
            catch_up=CatchUp.NONE,
            window_seconds=0,
            account=owned.mine(),
            created_at=now,
            base_at=now,
            count=made,
        )
        return await self._all.put_new(this)

    async def change(
        self, schedule_id: str, said: Mapping[str, Any], *, interval_seconds: int | None = None
    ) -> Schedule:
        """The schedule with these fields of `Count`; another interval is counted from now."""
        found = await self.get(schedule_id)

        def change(this: Schedule) -> Schedule:
            after = replace(this, count=self._touched(this, **said))
            return after if interval_seconds is None else self._based(after, interval_seconds)

        return await self._all.change(found, change)

    async def pause(self, schedule_id: str) -> Schedule:
        """No run is started until it is resumed. Raises `errors.Malformed` where it is not active."""
        found = await self.get(schedule_id)
        if status(found) != ACTIVE:
            raise errors.Malformed(reason=f"Cannot pause job with status '{status(found)}'.")
        return await self._all.change(found, lambda this: replace(this, enabled=False, count=self._touched(this)))

    async def resume(self, schedule_id: str) -> Schedule:
        """The next run comes an interval from now. Raises `errors.Malformed` where it is not paused."""
        found = await self.get(schedule_id)
        if status(found) != PAUSED:
            raise errors.Malformed(reason=f"Cannot resume job with status '{status(found)}'.")
        return await self._all.change(found, self._set_going)

    async def remove(self, schedule_id: str) -> None:
        """It starts no more runs; those that it started stay as they are."""
        await self._schedules.remove((await self.get(schedule_id)).id)

    async def remove_all(self, schedule_ids: Sequence[str]) -> None:
        """As `remove`, of those that the caller finds; others are passed over."""
        for schedule_id in dict.fromkeys(schedule_ids):
            try:
                await self.remove(schedule_id)
            except errors.UnknownSchedule:
                continue

    # ── Of nodes ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def of_nodes(self, drawing: Drawing) -> Mapping[str, Schedule]:
        """The caller's schedule of each node of the drawing that has one, the latest where there are more."""
        found = await self._schedules.list(flow_id=schedule.of_drawing(drawing.id))
        return {this.count.trigger: this for this in found if this.count is not None and this.count.trigger}

    async def start_node(self, slug: str, node_id: str) -> Schedule:
        """
        The node begins runs of its drawing from now on, as its `extra_config` says.

        A schedule that is paused goes on, one that is done or dead from the beginning. Raises `errors.UnknownDrawing`,
        `errors.UnknownDrawnNode`, `errors.Malformed` with the fact `unfit` for what is no interval.
        """
        drawing, node = await self._trigger(slug, node_id)
        interval, said = _of_extra(node)
        found = (await self.of_nodes(drawing)).get(node_id)
        if found is None:
            name = node.label or f"{drawing.name}: {node_id}"
            about = {"name": name, "drawing": drawing.id, "trigger": node_id}
            return await self.create({**about, **said}, interval_seconds=interval)

        def change(this: Schedule) -> Schedule:
            assert this.count is not None
            count = self._touched(this, **said)
            if status(this) == ACTIVE and interval == this.interval_seconds:
                return replace(this, count=count)
            fresh = counting.from_beginning(count) if count.over is not None else count
            return self._based(replace(this, enabled=True, count=fresh), interval)

        return await self._all.change(found, change)

    async def pause_node(self, slug: str, node_id: str) -> Schedule:
        """As `pause`. Raises `errors.NoSchedule` where the node has none, and as `start_node` does."""
        return await self.pause((await self._of_node(slug, node_id)).id)

    async def stop_node(self, slug: str, node_id: str) -> None:
        """The node's schedule is removed. Raises as `pause_node` does."""
        await self.remove((await self._of_node(slug, node_id)).id)

    async def rename(self, drawing: Drawing, node_id: str, to: str) -> None:
        """The node is called otherwise: whoever's schedules of it begin with it still."""
        for this in await self._schedules.everybodys.list(flow_id=schedule.of_drawing(drawing.id)):
            if this.count is not None and this.count.trigger == node_id:
                await self._all.change(this, lambda this: replace(this, count=self._touched(this, trigger=to)))

    async def forget(self, drawing: Drawing, node_id: str | None = None) -> None:
        """The drawing, or a node of it, is not there any more: whoever's schedules of it go, too."""
        for this in await self._schedules.everybodys.list(flow_id=schedule.of_drawing(drawing.id)):
            if this.count is not None and node_id in (None, this.count.trigger):
                try:
                    await self._schedules.everybodys.remove(this.id)
                except errors.UnknownSchedule:
                    continue

    # ── What is started, and counted ─────────────────────────────────────────────────────────────────────────────

    async def begin(self, this: Schedule, fire: datetime, *, labels: Mapping[str, str], idempotency_key: str) -> str:
        """See `engine.counting.Runner`."""
        assert this.count is not None
        owner = await behalf.of(this.account, self._engine.world.accounts)
        if not owner.may(Permission.FLOWS_RUN):
            raise errors.Forbidden(reason="the account that it would be done for may not run flows")
        with asking.asked_by(owner):
            drawing = await self._drawings.get(this.count.drawing)
            view = await self._drawn.execute(
                drawing.slug,
                trigger=this.count.trigger or _first(drawing),
                value=_told(this, this.count, fire),
                labels=labels,
                idempotency_key=idempotency_key,
                timeout_seconds=this.count.timeout_seconds,
                followed=True,
            )
        return view.run.id

    async def ended(self, run_id: str) -> str | None:
        """See `engine.counting.Runner`."""
        try:
            run = await self._engine.driver.look(run_id)
        except errors.UnknownRun:
            return "its run is not there any more"
        return _error(run) if run.status.terminal else None

    def concerns(self, run: Run) -> bool:
        """See `engine.consequences.Consequence`."""
        return LABEL in run.plan.labels

    async def see_to(self, run: Run) -> None:
        """See `engine.consequences.Consequence`."""
        if run.status.terminal:
            of, now = run.plan.labels[LABEL], self._all.scheduler.now()
            await self._counter.count(of, run.id, account=run.plan.account, error=_error(run), now=now)
            self._all.scheduler.moved()

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _trigger(self, slug: str, node_id: str) -> tuple[Drawing, DrawnNode]:
        drawing = await self._drawings.own(slug)
        node = drawing.node(node_id)
        if node is None:
            raise errors.UnknownDrawnNode(drawing=slug, node=node_id[:64])
        if node.component != TRIGGER:
            raise errors.Malformed(reason=f"Node is not a {TRIGGER}.")
        return drawing, node

    async def _of_node(self, slug: str, node_id: str) -> Schedule:
        drawing, _ = await self._trigger(slug, node_id)
        found = (await self.of_nodes(drawing)).get(node_id)
        if found is None:
            raise errors.NoSchedule(node=node_id)
        return found

    def _touched(self, this: Schedule, **said: Any) -> Count:
        assert this.count is not None
        return replace(this.count, **said, updated_at=self._all.scheduler.now())

    def _set_going(self, this: Schedule) -> Schedule:
        return self._based(replace(this, enabled=True, count=self._touched(this)), this.interval_seconds)

    def _based(self, this: Schedule, interval_seconds: int) -> Schedule:
        return replace(this, interval_seconds=interval_seconds, base_at=self._all.scheduler.now())


def _first(drawing: Drawing) -> str | None:
    """The node that begins the drawing on a schedule; None: whichever does by hand."""
    return next((node.node_id for node in drawing.nodes if node.component == TRIGGER), None)


def _told(this: Schedule, count: Count, fire: datetime) -> dict[str, Any]:
    """What the trigger is given."""
    return {
        "scheduled_job_id": schedule.uuid_of(this.id),
        "scheduled_job_name": count.name,
        "repeat_number": count.repeat + 1,
        "timestamp": fire.isoformat(),
        "payload": count.payload,
    }


def _error(run: Run) -> str:
    """Why the run failed; nothing where it succeeded."""
    match run.status:
        case Status.COMPLETE:
            return ""
        case Status.STOPPED:
            return f"run {run.id} was cancelled"
        case _:
            return run.error or f"run {run.id} failed"


def _of_extra(node: DrawnNode) -> tuple[int, dict[str, Any]]:
    """
    The interval, and fields of `Count`, that a node's `extra_config` says.

    Raises `errors.Malformed` with the fact `unfit`, all that is wrong.
    """
    extra = node.config.get("extra_config") or {}
    usual = {"interval_seconds": 300, "total_repeats": 0, "max_retries": 3, "timeout_seconds": 600}
    least = {"interval_seconds": 1, "total_repeats": 0, "max_retries": 0, "timeout_seconds": 1}
    wrong, found = [], {}
    for name, default in usual.items():
        value = extra.get(name, default)
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
        if not whole or not least[name] <= value <= schedule.MOST_SECONDS:
            wrong.append(f"extra_config.{name}: a whole number of {least[name]} or more is expected")
        else:
            found[name] = int(value)
    if wrong:
        raise errors.Malformed(reason="; ".join(wrong), unfit=tuple(wrong))
    return found["interval_seconds"], {
        "most_runs": found["total_repeats"],
        "most_retries": found["max_retries"],
        "timeout_seconds": found["timeout_seconds"],
        "payload": extra.get("trigger_payload"),
    }
