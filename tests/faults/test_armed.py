"""What is done to a server while containers wait at their gates, and while it opens one. Nothing runs twice."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

DYING = str(Path(__file__).with_name("dying.py"))

ONCE = 'echo "it runs in attempt $PUPLOAD_ATTEMPT"; cat "$INPUT_IN" > "$OUTPUT_OUT"'
SOON = 60


def waiting(server: Server, run: Json) -> list[str]:
    """The ids of the run's containers that wait: their gates are still in the place of their commands."""
    found = server.containers(run=run["ID"], armed="1")
    return [each["Id"] for each in found if each["State"]["Running"] and _is_a_gate(each["State"]["Pid"])]


def _is_a_gate(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == ".gate\n"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_armed(server: Server, run: Json, *, but: str = "") -> str:
    """The id of the container that waits for the run's first node, another than this."""
    async with asyncio.timeout(SOON):
        while not (found := [each for each in await asyncio.to_thread(waiting, server, run) if each != but]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found[0]


async def ends_well_and_ran_once(client: Client, run: Json) -> None:
    """And in its first attempt."""
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await flows.said(client, done) == ["it runs in attempt 1"]
    assert await flows.get(done, "here") == b"bytes"


async def an_armed_run(server: Server, client: Client) -> tuple[Json, str]:
    """A run whose node waits for an upload, in a container that is there already."""
    run = await client.start(flows.copying(ONCE))
    return run, await until_armed(server, run)


async def test_a_node_begins_in_the_container_that_waited_for_it(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        run = await client.start(flows.copying(f"{flows.HOLD} {ONCE}"))
        made = await until_armed(server, run)
        assert await flows.put(run, "there", b"bytes") == 200
        await flows.until_line(client, run, "held")
        (found,) = server.containers(run=run["ID"])
        assert found["Id"] == made
        await flows.let_go(server, run)
        done = await client.wait(run["ID"])
        assert (done["Status"], (await flows.said(client, done))[-1]) == ("COMPLETE", "it runs in attempt 1")


async def test_f01_killed_with_armed_containers_the_next_start_has_none_of_them(
    own_server: Callable[..., Server],
) -> None:
    """F01: their gates end with the server; none ran, and the runs that they waited for go on."""
    server = own_server()
    async with server.client() as client:
        runs = [await client.start(flows.copying(ONCE)) for _ in range(3)]
        made = [await until_armed(server, run) for run in runs]
        server.kill()
        await asyncio.to_thread(server.start)
        again = [await until_armed(server, run, but=before) for run, before in zip(runs, made, strict=True)]
        assert not set(made) & {each["Id"] for each in server.containers()}
        assert set(again) == {each["Id"] for each in server.containers()}
        assert await flows.put(runs[0], "there", b"bytes") == 200
        await ends_well_and_ran_once(client, runs[0])
        for run in runs[1:]:
            await client.cancel(run["ID"])
            assert (await client.wait(run["ID"]))["Status"] == "STOPPED"


async def test_f01_killed_and_not_started_again_no_gate_waits(own_server: Callable[..., Server]) -> None:
    """F01: what a server that never comes back leaves takes neither memory nor processes."""
    server = own_server()
    async with server.client() as client:
        run, made = await an_armed_run(server, client)
        server.kill()
        async with asyncio.timeout(SOON):
            while await asyncio.to_thread(lambda: server.containers()[0]["State"]["Running"]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        (found,) = server.containers()
        assert (found["Id"], found["State"]["ExitCode"]) == (made, 213)
        await asyncio.to_thread(server.start)
        await until_armed(server, run, but=made)
        await client.cancel(run["ID"])
        await client.wait(run["ID"])


@pytest.mark.parametrize("moment", ["before", "middle", "told", "opened"])
async def test_f01_killed_while_it_opens_the_node_runs_once(own_server: Callable[..., Server], moment: str) -> None:
    """F01: whether the gate has heard it all decides, and nothing else: it runs then, or in another container."""
    server = own_server()
    server.stop()
    server.program = (DYING, "--opening", moment)
    await asyncio.to_thread(server.start)
    async with server.client() as client:
        run, made = await an_armed_run(server, client)
        assert await flows.put(run, "there", b"bytes") == 200
        assert await asyncio.to_thread(server.killed_itself)
        marker = server.data / "attempts" / f"{run['ID']}.step.1" / "opened"
        if moment in ("before", "middle"):
            assert marker.stat().st_size == 0
        server.program = ("-m", "pupload")
        await asyncio.to_thread(server.start)
        await ends_well_and_ran_once(client, run)
    async with asyncio.timeout(SOON):  # cleared away once the end is told
        while made in {each["Id"] for each in await asyncio.to_thread(server.containers)}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_f04_frozen_with_an_armed_container_it_goes_on(own_server: Callable[..., Server]) -> None:
    """F04: a gate bears its server's standing still."""
    server = own_server()
    async with server.client() as client:
        run, made = await an_armed_run(server, client)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2)  # it stands still so long: that is the fault
        server.process.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(waiting, server, run) == [made]
        assert await flows.put(run, "there", b"bytes") == 200
        await ends_well_and_ran_once(client, run)


@pytest.mark.parametrize("what", ["killed", "removed", "paused"])
async def test_f17_what_waits_is_removed_by_hand_and_the_node_starts_plainly(
    own_server: Callable[..., Server], what: str
) -> None:
    """F17: also when it is paused, which a gate cannot answer."""
    server = own_server()
    async with server.client() as client:
        run, made = await an_armed_run(server, client)
        if what == "paused":
            server.pause_container(made)
        elif what == "removed":
            server.remove_container(made)
        else:
            server.kill_container(made)
        assert await flows.put(run, "there", b"bytes") == 200
        await ends_well_and_ran_once(client, run)


async def test_the_data_folder_may_be_deep(own_server: Callable[..., Server], tmp_path: Path) -> None:
    """The name of a socket may have a hundred letters."""
    server = Server(tmp_path / ("d" * 60) / ("e" * 60))
    server.start()
    try:
        async with server.client() as client:
            run, _ = await an_armed_run(server, client)
            assert await flows.put(run, "there", b"bytes") == 200
            await ends_well_and_ran_once(client, run)
    finally:
        assert server.stop() == 0
    assert not server.left()
