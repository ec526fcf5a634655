"""What a node takes has an end: processes, memory, processors, disk. Whoever else is there does not notice."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pupload.client import Client
from tests import images
from tests.system import flows
from tests.system.conftest import only_here
from tests.system.server import Server

Json = dict[str, Any]

MARK = "86399.25"
"""How long a process sleeps that must be gone, in words that no other process on the machine has."""


def marked() -> list[str]:
    """Processes of the whole machine that carry the mark."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdecimal() else b""
        except OSError:
            continue
        if MARK.encode() in command.split(b"\0"):
            found.append(entry.name)
    return found


# ── Processes ────────────────────────────────────────────────────────────────────────────────────────────────────

BOMB = "echo begun; bomb() { bomb | bomb & }; bomb; while :; do bomb; done"


async def test_f20_a_fork_bomb_hurts_nobody_else(server: Server, client: Client) -> None:
    """F20: the limit of processes holds, others work meanwhile, and it ends when it is told to."""
    run = await client.start(flows.one(BOMB))
    await flows.until_line(client, run, "begun")
    (made,) = server.containers(run=run["ID"])
    began = time.monotonic()
    other = await flows.finish(client, flows.one("echo fine"))
    assert other["Status"] == "COMPLETE", other["Error"]
    assert time.monotonic() - began < 20
    assert highest_of(made["Id"]) <= 512
    began = time.monotonic()
    await client.cancel(run["ID"])
    done = await client.wait(run["ID"])
    assert done["Status"] in ("STOPPED", "ERROR"), done  # a shell that cannot fork any more may end before
    assert time.monotonic() - began < 2 + 2 + 6  # the grace, two seconds more, and a machine that does much else


def highest_of(container: str) -> int:
    """Processes in the container, where its control group can be seen from here."""
    for place in (f"/sys/fs/cgroup/pids/docker/{container}", f"/sys/fs/cgroup/system.slice/docker-{container}.scope"):
        current = Path(place) / "pids.current"
        if current.exists():
            return int(current.read_text())
    return 0


async def test_f20_who_ignores_term_is_killed_with_all_it_left_behind(client: Client) -> None:
    """F20: TERM ignored, daemons of daemons in sessions of their own: nothing outlives the grace by two seconds."""
    script = f"""
        trap '' TERM HUP INT QUIT
        for i in 1 2 3; do setsid sh -c 'trap "" TERM HUP; (sleep {MARK} &) ; exec sleep {MARK}' & done
        echo begun
        while :; do sleep {MARK}; done
    """
    run = await client.start(flows.one(script))
    await flows.until_line(client, run, "begun")
    assert await asyncio.to_thread(marked)
    began = time.monotonic()
    await client.cancel(run["ID"])
    done = await client.wait(run["ID"])
    took = time.monotonic() - began
    assert done["Status"] == "STOPPED"
    assert 2 <= took < 2 + 2 + 4  # the grace, two seconds more, and a machine that does much else
    assert not await asyncio.to_thread(marked)


async def test_f20_what_it_leaves_running_ends_with_it(client: Client) -> None:
    """F20: a node that ends well takes its daemons with it."""
    done = await flows.finish(client, flows.one(f"setsid sh -c 'trap \"\" TERM; exec sleep {MARK}' & echo begun"))
    assert done["Status"] == "COMPLETE", done["Error"]
    assert not await asyncio.to_thread(marked)


# ── Memory and processors ────────────────────────────────────────────────────────────────────────────────────────

EATING = {
    "of its own": "tail /dev/zero",
    "in files": """
        for i in 1 2 3 4; do dd if=/dev/zero of=/tmp/$i bs=1M; dd if=/dev/zero of=/dev/shm/$i bs=1M; done
        tail /dev/zero
    """,
    "in pipes and children": "i=0; while [ $i -lt 40 ]; do (tail /dev/zero) & i=$((i+1)); done; wait; tail /dev/zero",
}


@pytest.mark.parametrize("script", EATING.values(), ids=EATING)
async def test_f19_memory_has_an_end_wherever_it_is(client: Client, script: str) -> None:
    """F19: what lies in /tmp and /dev/shm counts as well, and the sentence says what to do."""
    done = await flows.finish(client, flows.one(script))
    assert done["Status"] == "ERROR"
    assert done["NodeState"]["step"]["Error"] == "killed: used 512 MiB, the limit of c-nano is 512 MiB; try c-micro"


async def test_processors_are_shared_as_promised(client: Client) -> None:
    """Two busy loops on a tier of one processor get one, over two seconds of what the kernel counts."""
    usage = (
        "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null"
        " || echo $(( $(grep usage_usec /sys/fs/cgroup/cpu.stat | cut -d' ' -f2) * 1000 ))"
    )
    script = f"""
        usage() {{ {usage}; }}
        (while :; do :; done) & (while :; do :; done) & (while :; do :; done) &
        before=$(usage); began=$(cut -d' ' -f1 /proc/uptime); sleep 2
        echo $before $(usage) $began $(cut -d' ' -f1 /proc/uptime)
    """
    done = await flows.finish(client, flows.one(script))
    assert done["Status"] == "COMPLETE", done["Error"]
    before, after, began, ended = (float(word) for word in (await flows.said(client, done))[-1].split())
    assert (after - before) / 1e9 <= (ended - began) * 1.25


