"""Two accounts and an administrator over the whole of services: each is told of what is theirs, and of nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from pupload import errors, ports
from pupload.adapters.memory import ids
from pupload.domain import nodedef, saved
from pupload.domain.access import ANYBODY, Caller, Permission, Role
from pupload.domain.account import User
from pupload.domain.replaying import Edits
from pupload.domain.run import Run
from pupload.service import owned
from pupload.service import schedules as scheduling
from pupload.service.artifacts import Artifacts
from pupload.service.asking import asked_by
from pupload.service.backfill import Backfill
from pupload.service.callbacks import Callbacks
from pupload.service.dry_runs import DryRuns, Earlier
from pupload.service.feed import Feed
from pupload.service.flows import Draft, Flows
from pupload.service.lineage import Lineage
from pupload.service.outlines import Outlines
from pupload.service.overview import Overview
from pupload.service.projects import Projects
from pupload.service.queue import Queue
from pupload.service.results import Results
from pupload.service.schedules import Schedules
from pupload.service.secrets import Secrets
from pupload.service.tables import Tables
from pupload.service.views import Order
from tests.bench import PNG, Bench, NoCatalogue, a_bench, copies
from tests.builders import NOON, a_flow, a_node, definitions_for

ANNA = Caller(user=2, name="anna", role=Role.EDITOR)
BEN = Caller(user=3, name="ben", role=Role.EDITOR)
ROOT = Caller(user=1, name="root", role=Role.ADMIN)
PROJECT = "01563e3a-b5d3-d676-4c61-efb99302bd5b"
IMAGE = "pupload/resize:latest"
FLOW = a_flow(a_node("resize"))
CONTENT = saved.Content(flow=FLOW, definitions=definitions_for(FLOW))


@dataclass
class House:
    """All services over one bench, and what is Anna's."""

    bench: Bench
    flows: Flows
    schedules: Schedules
    overview: Overview
    lineage: Lineage
    queue: Queue
    artifacts: Artifacts
    results: Results
    tables: Tables
    callbacks: Callbacks
    backfill: Backfill
    projects: Projects
    secrets: Secrets
    dry_runs: DryRuns
    feed: Feed
    run: str = ""
    """One that has ended."""
    waiting: str = ""
    """One that waits for its upload."""
    artifact: str = ""
    flow: str = ""
    public: str = ""
    schedule: str = ""

    async def carried_out(self, who: Caller, flow: str = "shrink") -> Run:
        """A run of the caller's, ended."""
        with asked_by(who):
            run = (await self.flows.start(flow)).run
            await self.bench.upload(run, "resize-in", PNG)
            return await self.bench.ended(run)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        engine, runs = bench.engine, bench.runs
        flows = Flows(engine=engine, runs=runs)
        outlines = Outlines(engine, NoCatalogue())
        for number, name in enumerate(("root", "anna", "ben"), start=1):
            made = User(name=name, role=Role.ADMIN if number == 1 else Role.EDITOR, password="x", created_at=NOON)
            assert bench.world.accounts is not None
            assert (await bench.world.accounts.create(made)).id == number
        found = House(
            bench=bench,
            flows=flows,
            schedules=Schedules(engine=engine, flows=flows),
            overview=Overview(engine=engine, outlines=outlines),
            lineage=Lineage(engine=engine, runs=runs, flows=flows, outlines=outlines),
            queue=Queue(engine=engine, runs=runs),
            artifacts=Artifacts(engine=engine, runs=runs),
            results=Results(engine=engine, runs=runs),
            tables=Tables(engine=engine, runs=runs, scratch=tmp_path / "tables", most_bytes=1 << 20),
            callbacks=Callbacks(engine=engine, runs=runs),
            backfill=Backfill(flows=flows, ids=ids.SeededIds(7)),
            projects=Projects(flows=bench.world.flows, runs=runs),
            secrets=Secrets(secrets=bench.world.secrets, clock=bench.world.clock),
            dry_runs=DryRuns(engine=engine, runs=runs, flows=flows, scratch=tmp_path / "dry"),
            feed=Feed(bench.world.feed, runs),
        )
        with asked_by(ANNA):
            found.flow = (await flows.save("shrink", Draft(content=CONTENT))).flow.id
            found.public = (await flows.save("open", Draft(content=CONTENT, public=True))).flow.id
            found.run = (await found.carried_out(ANNA)).id
            found.artifact = (await found.artifacts.list(run_id=found.run))[0].id
            found.waiting = (await flows.start("shrink")).run.id
            draft = scheduling.Draft(flow="shrink", interval_seconds=60)
            found.schedule = (await found.schedules.create(draft)).id
            await found.secrets.put("KEY", "of Anna")
            await found.projects.put(ports.Project(id=PROJECT, flows=(FLOW,), definitions=definitions_for(FLOW)))
        yield found


