"""Armed containers on a real engine: as confined as plain ones, and never taken for one that ran."""

import asyncio
import gc
import hashlib
import io
import logging
import socket
import tarfile
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors, ports
from pupload.adapters.docker import arming, armory, ends, executor, gate
from pupload.adapters.system import clock
from tests import images
from tests.adapters.docker import lab as labs

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not (gate.program("amd64") or gate.program("arm64")), reason="no gate for this processor"),
]

SOON = 20

COUNTING = "echo started >> /pupload/out/starts"
ENDLESS = "trap 'exit 143' TERM; echo ready; sleep 1000 & wait"


def starts(order: ports.ContainerOrder) -> int:
    file = order.outputs / "starts"
    return len(file.read_text().splitlines()) if file.exists() else 0


def counting(lab: labs.Lab, **changes: Any) -> ports.ContainerOrder:
    return lab.order("sh", "-c", COUNTING, **changes)


async def armed(lab: labs.Lab, order: ports.ContainerOrder) -> str:
    """The order's container waits: its id."""
    assert await lab.executor.arm(order)
    return str(lab.inspect(order)["Id"])


async def ended(lab: labs.Lab, order: ports.ContainerOrder) -> dict[str, Any]:
    """The order's container as it is when it has ended."""
    async with asyncio.timeout(SOON):
        await lab.another().last_line(order.attempt)
    return lab.inspect(order)


# ── The same as a plain start ────────────────────────────────────────────────────────────────────────────────────

EVERYTHING = Path(__file__).with_name("everything.sh").read_bytes()

IMAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...] | None, dict[str, Any]]] = {
    "a command by its name": ((), ("everything", "a b", ""), {}),
    "a command by its path": ((), ("/script/everything",), {}),
    "the image's command": (('CMD ["everything", "by the image"]',), None, {}),
    "the image's command in shell form": (("CMD everything 'in a shell' $A",), None, {}),
    "an entry point with arguments": (('ENTRYPOINT ["everything", "-e"]',), ("told", "-x"), {}),
    "an entry point and a command": (('ENTRYPOINT ["everything"]', 'CMD ["both"]'), None, {}),
    "an entry point without arguments": (('ENTRYPOINT ["everything"]', 'CMD ["not this"]'), (), {}),
    "an entry point in shell form": (("ENTRYPOINT everything $A",), ("passed over",), {}),
    "an entry point set aside": (('ENTRYPOINT ["false"]', 'CMD ["b"]'), ("everything", "c"), {"entrypoint": False}),
    "an entry point and all else set aside": (
        ('ENTRYPOINT ["false"]', 'CMD ["b"]'),
        ("everything",),
        {"entrypoint": False},
    ),
    "a directory": (("WORKDIR /deep/er",), ("../../script/everything",), {}),
    "a directory that is not there": (("WORKDIR /no/such",), ("everything",), {}),
    "a home": (("ENV HOME=/somewhere",), ("everything",), {}),
    "variables that are told otherwise": (("ENV PUPLOAD_RUN_ID=x", "ENV FLAG_Z=y"), ("everything",), {}),
    "root": ((), ("everything",), {"user": "0:0"}),
    "a user of its own": (("USER 12:34",), ("everything",), {"user": "4321:1234"}),
    "a network": ((), ("everything",), {"network": "bridge"}),
    "volumes": (("VOLUME /kept",), ("everything",), {}),
}
"""What the image says, what is ordered of it, and with which settings."""


def an_image(*settings: str) -> str:
    """A busybox with the script of everything, in an image with these settings: one for each, made once."""
    script = tarfile.TarInfo("script/everything")
    script.size, script.mode = len(EVERYTHING), 0o755
    content = io.BytesIO(images.busybox_tar())
    with tarfile.open(fileobj=content, mode="a") as tar:
        tar.addfile(script, io.BytesIO(EVERYTHING))
    basis = ("ENV PATH=/nowhere:/script:/bin", "ENV A=of-the-image", "ENV EMPTY=")
    tag = hashlib.sha256("\n".join(settings).encode()).hexdigest()[:12]
    return images.make(f"pupload-test/everything:{tag}", content.getvalue(), changes=(*basis, *settings))


