"""Waiting for ends, reading logs and removing: on a real engine, with few questions."""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.docker import cgroup, containers, firsts, reading, watching
from pupload.adapters.http import local
from pupload.domain import run
from tests.adapters.docker import lab as labs

SOON = 20

HELD = "echo ready; read word < /pupload/out/gate; "
"""What a script begins with that is to go on when `let_go` says so."""

on_engine = pytest.mark.engine


def held(lab: labs.Lab, script: str, **changes: Any) -> Any:
    order = lab.order("sh", "-c", HELD + script, **changes)
    os.mkfifo(order.outputs / "gate")
    (order.outputs / "gate").chmod(0o666)
    return order


async def until_ready(lab: labs.Lab, order: Any) -> None:
    async for line in lab.executor.logs(order.attempt):
        if line.message == "ready":
            return


async def let_go(order: Any) -> None:
    await asyncio.to_thread((order.outputs / "gate").write_text, "go\n")


# ── Ceasing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def sees_processes(lab: labs.Lab, order: Any) -> bool:
    """Whether this machine's kernel tells of the container's processes."""
    found = lab.inspect(order)
    group = cgroup.Groups().of(found["Id"], found["State"]["Pid"])
    return group is not None and cgroup.Groups().first_process(group) == found["State"]["Pid"]


@on_engine
async def test_what_has_ceased_writes_no_more_whatever_it_left_running(lab: labs.Lab) -> None:
    order = held(lab, "(while :; do echo more >> /pupload/out/all; done) & (trap '' TERM; sleep 1000) & sleep 0.1")
    await lab.executor.ensure_started(order)
    await until_ready(lab, order)
    ceasing = asyncio.create_task(lab.executor.ceased(order.attempt))
    await let_go(order)
    async with asyncio.timeout(SOON):
        await ceasing
    size = (order.outputs / "all").stat().st_size
    assert (await lab.executor.wait(order.attempt)).code == 0
    assert (order.outputs / "all").stat().st_size == size


