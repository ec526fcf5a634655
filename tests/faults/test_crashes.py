"""The server dies, again and again, at every moment that matters; what it accepted is not lost and not done twice."""

import asyncio
import random
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pupload import errors
from pupload.client import Client
from tests import check
from tests.checker import Violation, describe
from tests.system import flows as orders
from tests.system.server import Server
from tests.torture import flows, users, verdict

Json = dict[str, Any]

DYING = str(Path(__file__).with_name("dying.py"))

POINTS = 22
"""Transactions of a run of three nodes with one retry, as a rule; those of the runs before it come in between."""


def kept_in(server: Server, *, running: bool) -> check.Where:
    """What the server left."""
    url = f"http://127.0.0.1:{server.store_port}" if running else ""
    return check.Where(data=server.data, store_url=url)


# ── F01 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def three_nodes(number: int) -> flows.Case:
    """A run of three nodes, the second of which fails once, on an upload."""
    steps = (
        flows.Step(id="n0", inputs=("up0",), outputs=("e0",), lines=3),
        flows.Step(id="n1", inputs=("e0",), outputs=("e1",), lines=2, fails=1),
        flows.Step(id="n2", inputs=("e0", "e1"), outputs=("e2",)),
    )
    return flows.made(number, steps, {"up0": flows.PNG + f"picture {number}".encode()})


@pytest.mark.timeout(900)
async def test_f01_killed_at_every_write_of_the_journal_nothing_is_lost(own_server: Callable[..., Server]) -> None:
    """F01: each run meets a death at another of its writes, before it or after it; the next server goes on."""
    server = own_server()
    server.stop()
    told, over = users.Told(), asyncio.Event()
    chance = random.Random("f01")
    async with server.client() as client:
        playing = []
        for point in range(1, POINTS + 1):
            server.program = (DYING, chance.choice(("before", "after")), str(point))
            await asyncio.to_thread(server.start)
            user = users.User(three_nodes(point), [client], told, over)
            playing.append(asyncio.create_task(user.play()))
            assert await asyncio.to_thread(server.killed_itself), f"no write {point} came"
        server.program = ("-m", "pupload")
        await asyncio.to_thread(server.start)
        await asyncio.gather(*playing)
    found = await verdict.judge(kept_in(server, running=True), told, ended=True, output=server.stderr().splitlines())
    broken = [*told.broken, *found.broken]
    assert not broken, describe(broken)
    assert found.statuses == {"COMPLETE": POINTS}


# ── F02 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

MANY, IN_EACH = 100, 10
"""Containers, and how many of them are one run's."""

COUNTING = """
i=0
while [ ! -e /pupload/out/enough ]; do i=$((i+1)); echo "line $i"; sleep 1; done
rm /pupload/out/enough
echo "$i $PUPLOAD_ATTEMPT" > "$OUTPUT_OUT"
"""

ATTACHED_SECONDS = 5.0


def counting() -> Json:
    """Nodes that count until they are told that it is enough."""
    nodes = [orders.a_node(f"n{n}", "counting", outputs={"out": f"e{n}"}) for n in range(IN_EACH)]
    return orders.an_order(nodes, [orders.a_script("counting", COUNTING)])


def containers_held(server: Server) -> int:
    """How many attempts the server has under way, by its metrics; -1 when it does not answer."""
    try:
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return -1
    (line,) = [line for line in text.splitlines() if line.startswith("pupload_containers ")]
    return int(float(line.split()[1]))


def start_and_measure(server: Server) -> tuple[float, float]:
    """Starts it. Returns the seconds until it has all attempts under way, and those of processor time it took."""
    began = time.monotonic()
    server.start()
    while containers_held(server) != MANY:
        assert time.monotonic() < began + 60, f"{containers_held(server)} are under way"
    return time.monotonic() - began, server.processor_seconds


