"""What every executor promises: containers that are scripts, and containers on a real engine."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from pupload import errors, ports
from pupload.adapters.memory import containers
from pupload.adapters.system import clock
from pupload.domain import run
from tests import images
from tests.adapters.docker import lab as labs

SOON = 20
"""Seconds within which a busy machine does anything small."""

# ── The same behaviour twice: as a shell line and as a script ────────────────────────────────────────────────────

QUICK = "true"
FAILING = "exit 3"
TALKING = "for n in 1 2 3; do echo line $n; done; echo alas >&2; printf 'no newline'"
COPYING = "cat /pupload/in/photo > /pupload/out/photo"
COUNTING = "echo started >> /pupload/out/starts"
SHORT = "sleep 0.3"
ENDLESS = "trap 'exit 143' TERM; echo ready; sleep 1000 & wait"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1; done"
MISSING = "/no/such/program"


def _copy(order: ports.ContainerOrder) -> containers.Outcome:
    (order.outputs / "photo").write_bytes((order.inputs / "photo").read_bytes())
    return containers.Outcome()


def _count(order: ports.ContainerOrder) -> containers.Outcome:
    with (order.outputs / "starts").open("a") as file:
        file.write("started\n")
    return containers.Outcome()


def _always(outcome: containers.Outcome) -> containers.Script:
    return lambda order: outcome


SCRIPTS: Mapping[str, containers.Script] = {
    QUICK: _always(containers.Outcome()),
    FAILING: _always(containers.Outcome(code=3)),
    TALKING: _always(
        containers.Outcome(
            said=["line 1", "line 2", "line 3", containers.Said(text="alas", stream="stderr"), "no newline"]
        )
    ),
    COPYING: _copy,
    COUNTING: _count,
    SHORT: _always(containers.Outcome(seconds=0.3)),
    ENDLESS: _always(containers.Outcome(hangs=True, said=["ready"])),
    STUBBORN: _always(containers.Outcome(hangs=True, ignores_term=True, said=["ready"])),
    MISSING: _always(containers.Outcome(refused="no such program")),
}


def _follow_script(order: ports.ContainerOrder) -> containers.Outcome:
    assert order.argv is not None
    return SCRIPTS[order.argv[-1]](order)


class World(Protocol):
    """An executor under test, and what a test may do behind its back."""

    @property
    def executor(self) -> ports.Executor: ...

    def order(self, *argv: str, **changes: Any) -> ports.ContainerOrder: ...

    def another(self) -> ports.Executor:
        """Another process's executor of the same instance."""

    def left(self) -> Any:
        """What exists; empty when nothing does."""


class MemoryWorld(labs.Orders):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, containers.image_id(images.BUSYBOX))
        self.executor = containers.MemoryExecutor(
            clock=clock.SystemClock(), images={images.BUSYBOX: _follow_script, "other:latest": _follow_script}
        )
        self.executor.arms = True

    def another(self) -> ports.Executor:
        return self.executor

    def left(self) -> Any:
        return self.executor.left


@asynccontextmanager
async def _in_memory(folder: Path) -> AsyncIterator[World]:
    world = MemoryWorld(folder)
    yield world
    for attempt in world.made:
        await world.executor.remove(attempt)
    assert not world.left()


WORLDS: Mapping[str, Callable[[Path], Any]] = {"memory": _in_memory, "docker": labs.opened}