Asked = Callable[[House], Awaitable[object]]


async def first(stream: Any) -> object:
    async with aclosing(stream):
        return await anext(stream, None)


OF_RUNS: dict[str, Asked] = {
    "status": lambda h: h.bench.runs.status(h.run),
    "cancel": lambda h: h.bench.runs.cancel(h.waiting),
    "purge": lambda h: h.bench.runs.purge(h.run),
    "resume": lambda h: h.bench.runs.resume(h.run, from_node="resize"),
    "replay": lambda h: h.bench.runs.replay(h.run, Edits(from_nodes=("resize",))),
    "why": lambda h: h.bench.runs.why(h.run, "resize"),
    "logs": lambda h: first(h.bench.runs.logs(h.run)),
    "events": lambda h: first(h.bench.runs.events(h.run)),
    "wait": lambda h: h.feed.wait(h.run, 1.0),
    "renew": lambda h: h.bench.uploads.renew(h.waiting, "resize-in"),
    "complete": lambda h: h.bench.uploads.complete(h.waiting, "resize-in"),
    "abort": lambda h: h.bench.uploads.abort(h.waiting, "resize-in", upload_id="a"),
    "artifacts": lambda h: h.artifacts.list(run_id=h.run),
    "lineage": lambda h: h.lineage.of_artifact(h.run, "resize-out"),
    "result": lambda h: h.results.of(h.run),
    "terminals": lambda h: h.results.terminals(h.run),
    "preview": lambda h: h.tables.preview(h.run, edge="resize-out"),
    "profile": lambda h: h.tables.profile(h.run, edge="resize-out"),
    "rows": lambda h: h.tables.row_count(h.run, edge="resize-out"),
    "callbacks": lambda h: h.callbacks.of_run(h.run),
    "send again": lambda h: h.callbacks.send_again(h.run, "cb_a"),
    "prioritize": lambda h: h.queue.prioritize(h.waiting, 7),
    "dry run on it": lambda h: h.dry_runs.run("open", inputs={"resize-in": Earlier(run=h.run, edge="resize-out")}),
}
OF_FLOWS: dict[str, Asked] = {
    "find": lambda h: h.flows.find(h.flow),
    "find by name": lambda h: h.flows.find("default/shrink"),
    "get": lambda h: h.flows.get(h.flow),
    "versions": lambda h: h.flows.versions(h.flow),
    "diff": lambda h: h.flows.diff(h.flow, 1, 1),
    "save": lambda h: h.flows.save(h.flow, Draft(content=CONTENT, description="mine now")),
    "rollback": lambda h: h.flows.rollback(h.flow, 1),
    "enable": lambda h: h.flows.enable(h.flow, enabled=False),
    "remove": lambda h: h.flows.remove(h.flow),
    "start": lambda h: h.flows.start(h.flow),
    "line": lambda h: h.overview.flow(h.flow),
    "graph": lambda h: h.lineage.graph(flow=h.flow),
    "backfill": lambda h: h.backfill.start(h.flow, "2026-01-01", "2026-01-02"),
    "dry run": lambda h: h.dry_runs.run(h.flow),
    "schedule it": lambda h: h.schedules.create(scheduling.Draft(flow=h.flow, interval_seconds=60)),
    "list its schedules": lambda h: h.schedules.list(flow=h.flow),
}
OF_SCHEDULES: dict[str, Asked] = {
    "get": lambda h: h.schedules.get(h.schedule),
    "replace": lambda h: h.schedules.replace(h.schedule, scheduling.Draft(flow="open", interval_seconds=1)),
    "pause": lambda h: h.schedules.pause(h.schedule),
    "resume": lambda h: h.schedules.resume(h.schedule),
    "remove": lambda h: h.schedules.remove(h.schedule),
    "fires": lambda h: h.schedules.fires(h.schedule),
}
OTHERS: dict[str, tuple[Asked, type[errors.PuploadError]]] = {
    "artifact": (lambda h: h.artifacts.get(h.artifact), errors.UnknownArtifact),
    "its bytes": (lambda h: h.artifacts.open(h.artifact), errors.UnknownArtifact),
    "project": (lambda h: h.projects.get(PROJECT), errors.UnknownProject),
    "project's run": (lambda h: h.projects.start(PROJECT, "photos"), errors.UnknownProject),
    "secret": (lambda h: h.secrets.remove("KEY"), errors.UnknownSecret),
}
REFUSED: dict[str, tuple[Asked, type[errors.PuploadError]]] = {
    **{f"run: {name}": (ask, errors.UnknownRun) for name, ask in OF_RUNS.items()},
    **{f"flow: {name}": (ask, errors.UnknownSavedFlow) for name, ask in OF_FLOWS.items()},
    **{f"schedule: {name}": (ask, errors.UnknownSchedule) for name, ask in OF_SCHEDULES.items()},
    **OTHERS,
}