# ── Disk ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def frugal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets nobody make more than a thousand files."""
    with only_here(tmp_path_factory.mktemp("frugal"), PUPLOAD_OUTPUT_FILES="1000") as found:
        yield found


HOARDING = {
    "many small files": (
        "i=0; while :; do echo x > /pupload/out/$i; i=$((i+1)); done",
        "killed: made more than 1000 files in /pupload/out",
    ),
    "empty files, and it ends well": (
        "cd /pupload/out; touch $(seq 1 1500)",
        "killed: made more than 1000 files in /pupload/out",
    ),
    "directories within each other": (
        "cd /pupload/out; i=0; while [ $i -lt 300 ]; do mkdir d && cd d; i=$((i+1)); done; sleep 60",
        "killed: made directories more than 64 deep in /pupload/out",
    ),
    "behind a closed door": (
        "mkdir /pupload/out/d; chmod 700 /pupload/out/d; cd /pupload/out/d; touch $(seq 1 1500); chmod 0 .; sleep 60",
        "killed: made more than 1000 files in /pupload/out",
    ),
}


async def nothing_stays(server: Server) -> None:
    """No attempt has a directory: they go when the end has been told."""
    async with asyncio.timeout(30):
        while list((server.data / "attempts").iterdir()):  # noqa: ASYNC110 - nobody tells others
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("script", "sentence"), HOARDING.values(), ids=HOARDING)
async def test_f24_files_are_counted_while_they_are_made(frugal: Server, script: str, sentence: str) -> None:
    """F24: it is ended, charged to the node for good, and nothing of it stays."""
    async with frugal.client() as client:
        done = await flows.finish(client, flows.one(script, MaxAttempts=3))
        kinds = [event.kind async for event in client.events(done["ID"])]
    assert (done["Status"], done["NodeState"]["step"]["Error"]) == ("ERROR", sentence)
    assert kinds.count("node.started") == 1, "another attempt would do the same"
    await nothing_stays(frugal)


async def test_f24_bytes_are_counted_over_all_files(server: Server, client: Client) -> None:
    """F24: each file is below the limit of one, and all of them above the tier's storage. The disk is never filled."""
    if shutil.disk_usage(server.data).free < 30 << 30:
        pytest.skip("needs 30 GiB of disk, for some seconds")
    script = "for i in 1 2 3 4 5; do fallocate -l 4G /pupload/out/$i || exit 1; done; sleep 60"
    done = await flows.finish(client, flows.one(script))
    sentence = "killed: wrote more than 10 GiB to /pupload/out, the storage of c-nano; try c-small"
    assert (done["Status"], done["NodeState"]["step"]["Error"]) == ("ERROR", sentence)
    await nothing_stays(server)


async def test_f24_a_single_file_meets_its_own_limit_at_once(client: Client) -> None:
    """F24: also one that takes no room, which would be as large for whoever reads it."""
    done = await flows.finish(client, flows.copying("truncate -s 1024G $OUTPUT_OUT"), there=b"x")
    assert done["Status"] == "ERROR"
    assert done["NodeState"]["step"]["Error"] in (
        "wrote a file larger than the limit of 10240 MiB (c-nano); try c-small",
        "exit code 1: truncate: /pupload/out/out: truncate: File too large",
    )


async def test_f24_volumes_of_an_image_are_memory_with_an_end(own_server: Callable[..., Server]) -> None:
    """F24: a volume would be room on the engine's disk without any end."""
    image = images.with_volumes("pupload-test/volumes:1", "/data", "/var/cache/deep", "/tmp")
    server = own_server(PUPLOAD_TMP_BYTES=str(8 << 20))
    script = """
        for place in /data /var/cache/deep /tmp; do
            dd if=/dev/zero of=$place/big bs=1M count=100 2>/dev/null; stat -c %s $place/big; rm $place/big
            cp /bin/busybox $place/ls; $place/ls 2>/dev/null || echo refused
        done
    """
    async with server.client() as client:
        done = await flows.finish(client, flows.one(script, Image=image))
        assert done["Status"] == "COMPLETE", done["Error"]
        assert await flows.said(client, done) == [str(8 << 20), "refused"] * 3
    assert "volumes" not in server.left()


async def test_a_nodes_neighbours_are_out_of_its_sight(server: Server, client: Client) -> None:
    """Neither the files, nor the environment, nor the memory of another attempt can be had.

    The search looks first and counts then: a `grep` in a pipe would find its own command line now and then.
    """
    secret = f"marker{os.getpid()}"
    neighbour = flows.a_script("neighbour", "echo $FLAG_S > /pupload/out/$FLAG_S; " + flows.HOLD)
    search = """
        cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline > /pupload/out/seen 2>/dev/null
        grep -c -a "$FLAG_A$FLAG_B" /pupload/out/seen
        find / -name "$FLAG_A$FLAG_B" 2>/dev/null
        ls -d /pupload/*
    """
    nodes = [
        flows.a_node("neighbour", flags={"s": secret}),
        flows.a_node("spy", flags={"a": secret[:4], "b": secret[4:]}),
    ]
    run = await client.start(flows.an_order(nodes, [neighbour, flows.a_script("spy", search)]))
    await flows.until_line(client, run, "held", node="neighbour")
    await flows.until_event(client, run, "node.succeeded", lambda data: data["Node"] == "spy")
    await flows.let_go(server, run, node="neighbour")
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await flows.said(client, done, node="spy") == ["0", "/pupload/in", "/pupload/out"]