async def told(lab: labs.Lab, order: ports.ContainerOrder) -> list[str]:
    """All that it says, when it ends well."""
    exit_, lines = await lab.finish(order)
    assert exit_.code == 0, lines
    return [f"{line.stream} {line.message}" for line in lines]


@pytest.mark.parametrize("what", IMAGES)
async def test_a_command_finds_everything_as_after_a_plain_start(lab: labs.Lab, what: str) -> None:
    settings, argv, changes = IMAGES[what]
    image = await lab.executor.resolve_image(an_image(*settings))
    environment = {"PUPLOAD_RUN_ID": "run_1", "FLAG_Z": "a\nb=c ü", "FLAG_EMPTY": ""}
    order = replace(lab.order(), image=image, argv=argv, environment=environment, **changes)
    plain = await told(lab, order)
    ahead = replace(lab.order(), image=image, argv=argv, environment=environment, **changes)
    made = await armed(lab, replace(ahead, argv=("not", "known", "yet"), environment={"FLAG_Z": "nor this"}))
    found = await told(lab, ahead)
    assert lab.inspect(ahead)["Id"] == made
    assert found == plain
    assert len(found) > 100
    assert "gate" not in "\n".join(found)
    settled = ("HostConfig", "Config")
    same, other = ({key: lab.inspect(each)[key] for key in settled} for each in (order, ahead))
    for one in (same, other):
        for key in ("Env", "Cmd", "Entrypoint", "Labels"):
            del one["Config"][key]
        for mount in one["HostConfig"]["Mounts"]:
            mount.pop("Source", None)
    assert same == other


REFUSED = {
    "is not there": ("/no/such/program",),
    "is not in the path": ("no-such-program",),
    "is nothing": ("",),
    "is a text": ("/etc/passwd",),
    "is a directory": ("/bin",),
    "is in a format of its own": ("not-a-program",),
    "has too long an argument": ("true", "x" * 200_000),
}


async def came_to(lab: labs.Lab, order: ports.ContainerOrder) -> tuple[str, list[str]]:
    """How it ended, in words."""
    try:
        exit_, lines = await lab.finish(order)
    except errors.PuploadError as error:
        assert not [name for name in lab.left() if name.endswith(order.attempt.id)]
        return f"{type(error).__name__}: {error}", []
    return f"code {exit_.code}", [line.message for line in lines]


@pytest.mark.parametrize("what", REFUSED)
async def test_a_command_that_cannot_be_executed_is_told_in_the_same_words(lab: labs.Lab, what: str) -> None:
    plain = await came_to(lab, lab.order(*REFUSED[what]))
    ahead = lab.order(*REFUSED[what])
    assert await lab.executor.arm(ahead)
    assert await came_to(lab, ahead) == plain


async def test_an_image_without_a_command_is_refused_in_the_same_words(lab: labs.Lab) -> None:
    image = await lab.executor.resolve_image(images.make("pupload-test/bare:1", images.busybox_tar()))
    plain = await came_to(lab, replace(lab.order(), image=image))
    ahead = replace(lab.order(), image=image)
    assert await lab.executor.arm(ahead)
    assert await came_to(lab, ahead) == plain
    assert "ContainerRefused" in plain[0]


async def test_an_image_with_nothing_in_it_but_a_program_has_a_gate(lab: labs.Lab) -> None:
    program = tarfile.TarInfo("busybox")
    with tarfile.open(fileobj=io.BytesIO(images.busybox_tar())) as tar:
        found = tar.extractfile("bin/busybox")
        assert found is not None
        data = found.read()
    program.size, program.mode = len(data), 0o755
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.addfile(program, io.BytesIO(data))
    image = await lab.executor.resolve_image(images.make("pupload-test/nothing:1", content.getvalue()))
    order = lab.order("/busybox", "ls", "-A", "/", "/pupload/in", image=image)
    await armed(lab, order)
    assert "stdout busybox" in await told(lab, order)


async def test_what_a_program_does_to_itself_it_does_after_a_gate_too(lab: labs.Lab) -> None:
    """Killed for memory, and the most that it took."""
    order = lab.order("sh", "-c", "tail /dev/zero; exit 7", user="0:0")
    await armed(lab, order)
    exit_, _ = await lab.finish(order)
    assert exit_.oom
    assert exit_.peak_memory_bytes == order.memory_bytes