async def test_another_account_is_told_that_there_is_no_such_thing(house: House) -> None:
    before = await looks(house)
    for what, (ask, unknown) in REFUSED.items():
        with asked_by(BEN):
            try:
                answer = await ask(house)
            except unknown:
                continue
        raise AssertionError(f"{what}: Ben was told {answer!r}")
    assert await looks(house) == before, "and nothing is otherwise"


async def looks(house: House) -> object:
    """All that there is, to tell whether anything changed."""
    runs = await house.bench.world.runs.list()
    flows = await house.bench.world.saved.list()
    return runs, flows, await house.bench.world.schedules.list(), await house.bench.world.secrets.list()


@pytest.mark.parametrize("who", [ANNA, ROOT, ANYBODY], ids=lambda who: who.name or "anybody")
async def test_the_owner_and_who_sees_everything_are_not_told_so(house: House, who: Caller) -> None:
    """Else the test above would pass for whatever is refused to everybody."""
    unknown: tuple[type[errors.PuploadError], ...] = (
        *(errors.UnknownRun, errors.UnknownSavedFlow, errors.UnknownSchedule),
        *(kind for _, kind in OTHERS.values()),
    )
    last = ("run: purge", "flow: remove", "schedule: remove", "secret")
    for what in [*(name for name in REFUSED if name not in last), *last]:
        ask, _ = REFUSED[what]
        with asked_by(who):
            try:
                await ask(house)
            except unknown as error:
                raise AssertionError(f"{what}: {error}") from error
            except errors.PuploadError:
                pass  # such as that a picture is no table


async def test_lists_hold_what_is_ones_own_and_what_is_public(house: House) -> None:
    with asked_by(BEN):
        assert (await house.bench.runs.list()).total == 0
        assert [flow.id for flow in (await house.flows.list()).flows] == [house.public]
        assert await house.flows.names([house.flow, house.public]) == {house.public: "default/open"}
        assert await house.schedules.list() == []
        assert await house.secrets.list() == []
        assert await house.artifacts.list() == []
        assert [line.flow.id for line in await house.overview.flows()] == [house.public]
        assert all(hit.id not in (house.flow, "secret.KEY") for hit in await house.overview.search("s"))
        assert (await house.overview.calendar(days=1))[0].total == 0
        board = await house.overview.dashboard()
        assert (board.flows_total, board.recent, board.running, board.day_total) == (1, [], [], 0)
        standing = house.queue.standing(most=10)
        assert (standing.running, standing.queued, standing.running_total, standing.queued_total) == ([], [], 0, 0)
    with asked_by(ANNA):
        assert (await house.bench.runs.list()).total == 2
        assert len(await house.artifacts.list()) == 1
        assert (await house.overview.calendar(days=1))[0].total == 1
        assert [info.name for info in await house.secrets.list()] == ["KEY"]
        assert {hit.name for hit in await house.overview.search("KEY")} == {"KEY"}
    with asked_by(ROOT):
        assert (await house.bench.runs.list()).total == 2
        assert (await house.flows.list()).total == 2
        assert len(await house.schedules.list()) == 1


