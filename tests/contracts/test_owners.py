"""What stores promise of runs and schedules that are somebody's: lists, numbers and news of one account alone."""

from dataclasses import replace
from datetime import timedelta

from pupload import ports
from pupload.domain import plan, run, schedule
from pupload.domain.places import Place
from tests.contracts.states import NOON, Bench, a_line, a_plan, a_run, arrived, created, ended, moved, state

__all__ = ["state"]

DAY = timedelta(days=1)


async def begun(
    state: Bench, run_id: str, account: int | None, status: run.Status = run.Status.RUNNING, **more: object
) -> run.Run:
    """A run of the account that started, and has come to that since."""
    of = replace(a_plan(), account=account, provenance=plan.Provenance(flow="flow_a", version=1), **more)  # type: ignore[arg-type]
    now = await state.runs.create(created(a_run(run_id, of=of)))
    now = await state.runs.save(moved(now, "resize", run.NodeStatus.RUNNING, at=NOON), if_version=1)
    if status.terminal:
        now = await state.runs.save(ended(now, status), if_version=2)
    return now


async def test_a_run_keeps_whose_it_is(state: Bench) -> None:
    await begun(state, "run_a", 2)
    await begun(state, "run_b", None)
    await state.again()
    assert [(await state.runs.load(name)).plan.account for name in ("run_a", "run_b")] == [2, None]


async def test_lists_are_of_one_account_or_of_all(state: Bench) -> None:
    for number, account in enumerate([2, None, 10, 2]):
        await begun(state, f"run_{number}", account, run.Status.ERROR if number else run.Status.RUNNING)
    every = await state.runs.list()
    assert [(one.id, one.account) for one in every.runs] == [
        ("run_3", 2),
        ("run_2", 10),
        ("run_1", None),
        ("run_0", 2),
    ]
    seconds = await state.runs.list(account=2)
    assert ([one.id for one in seconds.runs], seconds.total) == (["run_3", "run_0"], 2)
    page = await state.runs.list(account=2, limit=1, offset=1)
    assert ([one.id for one in page.runs], page.total) == (["run_0"], 2)
    assert (await state.runs.list(account=3)) == ports.RunPage(runs=[], total=0)
    for wanted in ({"status": run.Status.ERROR}, {"flow": "shrink", "status": run.Status.ERROR}):
        found = await state.runs.list(account=2, **wanted)
        assert ([one.id for one in found.runs], found.total) == (["run_3"], 1)
    found = await state.runs.list(account=2, flow_id="flow_a", started=True)
    assert [one.id for one in found.runs] == ["run_0"]
    assert (await state.runs.list(account=2, started=False)).total == 0


async def test_numbers_are_of_one_account_or_of_all(state: Bench) -> None:
    ends = {"run_a": 2, "run_b": 10, "run_c": None, "run_d": 2}
    for name, account in ends.items():
        await begun(state, name, account, run.Status.ERROR)
        await begun(state, f"{name}_on", account)
    assert await state.runs.statuses(NOON) == {run.Status.ERROR: 4, run.Status.RUNNING: 4}
    assert await state.runs.statuses(NOON, account=2) == {run.Status.ERROR: 2, run.Status.RUNNING: 2}
    assert await state.runs.days(NOON - DAY, account=10) == {NOON.date(): {run.Status.ERROR: 1, run.Status.RUNNING: 1}}
    assert (await state.runs.failing(NOON), await state.runs.failing(NOON, account=2)) == (
        [("flow_a", 4)],
        [("flow_a", 2)],
    )
    assert await state.runs.under_way(account=2) == ["run_d_on", "run_a_on"]
    assert await state.runs.under_way(account=2, limit=1) == ["run_d_on"]
    assert (await state.runs.active(), await state.runs.active(account=2), await state.runs.active(account=3)) == (
        *(4, 2),
        0,
    )
    await state.runs.doom("run_a", NOON)
    assert await state.runs.statuses(NOON, account=2) == {run.Status.ERROR: 1, run.Status.RUNNING: 2}


async def test_of_a_family_an_account_is_told_its_own(state: Bench) -> None:
    await begun(state, "run_a", 2, run.Status.ERROR)
    for name, account in {"run_b": 2, "run_c": 10}.items():
        new = replace(a_run(name, of=replace(a_plan(), account=account)), resumed_from="run_a")
        await state.runs.create(created(new))
    assert await state.runs.kin("run_a") == ["run_b", "run_c"]
    assert await state.runs.kin("run_a", account=2) == ["run_b"]
    assert await state.runs.kin("run_b", account=10) == ["run_c"]


async def test_artifacts_are_of_one_account_or_of_all(state: Bench) -> None:
    for name, account in {"run_a": 2, "run_b": 10, "run_c": 2, "run_d": None}.items():
        now = await begun(state, name, account)
        for edge in ("photo", "small"):
            now = await state.runs.save(arrived(now, edge), if_version=now.version)
    wanted = [("run_c", "photo"), ("run_c", "small"), ("run_a", "photo"), ("run_a", "small")]
    for limit in range(1, 6):
        found: list[tuple[str, str]] = []
        while page := await state.runs.artifacts(after=found[-1] if found else None, account=2, limit=limit):
            found += [(each.run, each.edge) for each in page]
        assert found == wanted
    assert len(await state.runs.artifacts()) == 8
    assert await state.runs.artifacts(account=3) == []


async def test_news_say_whose_they_are(state: Bench) -> None:
    for name, account in {"run_a": 2, "run_b": None}.items():
        await begun(state, name, account)
        await state.journal.write_logs(name, "resize", 1, [a_line("a")])
    page = await state.feed.read(Place(), logs=True)
    assert {(news.what.run, news.account) for news in page.news} == {("run_a", 2), ("run_b", None)}
    assert sum(isinstance(news.what, ports.LogRecord) for news in page.news) == 2


async def test_schedules_are_of_one_account_or_of_all(state: Bench) -> None:
    for name, account in {"sched_a": 2, "sched_b": None, "sched_c": 10, "sched_d": 2}.items():
        flow_id = "flow_b" if name == "sched_d" else "flow_a"
        await state.schedules.put(
            schedule.Schedule(id=name, flow_id=flow_id, cron="0 6 * * *", created_at=NOON, account=account)
        )
    await state.again()
    assert [this.account for this in await state.schedules.list()] == [2, None, 10, 2]
    assert [this.id for this in await state.schedules.list(account=2)] == ["sched_a", "sched_d"]
    assert [this.id for this in await state.schedules.list(account=2, flow_id="flow_a")] == ["sched_a"]
    assert await state.schedules.list(account=2, enabled=False) == []
