"""What single containers do to the engine and to us: end at once, run out of memory, never stop talking."""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome
from pupload.client import Client
from pupload.domain.run import Failure, Status
from tests.bench import ROOM, a_bench
from tests.builders import a_definition, a_flow, a_node
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

MIB = 1 << 20


# ── F18 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(300)
async def test_f18_a_hundred_nodes_that_end_at_once_all_end(client: Client) -> None:
    """F18: over before anybody waits. A thousand, past the server, are in tests/adapters/docker (PUPLOAD_TEST_SLOW)."""
    nodes = [flows.a_node(f"n{n}", "step") for n in range(100)]
    run = await client.start(flows.an_order(nodes, [flows.a_script("step", "", Command={"Exec": ["/bin/true"]})]))
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert {(state["Status"], state["Attempt"]) for state in done["NodeState"].values()} == {("COMPLETE", 1)}


# ── F19 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

GREEDY = "dd if=/dev/zero of=/dev/null bs=2G count=1"


async def test_f19_the_main_process_out_of_memory_is_told_with_what_it_used(client: Client) -> None:
    """F19: by the kernel's count, not by the exit code."""
    done = await flows.finish(client, flows.one(f"exec {GREEDY}"))
    assert done["Status"] == "ERROR"
    assert "killed: used 512 MiB, the limit of c-nano is 512 MiB; try c-micro" in done["Error"]


async def test_f19_a_child_out_of_memory_is_a_warning_where_the_node_ends_well(client: Client) -> None:
    """F19: its result may lack something; nobody else would tell."""
    done = await flows.finish(client, flows.one(f"{GREEDY} || echo went on without it"))
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await flows.said(client, done) == ["went on without it"]
    (warning,) = [each for each in done["Warnings"] if "killed for memory" in each]
    assert warning.startswith("node step: ")


# ── F22 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def peak_memory(server: Server) -> int:
    """Of the server's process, in bytes, since its start."""
    assert server.process is not None
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def seconds(state: Json) -> float:
    """How long the node took."""
    return (datetime.fromisoformat(state["FinishedAt"]) - datetime.fromisoformat(state["StartedAt"])).total_seconds()


FLOODS = {
    "lines": "yes 'a line that is repeated without any end' | head -c 100000000; echo; echo the end",
    "one line": "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo the end",
    "binary": "head -c 50000000 /dev/urandom; echo; printf 'the end'",
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("script", FLOODS.values(), ids=FLOODS)
async def test_f22_a_flood_costs_no_memory_and_its_end_is_kept(server: Server, client: Client, script: str) -> None:
    """F22: 100 MB in lines, in one line, in no text at all and without a newline at its end."""
    await flows.finish(client, flows.one("true"))  # whatever is loaded at first is
    before = peak_memory(server)
    done = await flows.finish(client, flows.one(script))
    assert done["Status"] == "COMPLETE", done["Error"]
    assert peak_memory(server) - before < 100 * MIB
    logs = (await client.logs(done["ID"]))["Logs"]
    assert sum(len(each["message"]) for each in logs) <= 17 * MIB
    assert [each["stream"] for each in logs[-2:]] == ["pupload", "stdout"]
    assert "longer than its limit" in logs[-2]["message"]
    assert logs[-1]["message"] == "the end"


@pytest.mark.timeout(180)
async def test_f22_a_flood_that_is_timed_out_ends_in_time(client: Client) -> None:
    """F22: two seconds, two of grace, and not the time that reading what it said would take."""
    done = await flows.finish(client, flows.one("trap '' TERM; yes 'a line of a flood'", Timeout="2s"))
    assert done["Status"] == "ERROR"
    assert "timed out" in done["Error"]
    assert seconds(done["NodeState"]["step"]) < 30, "on any machine"
    logs = (await client.logs(done["ID"]))["Logs"]
    assert [each["stream"] for each in logs[-2:]] == ["pupload", "stdout"]


# ── F23 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_f23_a_tier_with_a_gpu_is_refused_where_there_is_none(client: Client) -> None:
    """F23: before anything is stored. The machine of the tests has no card."""
    with pytest.raises(errors.Invalid) as refused:
        await client.start(flows.one("true", Tier="gn-small"))
    assert "gn-small" in str(refused.value.facts["findings"])


async def test_f23_a_gpu_that_is_gone_by_then_is_told_and_its_room_is_free_again(tmp_path: Path) -> None:
    """F23: simulated at the adapter's edge, in an engine's own words: the card was there at the submit."""
    gone = 'could not select device driver "nvidia" with capabilities: [[gpu]]'
    async with a_bench(tmp_path, room=replace(ROOM, gpus={"nvidia": 1})) as bench:
        bench.image("pupload/resize:latest", lambda order: Outcome(refused=gone if order.gpus else ""))
        definition = a_definition(tier="gn-small", max_attempts=3)
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={}, outputs={})), [definition]))
        assert run.status is Status.ERROR
        last = run.nodes["resize"].last
        assert last is not None
        assert (last.failure, last.number) == (Failure.NOT_STARTABLE, 1)
        assert "device driver" in run.error
        assert not bench.engine.admission.holders