async def test_a_graph_shows_no_flow_of_others(house: House) -> None:
    with asked_by(ROOT):
        whole = await house.lineage.graph()
    with asked_by(BEN):
        bens = await house.lineage.graph()
        assert house.flow not in repr(bens)
        assert house.public in repr(bens)
    with asked_by(ROOT):
        assert await house.lineage.graph() == whole
        assert house.flow in repr(whole)


async def test_a_follower_is_told_of_their_own_runs_alone(house: House) -> None:
    async def told(who: Caller, after: str = "") -> set[str]:
        found: set[str] = set()
        with asked_by(who):
            async with aclosing(cast(Any, house.feed.follow(after=after))) as groups:
                async for group in groups:
                    found |= {one.news.what.run for one in group.told}
                    if not group.told or group.place >= end:
                        return found
        raise AssertionError

    end = await house.bench.world.feed.end()
    bens = (await house.carried_out(BEN, "open")).id
    end = await house.bench.world.feed.end()
    assert await told(BEN, "0.0.0") <= {bens}
    assert bens in await told(ROOT, "0.0.0")
    assert bens not in await told(ANNA, "0.0.0")


async def test_a_public_flow_is_run_by_others_for_themselves_and_changed_by_none(house: House) -> None:
    run = await house.carried_out(BEN, "open")
    assert run.plan.account == BEN.user
    assert run.plan.flow_id == house.public
    with asked_by(ANNA), pytest.raises(errors.UnknownRun):
        await house.bench.runs.find(run.id)
    refused: list[Asked] = [
        lambda h: h.flows.save(h.public, Draft(content=CONTENT, description="mine now")),
        lambda h: h.flows.rollback(h.public, 1),
        lambda h: h.flows.enable(h.public, enabled=False),
        lambda h: h.flows.remove(h.public),
    ]
    for ask in refused:
        with asked_by(BEN), pytest.raises(errors.Forbidden, match="somebody else's"):
            await ask(house)
    assert (await house.flows.find(house.public)).description == ""


async def test_each_has_names_of_their_own(house: House) -> None:
    with asked_by(BEN):
        own = (await house.flows.save("open", Draft(content=CONTENT))).flow
        assert own.id != house.public
        assert (await house.flows.find("open")).id == own.id
        await house.secrets.put("KEY", "of Ben")
        await house.projects.put(ports.Project(id=PROJECT, name="of Ben"))
        assert (await house.projects.get(PROJECT)).name == "of Ben"
    with asked_by(ANNA):
        assert (await house.flows.find("open")).id == house.public
        assert (await house.projects.get(PROJECT)).name == ""
    reveal = house.bench.world.secrets.reveal
    assert [await reveal("KEY", account=who.user) for who in (ANNA, BEN, ROOT)] == ["of Anna", "of Ben", None]
    with asked_by(ROOT):
        nobodys = await house.flows.save("open", Draft(content=CONTENT, description="of Root"))
        assert nobodys.flow.account == ROOT.user


async def test_an_administrator_changes_what_was_there_before_there_were_accounts(house: House) -> None:
    old = (await house.flows.save("old", Draft(content=CONTENT))).flow
    assert old.account is None
    with asked_by(BEN), pytest.raises(errors.UnknownSavedFlow):
        await house.flows.find("old")
    with asked_by(ROOT):
        changed = (await house.flows.save("old", Draft(content=CONTENT, description="new"))).flow
    assert (changed.id, changed.account, changed.description) == (old.id, None, "new")


async def test_a_flow_names_the_secrets_of_who_runs_it(house: House) -> None:
    flag = nodedef.FlagDef(name="key")
    this = a_flow(a_node("resize", flags={"key": "${secret.KEY}"}))
    (definition,) = definitions_for(this)
    content = saved.Content(flow=this, definitions=(replace(definition, flags=(flag,)),))
    with asked_by(ANNA):
        await house.flows.save("named", Draft(content=content, public=True))
        assert (await house.flows.start("named")).run.plan.account == ANNA.user
    with asked_by(BEN), pytest.raises(errors.Invalid) as refused:
        await house.flows.start("named")
    assert ["KEY" in finding.description for finding in refused.value.findings] == [True]