async def test_a_command_is_stopped_as_after_a_plain_start(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", ENDLESS)
    await armed(lab, order)
    reading = aiter(lab.executor.logs(order.attempt))
    first = asyncio.ensure_future(anext(reading))  # begun before there is anything to read
    await lab.executor.ensure_started(order)
    async with asyncio.timeout(SOON):
        assert (await first).message == "ready"
        await lab.executor.stop(order.attempt, grace_seconds=1000)
        exit_ = await lab.executor.wait(order.attempt)
        assert [line async for line in reading] == []
    assert (exit_.code, exit_.signalled) == (143, "SIGTERM")


@pytest.mark.parametrize("code", [0, 3])
async def test_a_command_began_when_its_gate_was_opened(lab: labs.Lab, code: int) -> None:
    order = lab.order("sh", "-c", f"exit {code}")
    await armed(lab, order)
    made = ends.moment(lab.inspect(order)["State"]["StartedAt"])
    await armed(lab, counting(lab))  # which takes a while
    exit_, _ = await lab.finish(order)
    assert made is not None
    assert exit_.started_at is not None
    assert exit_.finished_at is not None
    assert made < exit_.started_at <= exit_.finished_at


# ── While it waits ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_waits_has_done_nothing_and_shows_nothing(lab: labs.Lab) -> None:
    order = counting(lab)
    await armed(lab, order)
    assert lab.inspect(order)["State"]["Running"]
    assert not list(order.inputs.iterdir())
    assert not list(order.outputs.iterdir())
    assert [(live.attempt, live.running) for live in await lab.another().recover()] == [(order.attempt, False)]
    assert starts(order) == 0


async def test_arming_again_makes_no_other(lab: labs.Lab) -> None:
    order = counting(lab)
    made = await armed(lab, order)
    assert await armed(lab, order) == made
    await lab.finish(order)
    assert starts(order) == 1


async def test_what_runs_is_not_armed_and_goes_on(lab: labs.Lab) -> None:
    order = counting(lab)
    await armed(lab, order)
    await lab.executor.ensure_started(order)
    assert not await lab.executor.arm(order)
    assert not await lab.another().arm(order)
    assert (await lab.executor.wait(order.attempt)).code == 0
    await lab.another().ensure_started(order)
    assert starts(order) == 1


async def test_stopping_what_waits_takes_no_grace(lab: labs.Lab) -> None:
    order = counting(lab)
    await armed(lab, order)
    async with asyncio.timeout(SOON):
        await lab.executor.stop(order.attempt, grace_seconds=1000)
    with pytest.raises(errors.ContainerLost):
        await lab.executor.wait(order.attempt)
    assert starts(order) == 0


async def test_removing_what_waits_leaves_nothing(lab: labs.Lab) -> None:
    order = counting(lab)
    await armed(lab, order)
    await lab.executor.remove(order.attempt)
    assert not lab.left()
    assert not list(order.inputs.iterdir())
    await lab.finish(order)
    assert starts(order) == 1


async def test_arming_that_is_given_up_shows_nothing_of_itself(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "_MAKERS_TURN_SECONDS", 0.2)
    for milliseconds in (0, 3, 10, 30, 60, 100):
        order = lab.order("sh", "-c", f"{COUNTING}; ls -A /pupload/in")
        with suppress(TimeoutError):
            async with asyncio.timeout(milliseconds / 1000):
                await lab.executor.arm(order)
        exit_, lines = await lab.finish(order)
        assert (exit_.code, lines, starts(order)) == (0, [], 1)


async def test_a_gate_given_up_while_it_is_placed_is_closed_whole(
    lab: labs.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, let_go = threading.Event(), threading.Event()
    place = arming.Gate._place

    def held_up(*args: Any) -> None:
        reached.set()
        assert let_go.wait(SOON)
        place(*args)

    monkeypatch.setattr(arming.Gate, "_place", held_up)
    given_up = asyncio.create_task(lab.executor.arm(counting(lab)))
    assert await asyncio.to_thread(reached.wait, SOON)
    given_up.cancel()
    asyncio.get_running_loop().call_soon(let_go.set)
    with pytest.raises(asyncio.CancelledError):
        await given_up
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, socket.socket) and _is_of_a_gate(one)]