@pytest.mark.timeout(900)
async def test_f02_a_hundred_containers_are_taken_up_again_and_none_runs_twice(
    own_server: Callable[..., Server], capsys: pytest.CaptureFixture[str]
) -> None:
    """F02: all are under way again soon after the start, none is started twice, and the logs go on."""
    server = own_server(PUPLOAD_MAX_ATTEMPTS_AT_ONCE=str(MANY))
    server.stop()
    server.program = (DYING, "--memory", str(1 << 40))
    server.start()
    async with server.client() as client:
        runs = [await client.start(counting()) for _ in range(MANY // IN_EACH)]
        await until_all_said(client, runs, 1)
        before = ids(server)
        assert len(before) == MANY
        server.kill()
        seconds, processor_seconds = await asyncio.to_thread(start_and_measure, server)
        with capsys.disabled():
            print(f"\n{MANY} containers under way again after {seconds:.1f} s ({processor_seconds:.1f} s of processor)")
        lines = {run["ID"]: await spoken(client, run) for run in runs}
        await until_all_said(client, runs, 1 + max(max(each.values()) for each in lines.values()))
        assert ids(server) == before
        for run in runs:
            for node in run["NodeState"]:
                (server.data / "attempts" / f"{run['ID']}.{node}.1" / "out" / "enough").touch()
        done = [await client.wait(run["ID"]) for run in runs]
        for run in done:
            assert run["Status"] == "COMPLETE", run["Error"]
            for node in run["NodeState"]:
                said = await orders.said(client, run, node=node)
                assert said == [f"line {number}" for number in range(1, len(said) + 1)]
    found = await broken_in(server)
    assert not found, describe(found)
    # The machine may do much else: what counts then is how much the server itself had to do.
    assert min(seconds, processor_seconds) <= ATTACHED_SECONDS


async def until_all_said(client: Client, runs: list[Json], count: int) -> None:
    """Every node of the runs has said so many lines."""
    async with asyncio.TaskGroup() as all_of_them:
        for run in runs:
            for node in run["NodeState"]:
                all_of_them.create_task(orders.until_line(client, run, f"line {count}", node=node))


async def spoken(client: Client, run: Json) -> dict[str, int]:
    """How many lines each node has said."""
    return {node: len(await orders.said(client, run, node=node)) for node in run["NodeState"]}


def ids(server: Server) -> set[str]:
    """The engine's ids of its containers, and when each was started."""
    return {each["Id"] + each["State"]["StartedAt"] for each in server.containers()}


async def broken_in(server: Server) -> list[Violation]:
    """What the checker finds wrong with what a running server leaves when all is over."""
    async with check.opened(kept_in(server, running=True)) as left:
        return await left.settled(output=server.stderr().splitlines())


# ── F05 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

AT_ONCE = 40


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after", [0.0, 0.05, 0.2])
async def test_f05_a_submit_under_way_at_sigterm_is_accepted_or_refused_whole(
    own_server: Callable[..., Server], after: float
) -> None:
    """F05: whoever got no run asks again with the same key, and there is one run for each key afterwards."""
    server = own_server()
    async with server.client() as client:
        asking = [asyncio.create_task(submit(client, f"key {number}")) for number in range(AT_ONCE)]
        await asyncio.sleep(after)  # into the middle of them: whichever moment it is, the same must hold
        await asyncio.to_thread(server.stop)
        answers = await asyncio.gather(*asking)
        server.start()
        accepted = {number: answer for number, answer in enumerate(answers) if answer is not None}
        kept = {run["ID"] for run in (await client.list(limit=1000))["Runs"]}
        assert set(accepted.values()) <= kept
        for number in range(AT_ONCE):
            run_id = await submit(client, f"key {number}")
            assert run_id is not None
            assert accepted.get(number, run_id) == run_id
        listed = await client.list(limit=1000)
        assert listed["Total"] == AT_ONCE
        await asyncio.gather(*(client.wait(run["ID"]) for run in listed["Runs"]))


async def submit(client: Client, key: str) -> str | None:
    """The run's id; None when the server did not take it, or is not there (any more)."""
    try:
        run = await client.start(orders.one("true"), idempotency_key=key)
    except (errors.TryLater, aiohttp.ClientError):
        return None
    return str(run["ID"])