async def test_an_idempotency_key_is_each_accounts_own(house: House) -> None:
    order = Order(flow=FLOW, definitions=definitions_for(FLOW))
    begun: dict[str, set[str]] = {}
    for who in (ANNA, BEN, ANNA, BEN, ROOT):
        with asked_by(who):
            begun.setdefault(who.name, set()).add((await house.bench.runs.start(order, idempotency_key="k")).run.id)
    assert [len(found) for found in begun.values()] == [1, 1, 1]
    assert len(set.union(*begun.values())) == 3


async def test_what_an_administrator_resumes_stays_its_owners(house: House) -> None:
    with asked_by(ROOT):
        again = (await house.bench.runs.resume(house.run, from_node="resize")).run
        replayed = (await house.bench.runs.replay(house.run, Edits(from_nodes=("resize",)))).run
    assert {again.plan.account, replayed.plan.account} == {ANNA.user}
    with asked_by(ANNA):
        assert (await house.bench.runs.find(again.id)).resumed_from == house.run


async def test_work_that_was_done_for_one_is_not_used_for_another(house: House) -> None:
    again = await house.carried_out(ANNA, "open")
    bens = await house.carried_out(BEN, "open")
    assert again.nodes["resize"].reused, "Anna's own was done before"
    assert not bens.nodes["resize"].reused
    with asked_by(BEN):
        why = await house.bench.runs.why(bens.id, "resize")
    assert house.run not in repr(why)
    assert (await house.carried_out(BEN, "open")).nodes["resize"].reused


async def test_a_schedule_starts_runs_for_its_owner_and_none_for_an_account_that_is_closed(house: House) -> None:
    house.schedules.start()
    try:
        await house.bench.until(lambda: house.schedules.scheduler.started > 0, step=5.0)
        with asked_by(ANNA):
            this = await house.schedules.get(house.schedule)
            assert (await house.bench.runs.find(this.last_run)).plan.account == ANNA.user
            await house.bench.runs.cancel(this.last_run)
        await changed(house, active=False)
        assert "closed" in await last_error(house)
        await changed(house, active=True, role=Role.VIEWER)
        assert "may not run flows" in await last_error(house)
        await changed(house, role=Role.EDITOR)
        assert await last_error(house) == ""
    finally:
        await house.schedules.close()


async def changed(house: House, **facts: Any) -> None:
    accounts = house.bench.world.accounts
    assert accounts is not None
    await accounts.save(replace(await accounts.get(2), **facts))


async def last_error(house: House) -> str:
    """Once a minute more has passed."""
    end = house.bench.clock.now() + timedelta(seconds=65)
    await house.bench.until(lambda: house.bench.clock.now() >= end, step=5.0)
    this = await house.schedules.get(house.schedule)
    if this.last_run:
        await house.bench.runs.cancel(this.last_run)
    return this.last_error


async def test_what_the_operator_names_is_nobodys_secret_or_an_administrators(house: House) -> None:
    kept, accounts = owned.Secrets(house.bench.world.secrets), house.bench.world.accounts
    assert await kept.reveal_to_operator("KEY", accounts) is None, "that is Anna's"
    with asked_by(ROOT):
        await house.secrets.put("KEY", "of Root")
    assert await kept.reveal_to_operator("KEY", accounts) == "of Root"
    await house.secrets.put("KEY", "from before")
    assert await kept.reveal_to_operator("KEY", accounts) == "from before"


async def test_a_caller_without_an_account_who_may_not_see_everything_sees_nothing(house: House) -> None:
    await house.flows.save("old", Draft(content=CONTENT))
    with asked_by(Caller(user=None, name="", role=Role.VIEWER, scopes=frozenset({Permission.RUNS_VIEW}))):
        assert (await house.bench.runs.list()).total == 0
        assert [flow.id for flow in (await house.flows.list()).flows] == [house.public]