def _is_of_a_gate(one: socket.socket) -> bool:
    return one.fileno() >= 0 and one.family == socket.AF_UNIX and ".gate.sock" in str(one.getsockname())


async def test_an_attempt_removed_while_it_is_armed_is_no_failure_of_gates(lab: labs.Lab) -> None:
    hands, other = lab.executor._armory._hands, lab.another()

    async def removed_first(name: str) -> None:
        await other.remove(order.attempt)
        await hands.start(name)

    lab.executor._armory._hands = replace(hands, start=removed_first)
    for _ in range(armory._MOST_FAILURES):
        order = counting(lab)
        assert not await lab.executor.arm(order)
        assert not lab.left()
    lab.executor._armory._hands = hands
    await armed(lab, counting(lab))


# ── When it is not what is wanted by then ────────────────────────────────────────────────────────────────────────

OTHERWISE: dict[str, dict[str, Any]] = {
    "memory": {"memory_bytes": 48 * labs.MIB},
    "the user": {"user": "1:1"},
    "the fencing token": {"labels": {"pupload.fence": "2"}},
    "the network": {"network": "bridge"},
    "URLs": {"environment": {"INPUT_IN_URL": "http://store/?X-Amz-Signature=1"}},
}


@pytest.mark.parametrize("what", OTHERWISE)
async def test_one_that_is_ordered_otherwise_by_then_is_replaced(lab: labs.Lab, what: str) -> None:
    order = counting(lab, labels={"pupload.fence": "1"})
    made = await armed(lab, order)
    await lab.finish(replace(order, **OTHERWISE[what]))
    assert lab.inspect(order)["Id"] != made
    assert arming.ARMED not in lab.inspect(order)["Config"]["Labels"]
    assert starts(order) == 1


async def test_an_order_that_no_container_may_have_is_refused_and_leaves_nothing(lab: labs.Lab) -> None:
    order = counting(lab)
    await armed(lab, order)
    with pytest.raises(errors.ContainerRefused, match="pupload's own variables"):
        await lab.executor.ensure_started(replace(order, environment={"LD_PRELOAD": "/pupload/in/evil"}))
    assert not lab.left()


async def test_one_whose_gate_died_is_replaced(lab: labs.Lab) -> None:
    order = counting(lab)
    made = await armed(lab, order)
    lab.engine.kill(made)
    await lab.finish(order)
    assert lab.inspect(order)["Id"] != made
    assert starts(order) == 1


async def test_one_that_was_removed_behind_our_back_is_replaced(lab: labs.Lab) -> None:
    order = counting(lab)
    lab.engine.remove_container(await armed(lab, order), force=True)
    await lab.finish(order)
    assert starts(order) == 1


async def test_one_that_was_paused_is_replaced_and_does_not_run_beside(
    lab: labs.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arming, "_OPENING_SECONDS", 0.2)
    order = counting(lab)
    made = await armed(lab, order)
    lab.engine.pause(made)
    await lab.finish(order)
    assert starts(order) == 1


# ── When its controller is gone ──────────────────────────────────────────────────────────────────────────────────


async def test_when_its_controller_is_gone_it_ends_and_never_ran(lab: labs.Lab) -> None:
    order = counting(lab)
    made = await armed(lab, order)
    await lab.executor.close()
    assert (await ended(lab, order))["State"]["ExitCode"] == gate.GAVE_UP
    after = lab.another()
    assert [live.running for live in await after.recover()] == [False]
    with pytest.raises(errors.ContainerLost):
        await after.wait(order.attempt)
    await after.ceased(order.attempt)
    assert [line async for line in after.logs(order.attempt)] == []
    await after.ensure_started(order)
    assert (await after.wait(order.attempt)).code == 0
    assert lab.inspect(order)["Id"] != made
    assert starts(order) == 1


async def test_one_that_a_dead_controller_left_is_armed_anew(lab: labs.Lab) -> None:
    order = counting(lab)
    made = await armed(lab, order)
    await lab.executor.close()
    await ended(lab, order)
    after = lab.another()
    assert await after.arm(order)
    assert lab.inspect(order)["Id"] != made
    await after.ensure_started(order)
    assert (await after.wait(order.attempt)).code == 0
    assert starts(order) == 1


