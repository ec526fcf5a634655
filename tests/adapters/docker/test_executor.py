"""What only a real engine can be tried for."""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors, ports
from pupload.adapters.docker import executor, inspection, names, watching
from pupload.adapters.system import clock
from pupload.domain import run
from tests.adapters.docker import lab as labs
from tests.faults import engine_proxy

pytestmark = pytest.mark.engine

SOON = 20


async def test_containers_carry_their_labels_and_the_orders(lab: labs.Lab) -> None:
    order = lab.order("true", labels={"flow": "shrink"})
    await lab.executor.ensure_started(order)
    assert (
        lab.inspect(order)["Config"]["Labels"].items()
        >= {
            "flow": "shrink",
            "pupload.instance": lab.instance,
            "pupload.run": "run_test",
            "pupload.node": "node",
            "pupload.attempt": "1",
        }.items()
    )


async def test_the_made_container_is_what_was_ordered(lab: labs.Lab) -> None:
    order = lab.order("true")
    await lab.executor.ensure_started(order)
    found = lab.inspect(order)
    host = found["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["NetworkMode"], host["IpcMode"]) == ("none", "private")
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (32 * labs.MIB, 32 * labs.MIB, 32)
    assert {mount["Destination"]: mount["RW"] for mount in found["Mounts"]} == {
        "/pupload/in": False,
        "/pupload/out": True,
    }
    assert host["MaskedPaths"]
    assert host["ReadonlyPaths"]


async def test_commands_that_end_at_once_never_hang(lab: labs.Lab) -> None:
    assert await fast_exits(lab, 48) == {0}


@pytest.mark.skipif("PUPLOAD_TEST_SLOW" not in os.environ, reason="takes minutes; PUPLOAD_TEST_SLOW=1 runs it")
@pytest.mark.timeout(1200)
async def test_a_thousand_commands_that_end_at_once_never_hang(lab: labs.Lab) -> None:
    assert await fast_exits(lab, 1000) == {0}


async def fast_exits(lab: labs.Lab, count: int) -> set[int]:
    room = asyncio.Semaphore(8)

    async def one() -> int:
        async with room, asyncio.timeout(60):
            order = lab.order("true")
            await lab.executor.ensure_started(order)
            ended = await lab.executor.wait(order.attempt)
            await lab.executor.remove(order.attempt)
            return ended.code

    return set(await asyncio.gather(*(one() for _ in range(count))))


async def test_waiting_does_without_events(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost events only make it later."""
    monkeypatch.setattr(watching, "LOOK_AGAIN_SECONDS", 0.5)
    monkeypatch.setattr(lab.executor._events, "_take", lambda event: None)
    lab.executor._events._containers._take = lambda event: None
    order = lab.order("sleep", "0.5")
    async with asyncio.timeout(SOON):
        assert (await lab.finish(order))[0].code == 0


async def test_a_stream_of_events_that_breaks_is_taken_up_again(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "echo ready; read code < /pupload/out/gate; exit $code")
    os.mkfifo(order.outputs / "gate")
    await lab.executor.ensure_started(order)
    with tempfile.TemporaryDirectory(prefix="pupload-proxy-") as folder, engine_proxy.opened(Path(folder)) as proxy:
        other = executor.DockerExecutor(instance=lab.instance, clock=clock.SystemClock(), host=proxy.host)
        waiting = asyncio.create_task(other.wait(order.attempt))
        async for _ in other.logs(order.attempt):
            break
        assert other._events._containers.flows
        proxy.now("hangs up")
        proxy.now("works")
        await asyncio.to_thread((order.outputs / "gate").write_text, "7\n")
        async with asyncio.timeout(SOON):
            assert (await waiting).code == 7
        await other.close()


# ── Faults ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_foreign_container_of_that_name_is_not_taken_for_ours(lab: labs.Lab) -> None:
    order = lab.order("true")
    lab.engine.create_container(order.image, ["true"], name=lab.name(order))
    with pytest.raises(errors.ContainerRefused, match="another container"):
        await lab.executor.ensure_started(order)


async def test_what_was_created_and_not_started_is_started(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its maker died in between."""
    monkeypatch.setattr(executor, "_MAKERS_TURN_SECONDS", 0.1)
    order = lab.order("true")
    with monkeypatch.context() as patch:
        patch.setattr(executor.DockerExecutor, "_start", died)
        with pytest.raises(ZeroDivisionError):
            await lab.executor.ensure_started(order)
    assert [live.running for live in await lab.executor.recover()] == [False]
    ended, _ = await lab.finish(order)
    assert ended.code == 0


async def test_what_was_created_under_other_terms_is_made_anew(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its maker died in between; since then the run has changed hands, and the settings, too."""
    monkeypatch.setattr(executor, "_MAKERS_TURN_SECONDS", 0.1)
    order = lab.order("true", labels={"pupload.fence": "1"})
    with monkeypatch.context() as patch:
        patch.setattr(executor.DockerExecutor, "_start", died)
        with pytest.raises(ZeroDivisionError):
            await lab.executor.ensure_started(order)
    ended, _ = await lab.finish(replace(order, labels={"pupload.fence": "2"}, pids=order.pids + 1))
    assert ended.code == 0
    assert len(lab.left()) == 1


async def died(self: executor.DockerExecutor, name: str) -> None:
    raise ZeroDivisionError


async def test_what_nobody_ever_starts_is_lost(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(watching, "_NEVER_STARTED_SECONDS", 0.2)
    order = lab.order("true")
    lab.engine.create_container(order.image, ["true"], name=lab.name(order))
    with pytest.raises(errors.ContainerLost):
        await lab.executor.wait(order.attempt)


async def test_an_engine_that_loosens_the_order_is_refused(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    order = lab.order("true")
    real = lab.executor._containers.create

    async def loosening(name: str, settings: Mapping[str, Any]) -> None:
        """An engine with a plugin that knows better."""
        await real(name, {**settings, "HostConfig": {**settings["HostConfig"], "ReadonlyRootfs": False}})

    monkeypatch.setattr(lab.executor._containers, "create", loosening)
    with pytest.raises(errors.ContainerRefused, match="ReadonlyRootfs is False"):
        await lab.executor.ensure_started(order)
    assert lab.left() == []


async def test_a_paused_container_can_be_stopped(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "trap 'exit 143' TERM; echo ready; sleep 1000 & wait")
    await lab.executor.ensure_started(order)
    async for _ in lab.executor.logs(order.attempt):
        break
    lab.engine.pause(lab.name(order))
    async with asyncio.timeout(SOON):
        await lab.executor.stop(order.attempt, grace_seconds=SOON)
        assert (await lab.executor.wait(order.attempt)).code == 143


async def test_a_container_restarted_by_hand_is_waited_for(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "sleep 0.2; exit 4")
    assert (await lab.finish(order))[0].code == 4
    lab.engine.start(lab.name(order))
    async with asyncio.timeout(SOON):
        assert (await lab.executor.wait(order.attempt)).code == 4


async def test_inputs_that_are_not_there_are_refused(lab: labs.Lab) -> None:
    order = lab.order("true")
    order.inputs.rmdir()
    with pytest.raises(errors.ContainerRefused, match="does not exist"):
        await lab.executor.ensure_started(order)


async def test_secrets_that_the_engine_does_not_see_are_told_as_such(lab: labs.Lab, tmp_path: Path) -> None:
    """As with an engine on another machine."""
    folder = tmp_path / "secrets"
    order = lab.order("true")
    order = replace(order, secrets=folder / order.attempt.id)
    with pytest.raises(errors.SecretsUnusable, match=f"does not see {folder}.*secrets_folder"):
        await lab.another(inspection.Bounds(secrets=folder)).ensure_started(order)
    assert not lab.left()


async def test_a_node_sees_its_secrets_and_can_change_none(lab: labs.Lab, tmp_path: Path) -> None:
    order = lab.order("sh", "-c", "cat /run/secrets/KEY; rm /run/secrets/KEY || echo x > /run/secrets/KEY || echo no")
    order = replace(order, secrets=tmp_path / "secrets" / order.attempt.id)
    assert order.secrets is not None
    order.secrets.mkdir(parents=True)
    (order.secrets / "KEY").write_text("value\n")
    order.secrets.chmod(0o777)
    executor = lab.another(inspection.Bounds(secrets=tmp_path / "secrets"))
    await executor.ensure_started(order)
    assert (await executor.wait(order.attempt)).code == 0
    said = [line.message async for line in executor.logs(order.attempt) if line.stream == "stdout"]
    assert said == ["value", "no"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"user": "nobody-here"}, "uid:gid in numbers"),
        ({"cpus": 100_000.0}, "CPUs"),
        ({"gpus": 1, "gpu_vendor": "nvidia"}, "device driver"),
    ],
)
async def test_what_the_engine_cannot_do_is_refused_with_its_reason(
    lab: labs.Lab, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(errors.ContainerRefused, match=sentence):
        await lab.executor.ensure_started(lab.order("true", **changes))
    assert lab.left() == []


@pytest.mark.parametrize(
    ("program", "sentence"), [("no-such-program", "executable file not found"), ("/etc/passwd", "permission denied")]
)
async def test_a_command_that_cannot_run_is_refused_with_its_name(lab: labs.Lab, program: str, sentence: str) -> None:
    with pytest.raises(errors.ContainerRefused, match=f"{program}.*{sentence}"):
        await lab.executor.ensure_started(lab.order(program))
    assert lab.left() == []


async def test_volumes_of_the_image_go_with_the_container(lab: labs.Lab) -> None:
    order = lab.order("true")
    lab.engine.create_container_from_config(
        {
            "Image": order.image,
            "Cmd": ["true"],
            "Volumes": {"/data": {}},
            "Labels": names.Names(lab.instance).labels(order.attempt),
        },
        lab.name(order),
    )
    (mount,) = lab.inspect(order)["Mounts"]
    await lab.executor.remove(order.attempt)
    with pytest.raises(Exception, match="no such volume"):
        lab.engine.inspect_volume(mount["Name"])


async def test_two_instances_leave_each_other_alone(lab: labs.Lab) -> None:
    order = lab.order("true")
    await lab.executor.ensure_started(order)
    stranger = executor.DockerExecutor(instance=f"{lab.instance}-other", clock=clock.SystemClock())
    try:
        assert list(await stranger.recover()) == []
        await stranger.remove(order.attempt)
        with pytest.raises(errors.ContainerLost):
            await stranger.wait(order.attempt)
    finally:
        await stranger.close()
    assert len(lab.left()) == 1


# ── Logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def read(lab: labs.Lab, attempt: run.AttemptRef, *, skip: int = 0) -> list[ports.LogLine]:
    return [line async for line in lab.executor.logs(attempt, skip=skip)]


async def test_a_hundred_thousand_lines_are_all_there_and_in_order(lab: labs.Lab) -> None:
    order = lab.order("seq", "100000", memory_bytes=64 * labs.MIB)
    await lab.executor.ensure_started(order)
    live = await read(lab, order.attempt)
    assert [line.message for line in live] == [str(n + 1) for n in range(100_000)]
    assert [line.message for line in await read(lab, order.attempt, skip=99_990)] == [
        str(n) for n in range(99_991, 100_001)
    ]


async def test_lines_come_while_a_slow_reader_reads(lab: labs.Lab) -> None:
    """The engine is held back, nothing is lost and little is kept in between."""
    order = lab.order("seq", "30000")
    await lab.executor.ensure_started(order)
    count = 0
    async for _ in lab.executor.logs(order.attempt):
        count += 1
        if count % 1000 == 0:
            await asyncio.sleep(0.005)
    assert count == 30_000


async def test_a_very_long_line_comes_in_pieces(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo after")
    _, lines = await lab.finish(order)
    assert lines[-1].message == "after"
    assert max(len(line.message) for line in lines) == 16 * 1024
    assert "".join(line.message for line in lines[:-1]) == "x" * 1_000_000


async def test_binary_output_is_survived(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "head -c 100000 /dev/urandom; echo; echo after")
    _, lines = await lab.finish(order)
    assert lines[-1].message == "after"


async def test_many_logs_are_read_at_once(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.1; done")
    await lab.executor.ensure_started(order)
    found = await asyncio.gather(*(read(lab, order.attempt) for _ in range(128)))
    assert {tuple(line.message for line in lines) for lines in found} == {("1", "2", "3")}


async def test_a_silent_container_is_waited_for(lab: labs.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.executor._reading, "_idle_seconds", 0.1)
    order = lab.order("sh", "-c", "sleep 0.5; echo late")
    await lab.executor.ensure_started(order)
    assert [line.message for line in await read(lab, order.attempt)] == ["late"]


async def test_what_the_engine_keeps_of_a_flood_is_bounded(lab: labs.Lab) -> None:
    order = lab.order("seq", "200000", log_bytes=labs.MIB)
    await lab.executor.ensure_started(order)
    await lab.executor.wait(order.attempt)
    kept = await read(lab, order.attempt)
    assert kept[-1].message == "200000"
    assert sum(len(line.message) for line in kept) < labs.MIB


async def test_who_follows_a_log_is_told_of_an_end_without_a_newline(lab: labs.Lab) -> None:
    order = lab.order("sh", "-c", "echo first; read word < /pupload/out/gate; echo second; printf 'and last'")
    os.mkfifo(order.outputs / "gate", mode=0o666)
    (order.outputs / "gate").chmod(0o666)
    await lab.executor.ensure_started(order)
    reading = aiter(lab.executor.logs(order.attempt))
    told = [await anext(reading)]
    await asyncio.to_thread((order.outputs / "gate").write_text, "go\n")
    told += [line async for line in reading]
    assert [line.message for line in told] == ["first", "second", "and last"]
    for skip in range(4):
        again = [line.message async for line in lab.executor.logs(order.attempt, skip=skip)]
        assert again == ["first", "second", "and last"][skip:]