@on_engine
async def test_the_kernel_tells_that_a_container_ceased(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that the engine might tell is heard."""
    order = held(lab, "exit 3")
    await lab.executor.ensure_started(order)
    await until_ready(lab, order)
    if not sees_processes(lab, order):
        pytest.skip("the engine's containers are not to be seen from here")
    monkeypatch.setattr(lab.executor._events._containers, "_take", lambda event: None)
    ceasing = [asyncio.create_task(lab.executor.ceased(order.attempt)) for _ in range(3)]
    async with asyncio.timeout(SOON):
        while not lab.executor._watching._firsts._there:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    await let_go(order)
    async with asyncio.timeout(watching.LOOK_AGAIN_SECONDS / 2):
        await asyncio.gather(*ceasing)
    assert not lab.executor._watching._firsts._there


@on_engine
async def test_where_the_kernel_does_not_tell_the_engine_does(lab: labs.Lab, tmp_path: Path) -> None:
    nowhere = cgroup.Groups(proc=tmp_path, root=tmp_path)
    blind = watching.Watching(lab.executor._containers, lab.executor._events, lab.executor._calls, groups=nowhere)
    order = held(lab, "exit 3")
    await lab.executor.ensure_started(order)
    await until_ready(lab, order)
    ceasing = asyncio.create_task(blind.ceased(lab.name(order)))
    await asyncio.sleep(0)
    await let_go(order)
    async with asyncio.timeout(SOON):
        await ceasing
        ended = await blind.wait(lab.name(order), order.attempt)
    assert (ended.code, ended.peak_memory_bytes) == (3, None)


@on_engine
async def test_what_has_ended_or_never_was_has_ceased(lab: labs.Lab) -> None:
    order = lab.order("true")
    await lab.finish(order)
    async with asyncio.timeout(SOON):
        await lab.executor.ceased(order.attempt)
        await lab.another().ceased(order.attempt)
        await lab.executor.ceased(run.AttemptRef(run="run_test", node="nobody", number=1))


@on_engine
async def test_who_waits_for_a_container_that_is_removed_is_told(lab: labs.Lab) -> None:
    order = held(lab, "exit 0")
    await lab.executor.ensure_started(order)
    await until_ready(lab, order)
    ceasing = asyncio.create_task(lab.executor.ceased(order.attempt))
    waiting = asyncio.create_task(lab.executor.wait(order.attempt))
    await asyncio.sleep(0)
    await lab.another().remove(order.attempt)
    async with asyncio.timeout(SOON):
        await ceasing
        with suppress(errors.ContainerLost):
            assert (await waiting).code == 137  # killed on its way out


# ── The first process ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def process(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that looks like the first of a container `there` with memory of its own."""
    with subprocess.Popen(["sleep", "1000"]) as made:
        proc, group = tmp_path / "proc" / str(made.pid), tmp_path / "cgroup/memory/docker/there"
        proc.mkdir(parents=True)
        (proc / "status").write_text(f"Name:\tsleep\nNSpid:\t{made.pid}\t1\n")
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text(f"{made.pid}\n")
        (group / "memory.max_usage_in_bytes").write_text("4096\n")
        (group / "memory.oom_control").write_text("oom_kill 0\n")
        yield made
        made.kill()


def processes_watched() -> int:
    """By this process."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found += "pidfd" in str(each.readlink())
    return found


def watched(tmp_path: Path) -> firsts.Firsts:
    return firsts.Firsts(cgroup.Groups(proc=tmp_path / "proc", root=tmp_path / "cgroup"))


async def test_the_memory_is_looked_at_when_the_process_is_gone(
    tmp_path: Path, process: "subprocess.Popen[bytes]"
) -> None:
    group = tmp_path / "cgroup/memory/docker/there"
    with watched(tmp_path).watched("there") as first:
        assert first is not None
        assert first.sure
        (group / "memory.max_usage_in_bytes").write_text("8192\n")
        (group / "memory.oom_control").write_text("oom_kill 1\n")
        process.kill()
        async with asyncio.timeout(SOON):
            await first.gone.wait()
        assert (first.memory.peak_bytes, first.memory.oom_kills) == (8192, 1)


async def test_however_many_wait_watch_one_process_and_leave_nothing_open(
    tmp_path: Path, process: "subprocess.Popen[bytes]"
) -> None:
    there = watched(tmp_path)
    with there.watched("there") as one, there.watched("there") as other:
        assert one is other
        assert processes_watched() == 1
    assert processes_watched() == 0
    assert there.watched("elsewhere").__enter__() is None


async def test_a_process_that_is_another_by_now_is_not_watched(
    tmp_path: Path, process: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    there = watched(tmp_path)
    pids = iter([process.pid, 0])
    monkeypatch.setattr(cgroup.Groups, "first_process", lambda self, group: next(pids))
    with there.watched("there") as first:
        assert first is not None
        assert not first.sure
        assert first.memory.peak_bytes == 4096


def counting(real: Callable[..., Any], asked: Counter[str]) -> Callable[..., Any]:
    """Asks, and counts the questions by method and the last word of their path."""

    def asking(*given: Any, **more: Any) -> Any:
        method, path = given[-2:]
        asked[f"{method} {path.partition('?')[0].rpartition('/')[2].partition('-')[0]}"] += 1
        return real(*given, **more)

    return asking


# ── What it costs ────────────────────────────────────────────────────────────────────────────────────────────────


@on_engine
async def test_a_container_that_ends_well_costs_five_questions(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create, look over, start, read the log, remove: none to wait, none to know that it is gone."""
    monkeypatch.setattr(reading, "_ENDS_SOON_SECONDS", SOON)
    await lab.finish(lab.order("true"))  # the streams of events flow then
    asked: Counter[str] = Counter()
    # What is short goes by connections of our own where the engine's socket is here, what streams by a session.
    for way, name in ((lab.executor._asking.session(), "request"), (local.Connections, "ask")):
        monkeypatch.setattr(way, name, counting(getattr(way, name), asked))
    order = lab.order("sh", "-c", "echo one; echo two")
    ended, lines = await lab.finish(order)
    assert (ended.code, [line.message for line in lines]) == (0, ["one", "two"])
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert ended.started_at < ended.finished_at
    await lab.executor.remove(order.attempt)
    assert asked == {"POST create": 1, "GET json": 1, "POST start": 1, "GET logs": 1, "DELETE pupload": 1}


@on_engine
async def test_a_log_is_read_only_where_something_was_said(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's own file tells, where it can be seen: to whoever may look into the engine's folder."""
    monkeypatch.setattr(reading, "_ENDS_SOON_SECONDS", SOON)
    folder = await lab.executor.data_folder()
    assert folder is not None
    await lab.finish(lab.order("true"))
    asked: list[dict[str, str]] = []
    real = reading.Reading._stream

    def stream(self: reading.Reading, name: str, **which: str) -> Any:
        asked.append(which)
        return real(self, name, **which)

    monkeypatch.setattr(reading.Reading, "_stream", stream)
    _, lines = await lab.finish(lab.order("true"))
    assert (lines, asked) == ([], [])
    _, lines = await lab.finish(lab.order("sh", "-c", "printf nothing-but-this"))
    assert ([line.message for line in lines], asked) == (["nothing-but-this"], [{}])
    lab.executor._reading.files = folder / "elsewhere"
    _, lines = await lab.finish(lab.order("true"))
    assert (lines, asked) == ([], [{}, {}])


@on_engine
async def test_who_says_nothing_for_a_while_is_not_followed(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """And who then does is, soon."""
    monkeypatch.setattr(reading, "_ENDS_SOON_SECONDS", 0.01)
    monkeypatch.setattr(reading, "_GLANCES", 100_000)
    assert await lab.executor.data_folder() is not None
    await lab.finish(lab.order("true"))
    asked: list[dict[str, str]] = []
    real = reading.Reading._stream

    def stream(self: reading.Reading, name: str, **which: str) -> Any:
        asked.append(which)
        return real(self, name, **which)

    monkeypatch.setattr(reading.Reading, "_stream", stream)
    _, lines = await lab.finish(lab.order("sleep", "0.1"))
    assert (lines, asked) == ([], [])
    # Opened again at once, the gate may still be held by who wrote the first word: then there is nothing more to read.
    again = "until read word < /pupload/out/gate; do :; done"
    order = lab.order("sh", "-c", f"read word < /pupload/out/gate; echo $word; {again}")
    os.mkfifo(order.outputs / "gate")
    (order.outputs / "gate").chmod(0o666)
    await lab.executor.ensure_started(order)
    told = lab.executor.logs(order.attempt)
    first = asyncio.ensure_future(anext(aiter(told)))
    await let_go(order)
    assert (await first).message == "go", "while it runs"
    assert asked == [{"follow": "1"}]
    await let_go(order)
    assert [line async for line in told] == []


@on_engine
async def test_a_silent_one_that_was_followed_is_not_asked_for_more(
    lab: labs.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_ENDS_SOON_SECONDS", 0.0)
    assert await lab.executor.data_folder() is not None
    await lab.finish(lab.order("true"))
    asked: list[dict[str, str]] = []
    real = reading.Reading._stream

    def stream(self: reading.Reading, name: str, **which: str) -> Any:
        asked.append(which)
        return real(self, name, **which)

    monkeypatch.setattr(reading.Reading, "_stream", stream)
    order = lab.order("sleep", "0.3")
    await lab.executor.ensure_started(order)
    assert [line async for line in lab.executor.logs(order.attempt)] == []
    assert asked == [{"follow": "1"}]


@on_engine
async def test_of_many_that_ask_for_one_image_one_asks(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "pupload-test/busybox:1"
    await lab.executor.resolve_image(name)
    lab.executor._images._fresh.clear()  # as a moment later
    asked: Counter[str] = Counter()
    monkeypatch.setattr(local.Connections, "ask", counting(local.Connections.ask, asked))
    found = await asyncio.gather(*(lab.executor.resolve_image(name) for _ in range(20)))
    assert len(set(found)) == 1
    assert asked.total() == 1


@on_engine
async def test_a_good_end_that_the_events_tell_is_the_one_that_the_engine_has(lab: labs.Lab) -> None:
    await lab.finish(lab.order("true"))
    order = lab.order("sleep", "0.2")
    await lab.executor.ensure_started(order)
    told = await lab.executor.wait(order.attempt)
    kept = await lab.another().wait(order.attempt)
    assert (told.code, told.oom, told.error, told.signalled) == (kept.code, kept.oom, kept.error, kept.signalled)
    for one, other in ((told.started_at, kept.started_at), (told.finished_at, kept.finished_at)):
        assert one is not None
        assert other is not None
        assert abs((one - other).total_seconds()) < SOON


@on_engine
async def test_a_removal_that_another_has_begun_is_waited_for(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    order = lab.order("sleep", "1000")
    await lab.executor.ensure_started(order)
    async with asyncio.timeout(SOON):
        await asyncio.gather(*(lab.executor.remove(order.attempt) for _ in range(8)))
        assert await lab.executor._containers.inspect(lab.name(order)) is None


def test_a_container_that_could_not_be_started_has_ended() -> None:
    assert containers.has_ended({"State": {"Status": "created", "Error": "no such program"}})
    assert not containers.was_started({"State": {"Status": "created", "Error": "no such program"}})
    assert not containers.has_ended({"State": {"Status": "created", "Error": ""}})