async def test_one_that_a_live_controller_armed_is_left_to_it(lab: labs.Lab) -> None:
    order = counting(lab)
    made = await armed(lab, order)
    assert not await lab.another().arm(order)
    await lab.finish(order)
    assert lab.inspect(order)["Id"] == made
    assert starts(order) == 1


async def test_once_opened_it_goes_on_without_its_controller(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", f"{COUNTING}; {ENDLESS}")
    made = await armed(lab, order)
    await lab.executor.ensure_started(order)
    await lab.executor.close()
    after = lab.another()
    assert [live.running for live in await after.recover()] == [True]
    await after.ensure_started(order)
    assert lab.inspect(order)["Id"] == made
    await after.stop(order.attempt, grace_seconds=SOON)
    assert (await after.wait(order.attempt)).code in (143, 137)
    assert starts(order) == 1


async def test_a_command_that_ends_like_a_gate_that_gave_up_has_run(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", f"{COUNTING}; exit {gate.GAVE_UP}")
    await armed(lab, order)
    await lab.executor.ensure_started(order)
    await ended(lab, order)
    after = lab.another()
    await after.ensure_started(order)
    assert (await after.wait(order.attempt)).code == gate.GAVE_UP
    assert starts(order) == 1


async def test_another_replaces_one_that_nobody_opens_and_who_armed_it_finds_that_running(
    lab: labs.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One controller is frozen just before it would open; the run changes hands; then it thaws."""
    monkeypatch.setattr(executor, "_MAKERS_TURN_SECONDS", 0.2)
    order = counting(lab, labels={"pupload.fence": "1"})
    made = await armed(lab, order)
    other = lab.another()
    await other.ensure_started(replace(order, labels={"pupload.fence": "2"}))
    await lab.executor.ensure_started(order)
    assert lab.inspect(order)["Id"] != made
    assert lab.inspect(order)["Config"]["Labels"]["pupload.fence"] == "2"
    assert (await lab.executor.wait(order.attempt)).code == 0
    assert starts(order) == 1


async def test_one_that_is_opened_in_the_last_moment_is_not_run_again(lab: labs.Lab) -> None:
    """It thaws between another's look at the container and the other's hand on it: the other finds that it ran."""
    order = lab.order("sh", "-c", f"{COUNTING}; {ENDLESS}")
    made = await armed(lab, order)
    other = lab.another()
    seen = lab.inspect(order)
    assert arming.never_ran(seen)
    await lab.executor.ensure_started(order)
    await asyncio.wait_for(anext(aiter(lab.executor.logs(order.attempt))), SOON)
    await other._armory.replace(seen)
    await other.ensure_started(order)
    assert lab.inspect(order)["Id"] == made
    exit_ = await other.wait(order.attempt)
    assert (exit_.code, exit_.signalled) == (137, "SIGKILL")
    assert starts(order) == 1


async def test_a_controller_that_died_while_arming_is_nobody_to_wait_for(
    lab: labs.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made and not started, with the gate in its place: neither is ever started or seen."""
    monkeypatch.setattr(executor, "_MAKERS_TURN_SECONDS", 0.2)
    order = lab.order("sh", "-c", f"{COUNTING}; ls -A /pupload/in")

    async def dies(name: str) -> None:
        for name in names:
            (order.inputs / name).rename(order.inputs / f"{name}.kept")
        raise asyncio.CancelledError

    names = (".gate", ".gate.sock")
    lab.executor._armory._hands = replace(lab.executor._armory._hands, start=dies)
    with pytest.raises(asyncio.CancelledError):
        await lab.executor.arm(order)
    for name in names:
        (order.inputs / f"{name}.kept").rename(order.inputs / name)
    assert lab.inspect(order)["State"]["Status"] == "created"
    after = lab.another()
    assert [live.running for live in await after.recover()] == [False]
    await after.ensure_started(order)
    assert (await after.wait(order.attempt)).code == 0
    assert [line async for line in after.logs(order.attempt)] == []
    assert starts(order) == 1


# ── Where no container is armed ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def deaf() -> AsyncIterator[executor.DockerExecutor]:
    """One whose engine cannot be asked anything."""
    made = executor.DockerExecutor(instance="deaf", clock=clock.SystemClock(), host="unix:///no/such/socket")
    yield made
    await made.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"secrets": Path("/run/x")},
        {"gpus": 1, "gpu_vendor": "nvidia"},
        {"devices": ("/dev/fuse",)},
        {"runtime": "runsc"},
        {"environment": {"OUTPUT_OUT_URL": "http://store/"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_what_is_given_at_the_start_is_not_armed_and_nobody_is_asked(
    lab: labs.Lab, deaf: executor.DockerExecutor, changes: dict[str, Any]
) -> None:
    assert not await deaf.arm(lab.order("true", **changes))


async def test_on_another_machines_engine_nothing_is_armed(lab: labs.Lab) -> None:
    far = executor.DockerExecutor(instance="far", clock=clock.SystemClock(), host="tcp://127.0.0.1:1")
    assert not await far.arm(lab.order("true"))
    await far.close()


async def test_an_image_for_other_processors_is_not_armed(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "program", lambda architecture: None)
    assert not await lab.executor.arm(lab.order("true"))
    assert not lab.left()


async def test_an_image_that_is_not_there_is_missing(lab: labs.Lab) -> None:
    with pytest.raises(errors.ImageMissing):
        await lab.executor.arm(lab.order("true", image="sha256:" + "0" * 64))


HOPELESS = {
    "does not reach us": (b"#!/bin/sh\nexit 213\n", 1),
    "is no program here": (b"\x7fELF, of another kind", 1),
    "never says a word": (b"#!/bin/sh\nsleep 1000\n", armory._MOST_FAILURES),
}


@pytest.mark.parametrize("what", HOPELESS)
async def test_where_a_gate_does_not_work_nodes_start_plainly_and_it_is_told_once(
    lab: labs.Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    program, times = HOPELESS[what]
    monkeypatch.setattr(gate, "program", lambda architecture: program)
    monkeypatch.setattr(armory, "_MEETING_SECONDS", 1.0)
    with caplog.at_level(logging.WARNING):
        for _ in range(times):
            order = counting(lab)
            assert not await lab.executor.arm(order)
            assert not lab.left()
            assert not list(order.inputs.iterdir())
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "no containers are armed ahead from now on, each node starts when its turn comes"
    ]
    monkeypatch.setattr(lab.executor, "_facts", None)  # nothing is looked at any more
    assert not await lab.executor.arm(counting(lab))
    monkeypatch.undo()
    order = counting(lab)
    await lab.finish(order)
    assert starts(order) == 1


async def test_a_program_that_only_the_engine_can_start_is_left_to_it(lab: labs.Lab) -> None:
    """The first of its name in the path is no program: the engine passes it over, the gate does not dare to."""
    script = tarfile.TarInfo("script/true")
    content = io.BytesIO(images.busybox_tar())
    with tarfile.open(fileobj=content, mode="a") as tar:
        script.mode = 0o644
        tar.addfile(script)
    reference = images.make("pupload-test/odd:1", content.getvalue(), changes=("ENV PATH=/script:/bin",))
    image = await lab.executor.resolve_image(reference)
    for _ in range(armory._MOST_FAILURES):
        order = lab.order("true", image=image)
        assert await lab.executor.arm(order)
        assert (await lab.finish(order))[0].code == 0
    assert not await lab.executor.arm(lab.order("true", image=image))
    await armed(lab, lab.order("true"))


def test_what_cannot_be_seen_from_here_ran_unless_its_gate_says_otherwise() -> None:
    """A controller on another machine shares the engine with the one that armed."""
    mounts = [{"Source": "/no/such/attempt/in", "Destination": "/pupload/in"}]
    labels = {"Config": {"Labels": {arming.ARMED: "1"}}}
    for code, running, expected in ((0, False, False), (gate.GAVE_UP, False, True), (gate.GAVE_UP, True, False)):
        found = {**labels, "Mounts": mounts, "State": {"ExitCode": code, "Running": running}}
        assert arming.never_ran(found) is expected


def test_settings_of_an_armed_container_differ_in_what_it_is_told_alone() -> None:
    asked = {"Image": "i", "Env": ["A=b"], "Cmd": ["c"], "Labels": {"x": "y"}, "HostConfig": {"Memory": 1}}
    found = arming.armed(asked)
    assert found["HostConfig"] == asked["HostConfig"]
    assert (found["Env"], found["Cmd"], found["Entrypoint"]) == ([], [], [arming.PLACE])
    assert found["Labels"] == {"x": "y", arming.ARMED: "1"}
