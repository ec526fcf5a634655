"""What a node writes is measured, however it hides it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pupload.adapters.memory import clock
from pupload.adapters.memory.containers import Outcome
from pupload.domain.run import Failure, Status
from pupload.engine.footprint import FEW, FIRST_PAUSE_SECONDS, Bounds, Footprint, Lookout, measure
from pupload.ports import ContainerOrder
from tests.bench import LIMITS, PNG, a_bench
from tests.builders import a_definition, a_flow, a_node, a_port

KIB = 1024
BOUNDS = Bounds(bytes=256 * KIB, files=20, tier="c-nano")
TOO_MUCH = "wrote more than 256 KiB to /pupload/out, the storage of c-nano"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_little_is_not_too_much(out: Path) -> None:
    (out / "result").write_bytes(b"x" * 100 * KIB)
    (out / "folder").mkdir()
    (out / "folder" / "more").write_bytes(b"x" * 100 * KIB)
    assert measure(out, BOUNDS) == ""


def test_many_files_together_are_too_much(out: Path) -> None:
    for number in range(10):
        (out / str(number)).write_bytes(b"x" * 30 * KIB)
    assert measure(out, BOUNDS) == TOO_MUCH


def test_files_without_bytes_are_counted(out: Path) -> None:
    for number in range(21):
        (out / str(number)).touch()
    assert measure(out, BOUNDS) == "made more than 20 files in /pupload/out"


def test_a_sparse_file_takes_what_it_takes(out: Path) -> None:
    with (out / "huge").open("wb") as file:
        file.truncate(1 << 40)
    assert measure(out, BOUNDS) == ""


def test_depth_has_an_end(out: Path) -> None:
    folder = out
    for _ in range(70):
        folder = folder / "d"
        folder.mkdir()
    bounds = Bounds(bytes=1 << 30, files=1000, tier="c-nano")
    assert measure(out, bounds) == "made directories more than 64 deep in /pupload/out"


def test_links_are_not_followed(out: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(b"x" * 400 * KIB)
    (out / "link").symlink_to(tmp_path / "elsewhere")
    (out / "large").symlink_to(tmp_path / "elsewhere" / "large")
    (out / "around").symlink_to(out)
    assert measure(out, BOUNDS) == ""


def test_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    assert measure(tmp_path / "gone", BOUNDS) == ""


@pytest.mark.parametrize("hidden", ["", "closed"])
def test_closed_directories_are_looked_into(out: Path, hidden: str) -> None:
    """As root nothing is closed; as anybody else what is ours can be opened, and what is not is too much."""
    folder = out / hidden
    folder.mkdir(exist_ok=True)
    (folder / "large").write_bytes(b"x" * 400 * KIB)
    folder.chmod(0)
    assert as_somebody(out) == TOO_MUCH


def test_what_cannot_be_looked_into_is_too_much(out: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes directories that are others'")
    folder = out / "closed"
    folder.mkdir()
    os.chown(folder, 1, 1)
    folder.chmod(0o700)
    assert as_somebody(out) == "made a directory in /pupload/out that nobody can look into"


def as_somebody(out: Path) -> str:
    """What another than root measures, to whom the folder belongs. In a process of its own, where that can be."""
    if os.geteuid() != 0:
        return measure(out, BOUNDS)
    for path in (out, *out.iterdir()):
        if path.name != "closed" or not path.stat().st_uid:
            os.chown(path, 4321, 4321)
    for path in out.parents:
        if path.stat().st_uid == 0 and path != Path("/") and "pytest" in str(path):
            path.chmod(0o755)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(4321)
        os.setuid(4321)
        os.write(writing, measure(out, BOUNDS).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_a_brief_look_sees_what_a_long_one_does(out: Path) -> None:
    (out / "large").write_bytes(b"x" * 400 * KIB)
    footprint = Footprint(clock=clock.VirtualClock(), folder=out, bounds=BOUNDS)
    assert footprint.look_briefly()
    assert footprint.too_much == TOO_MUCH


@pytest.mark.parametrize("what", ["many", "folder"])
def test_a_look_that_takes_long_is_not_brief(out: Path, what: str) -> None:
    for number in range(FEW + 1 if what == "many" else 0):
        (out / str(number)).touch()
    if what == "folder":
        (out / "folder").mkdir()
    footprint = Footprint(clock=clock.VirtualClock(), folder=out, bounds=replace(BOUNDS, files=1000))
    assert not footprint.look_briefly()
    assert footprint.too_much == ""


async def test_who_writes_too_much_is_stopped_once(out: Path) -> None:
    virtual = clock.VirtualClock()
    footprint = Footprint(clock=virtual, folder=out, bounds=BOUNDS)
    stopped = []

    async def stop() -> None:
        stopped.append(virtual.now())

    watching = asyncio.ensure_future(footprint.watch(stop))
    await virtual.run_for(60)
    assert not stopped
    (out / "large").write_bytes(b"x" * 400 * KIB)
    while not watching.done():
        await virtual.run_for(1)
        await asyncio.to_thread(int)
    assert (len(stopped), footprint.too_much) == (1, TOO_MUCH)


@pytest.mark.parametrize("ends", [True, False], ids=["ends well", "goes on"])
async def test_an_attempt_that_made_too_many_files_has_failed_for_good(tmp_path: Path, ends: bool) -> None:
    def script(order: ContainerOrder) -> Outcome:
        for number in range(20):
            (order.outputs / str(number)).touch()
        (order.outputs / "resized").write_bytes(PNG)
        return Outcome(seconds=1, hangs=not ends)

    async with a_bench(tmp_path, limits=replace(LIMITS, output_files=20)) as bench:
        definition = a_definition(outputs=[a_port("resized")])
        bench.image(definition.image, script)
        flow = a_flow(a_node(inputs={}, outputs={"resized": "small"}))
        run = await bench.ended(await bench.start(flow, [definition]), step=0.1)
        (attempt,) = run.nodes["resize"].attempts
        assert (run.status, attempt.failure) == (Status.ERROR, Failure.STORAGE)
        assert attempt.reason == "killed: made more than 20 files in /pupload/out"
        assert run.artifacts == {}


async def test_only_what_lasts_is_looked_at(out: Path) -> None:
    virtual, stopped = clock.VirtualClock(), list[str]()
    lookout = Lookout(virtual)
    (out / "large").write_bytes(b"x" * 400 * KIB)

    def stop(name: str) -> Callable[[], Awaitable[None]]:
        async def note() -> None:
            stopped.append(name)

        return note

    names = [
        lookout.begin(Footprint(clock=virtual, folder=out, bounds=BOUNDS), stop(name)) for name in ("short", "long")
    ]
    await virtual.run_for(FIRST_PAUSE_SECONDS / 2)
    await lookout.end(names[0])
    await virtual.run_for(FIRST_PAUSE_SECONDS)
    while not stopped:
        await asyncio.to_thread(int)
    assert stopped == ["long"]
    await lookout.end(names[1])
    await lookout.close()