@pytest.fixture(params=["memory", pytest.param("docker", marks=pytest.mark.engine)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with WORLDS[request.param](tmp_path) as found:
        yield found


def doing(world: World, behaviour: str) -> ports.ContainerOrder:
    if behaviour == MISSING:
        return world.order(MISSING)
    return world.order("sh", "-c", behaviour)


async def finished(world: World, behaviour: str) -> tuple[run.AttemptRef, ports.Exit]:
    order = doing(world, behaviour)
    await world.executor.ensure_started(order)
    return order.attempt, await world.executor.wait(order.attempt)


async def until_ready(world: World, attempt: run.AttemptRef) -> None:
    """Until the command itself has said that it runs."""
    async with asyncio.timeout(SOON):
        async for line in world.executor.logs(attempt):
            if line.message == "ready":
                return


# ── Starting ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_command_that_ends_well_exits_with_zero(world: World) -> None:
    _, ended = await finished(world, QUICK)
    assert (ended.code, ended.oom, ended.error) == (0, False, "")
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert ended.started_at <= ended.finished_at


async def test_a_command_that_fails_tells_its_code(world: World) -> None:
    _, ended = await finished(world, FAILING)
    assert ended.code == 3


async def test_what_lies_in_the_inputs_can_be_read_and_what_is_written_lies_in_the_outputs(world: World) -> None:
    order = doing(world, COPYING)
    (order.inputs / "photo").write_bytes(b"\x89PNG\x00")
    await world.executor.ensure_started(order)
    assert (await world.executor.wait(order.attempt)).code == 0
    assert (order.outputs / "photo").read_bytes() == b"\x89PNG\x00"


async def test_starting_again_does_nothing_also_when_it_has_ended(world: World) -> None:
    order = doing(world, COUNTING)
    await world.executor.ensure_started(order)
    await world.executor.ensure_started(order)
    await world.executor.wait(order.attempt)
    await world.executor.ensure_started(order)
    await world.executor.wait(order.attempt)
    assert (order.outputs / "starts").read_text() == "started\n"


async def test_many_starts_at_once_from_two_processes_start_one(world: World) -> None:
    order = doing(world, COUNTING)
    other = world.another()
    await asyncio.gather(*(each.ensure_started(order) for each in [world.executor, other] * 4))
    await world.executor.wait(order.attempt)
    assert (order.outputs / "starts").read_text() == "started\n"


async def test_a_program_that_is_not_there_is_refused_and_leaves_nothing(world: World) -> None:
    order = doing(world, MISSING)
    with pytest.raises(errors.ContainerRefused):
        await world.executor.ensure_started(order)
    assert not world.left()


async def test_an_image_that_is_not_there_is_missing(world: World) -> None:
    order = world.order("sh", "-c", QUICK, image="sha256:" + "0" * 64)
    with pytest.raises(errors.ImageMissing):
        await world.executor.ensure_started(order)


async def test_an_image_has_one_id_which_starts(world: World) -> None:
    found = await asyncio.gather(*(world.executor.resolve_image(images.BUSYBOX) for _ in range(3)))
    assert len(set(found)) == 1
    assert found[0].startswith("sha256:")
    await world.executor.ensure_started(world.order("sh", "-c", QUICK, image=found[0]))


# ── Arming ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def armed(world: World, behaviour: str) -> ports.ContainerOrder:
    """Its container waits, and does not know yet what for."""
    order = doing(world, behaviour)
    assert world.executor.arms
    assert await world.executor.arm(replace(order, argv=None, environment={}))
    return order


async def test_what_is_armed_does_nothing_until_it_is_let_go(world: World) -> None:
    order = await armed(world, COUNTING)
    assert list(order.outputs.iterdir()) == []
    assert {live.attempt: live.running for live in await world.another().recover()} == {order.attempt: False}
    await world.executor.ensure_started(order)
    await world.executor.ensure_started(order)
    assert (await world.executor.wait(order.attempt)).code == 0
    assert (order.outputs / "starts").read_text() == "started\n"


async def test_inputs_that_come_after_the_arming_are_there(world: World) -> None:
    order = await armed(world, COPYING)
    (order.inputs / "photo").write_bytes(b"\x89PNG\x00")
    await world.executor.ensure_started(order)
    assert (await world.executor.wait(order.attempt)).code == 0
    assert (order.outputs / "photo").read_bytes() == b"\x89PNG\x00"


async def test_what_was_armed_ends_and_talks_like_any_other(world: World) -> None:
    order = await armed(world, TALKING)
    await world.executor.ensure_started(order)
    assert len([line async for line in world.executor.logs(order.attempt)]) == 5
    failing = await armed(world, FAILING)
    await world.executor.ensure_started(failing)
    await world.executor.ceased(failing.attempt)
    assert (await world.executor.wait(failing.attempt)).code == 3
    assert {live.attempt for live in await world.executor.recover()} == {order.attempt, failing.attempt}


async def test_what_is_armed_and_cannot_be_executed_is_refused_and_leaves_nothing(world: World) -> None:
    order = await armed(world, MISSING)
    with pytest.raises(errors.ContainerRefused):
        await world.executor.ensure_started(order)
    assert not world.left()


async def test_what_is_armed_and_not_wanted_is_removed_like_any_other(world: World) -> None:
    order = await armed(world, COUNTING)
    await world.executor.remove(order.attempt)
    assert not world.left()
    assert not (order.outputs / "starts").exists()


async def test_what_is_armed_and_ordered_otherwise_then_runs_as_ordered_then(world: World) -> None:
    order = await armed(world, COUNTING)
    await world.executor.ensure_started(replace(order, labels={"pupload.fence": "2"}))
    assert (await world.executor.wait(order.attempt)).code == 0
    assert (order.outputs / "starts").read_text() == "started\n"


async def test_what_is_armed_can_be_started_by_another_and_runs_once(world: World) -> None:
    order = await armed(world, COUNTING)
    await world.another().ensure_started(order)
    await world.executor.ensure_started(order)
    assert (await world.another().wait(order.attempt)).code == 0
    assert (order.outputs / "starts").read_text() == "started\n"


# ── Waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_waiting_again_and_from_elsewhere_gives_the_same(world: World) -> None:
    attempt, ended = await finished(world, SHORT)
    assert (await world.executor.wait(attempt)).finished_at == ended.finished_at
    assert (await world.another().wait(attempt)).code == ended.code


async def test_waiting_for_a_container_that_never_was_is_lost(world: World) -> None:
    with pytest.raises(errors.ContainerLost):
        await world.executor.wait(run.AttemptRef(run="run_test", node="nobody", number=1))


async def test_a_container_removed_while_one_waits_is_lost(world: World) -> None:
    order = doing(world, ENDLESS)
    await world.executor.ensure_started(order)
    await until_ready(world, order.attempt)
    waiting = asyncio.create_task(world.executor.wait(order.attempt))
    await asyncio.sleep(0)
    await world.another().remove(order.attempt)
    async with asyncio.timeout(SOON):
        # Killed on its way out: who looks in that moment may see the end instead.
        with suppress(errors.ContainerLost):
            assert (await waiting).code == 137


async def test_many_wait_for_one(world: World) -> None:
    order = doing(world, SHORT)
    await world.executor.ensure_started(order)
    ends = await asyncio.gather(*(world.executor.wait(order.attempt) for _ in range(5)))
    assert {ended.code for ended in ends} == {0}


# ── Logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_logs_have_every_line_by_stream_in_order(world: World) -> None:
    attempt, _ = await finished(world, TALKING)
    lines = [line async for line in world.executor.logs(attempt)]
    assert [line.message for line in lines if line.stream == "stdout"] == ["line 1", "line 2", "line 3", "no newline"]
    assert [line.message for line in lines if line.stream == "stderr"] == ["alas"]
    assert all(line.at.tzinfo is not None for line in lines)


async def test_logs_begun_with_the_start_have_every_line_too(world: World) -> None:
    order = doing(world, TALKING)
    await world.executor.ensure_started(order)
    lines = [line async for line in world.executor.logs(order.attempt)]
    assert len(lines) == 5


async def test_skipping_goes_on_where_one_stopped(world: World) -> None:
    attempt, _ = await finished(world, TALKING)
    lines = [line async for line in world.executor.logs(attempt)]
    for skip in range(len(lines) + 2):
        assert [line async for line in world.executor.logs(attempt, skip=skip)] == lines[skip:]


async def test_logs_are_live_and_end_with_the_container(world: World) -> None:
    order = doing(world, ENDLESS)
    await world.executor.ensure_started(order)
    reading = aiter(world.executor.logs(order.attempt))
    async with asyncio.timeout(SOON):
        assert (await anext(reading)).message == "ready"
        await world.executor.stop(order.attempt, grace_seconds=SOON)
        assert [line async for line in reading] == []


async def test_the_last_line_comes_when_the_container_has_ended(world: World) -> None:
    attempt, _ = await finished(world, TALKING)
    last = await world.executor.last_line(attempt)
    assert last is not None
    assert last.message in ("no newline", "alas")  # on two streams, whose order is their own
    attempt, _ = await finished(world, QUICK)
    assert await world.executor.last_line(attempt) is None
    order = doing(world, ENDLESS)
    await world.executor.ensure_started(order)
    await until_ready(world, order.attempt)
    reading = asyncio.create_task(world.executor.last_line(order.attempt))
    await world.executor.stop(order.attempt, grace_seconds=SOON)
    last = await reading
    assert last is not None
    assert last.message == "ready"
    assert await world.executor.last_line(run.AttemptRef(run="run_none", node="n", number=1)) is None


async def test_logs_of_a_container_that_never_was_are_empty(world: World) -> None:
    nobody = run.AttemptRef(run="run_test", node="nobody", number=1)
    assert [line async for line in world.executor.logs(nobody)] == []


# ── Ending ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stopping_asks_first(world: World) -> None:
    order = doing(world, ENDLESS)
    await world.executor.ensure_started(order)
    await until_ready(world, order.attempt)
    async with asyncio.timeout(SOON):
        await world.executor.stop(order.attempt, grace_seconds=1000)
        assert (await world.executor.wait(order.attempt)).code == 143


async def test_what_does_not_listen_is_killed_after_the_grace(world: World) -> None:
    order = doing(world, STUBBORN)
    await world.executor.ensure_started(order)
    await until_ready(world, order.attempt)
    async with asyncio.timeout(SOON):
        await world.executor.stop(order.attempt, grace_seconds=0.2)
        assert (await world.executor.wait(order.attempt)).code == 137


async def test_stopping_what_has_ended_or_never_was_returns_at_once(world: World) -> None:
    attempt, _ = await finished(world, QUICK)
    async with asyncio.timeout(SOON):
        await world.executor.stop(attempt, grace_seconds=1000)
        await world.executor.stop(run.AttemptRef(run="run_test", node="nobody", number=1), grace_seconds=1000)


async def test_removing_kills_and_may_be_repeated(world: World) -> None:
    order = doing(world, STUBBORN)
    await world.executor.ensure_started(order)
    await asyncio.gather(world.executor.remove(order.attempt), world.another().remove(order.attempt))
    assert not world.left()
    await world.executor.remove(order.attempt)
    with pytest.raises(errors.ContainerLost):
        await world.executor.wait(order.attempt)


# ── The engine ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_recovering_lists_what_exists_running_or_not(world: World) -> None:
    ended, _ = await finished(world, QUICK)
    running = doing(world, ENDLESS)
    await world.executor.ensure_started(running)
    found = {live.attempt: live.running for live in await world.another().recover()}
    assert found == {ended: False, running.attempt: True}


async def test_another_finds_the_outputs_of_a_container_wherever_they_lie(world: World) -> None:
    order = doing(world, QUICK)
    await world.executor.ensure_started(order)
    other = world.another()
    assert await other.outputs(order.attempt) == order.outputs
    await other.wait(order.attempt)
    assert await other.outputs(order.attempt) == order.outputs
    await other.remove(order.attempt)
    assert await other.outputs(order.attempt) is None


async def test_an_engine_is_the_same_for_all_who_use_it(world: World) -> None:
    assert await world.executor.identity() == await world.another().identity() != ""


async def test_containers_outlive_the_executor(world: World) -> None:
    order = doing(world, ENDLESS)
    await world.executor.ensure_started(order)
    await world.executor.close()
    other = world.another()
    assert [live.running for live in await other.recover()] == [True]
    await other.stop(order.attempt, grace_seconds=0)


async def test_there_is_room(world: World) -> None:
    room = await world.executor.capacity()
    assert room.cpus > 0
    assert room.memory_bytes > 0
    assert room.storage_bytes > 0


async def test_the_engines_data_are_on_this_machine_or_are_not(world: World) -> None:
    folder = await world.executor.data_folder()
    assert folder is None or folder.is_dir()


async def test_the_probe_says_something(world: World) -> None:
    assert all(line.what and line.detail for line in await world.executor.probe())
