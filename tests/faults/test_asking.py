"""
Definitions that ask for too much, values and names that read as something else.

What an operator allows is refused twice: when the flow is submitted, and when a container is made, by the policy of
that day. Values of flags, one by one, are in tests/system/test_containers.py.
"""

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pupload import errors
from pupload.client import Client
from tests.system import flows
from tests.system.conftest import only_here
from tests.system.server import Server, engine

Json = dict[str, Any]

POLICY = """
Images:
  Allow: ["pupload-test/*"]
Networks: [{network}]
Tiers:
  Allow: [c-nano, c-micro]
Timeouts:
  Node: 10m
Limits:
  Nodes: 3
  Artifact: 1kb
"""


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """A network that leads nowhere, as an operator makes it for a proxy."""
    name = "pupload-test-inside"
    with closing(engine()) as client:
        for left in client.networks(names=[name]):
            client.remove_network(left["Id"])
        made = client.create_network(name, internal=True, labels={"pupload.test": "1"})
        yield name
        client.remove_network(made["Id"])


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, network: str) -> Iterator[Server]:
    """A server with a policy."""
    folder = tmp_path_factory.mktemp("strict")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.format(network=network))
    with only_here(folder, PUPLOAD_POLICY=str(policy)) as found:
        yield found


async def refused_for(server: Server, order: Json) -> list[tuple[str, str]]:
    """Codes and places of what is refused; nothing is stored."""
    async with server.client() as client:
        before = (await client.list(limit=1))["Total"]
        with pytest.raises(errors.Invalid) as caught:
            await client.start(order)
        assert (await client.list(limit=1))["Total"] == before
    return [(found.code, found.path) for found in caught.value.findings if found.is_error]


ASKING = {
    "another network": ({"Network": "bridge"}, "POLICY_002", "Network"),
    "the machine's network": ({"Network": "host"}, "NODE_018", "Network"),
    "another container's network": ({"Network": "container:other"}, "NODE_018", "Network"),
    "root": ({"User": "0:0"}, "POLICY_004", "User"),
    "root's group": ({"User": "1000:0"}, "POLICY_004", "User"),
    "capabilities": ({"Capabilities": ["SYS_ADMIN"]}, "POLICY_007", "Capabilities/0"),
    "a device": ({"Devices": ["/dev/sda"]}, "POLICY_008", "Devices/0"),
    "an image": ({"Image": "evil/image"}, "POLICY_001", "Image"),
    "an image by its id": ({"Image": "sha256:" + "1" * 12}, "POLICY_001", "Image"),
    "a large tier": ({"Tier": "c-small"}, "POLICY_005", "Tier"),
    "a long time": ({"Timeout": "11m"}, "POLICY_006", "Timeout"),
    "presigned URLs": ({"Transfer": "urls"}, "POLICY_003", "Transfer"),
}


@pytest.mark.parametrize(("fields", "code", "place"), ASKING.values(), ids=ASKING)
async def test_f41_what_the_policy_does_not_allow_is_refused_at_submit(
    strict: Server, fields: Json, code: str, place: str
) -> None:
    """F41: with a code and the place; nothing is stored, no container is made."""
    assert (code, f"/NodeDefs/0/{place}") in await refused_for(strict, flows.one("true", **fields))


async def test_f41_a_flow_with_too_many_nodes_is_refused(strict: Server) -> None:
    """F41: the policy's own limits hold where the settings' are higher."""
    order = flows.an_order([flows.a_node(f"n{i}", "step") for i in range(4)], [flows.a_script("step", "true")])
    assert ("FLOW_004", "/Flow/Nodes") in await refused_for(strict, order)


SMUGGLED: Json = {
    "Privileged": True,
    "HostConfig": {"Privileged": True, "NetworkMode": "host", "PidMode": "host", "Binds": ["/:/host"]},
    "Binds": ["/var/run/docker.sock:/var/run/docker.sock"],
    "Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}],
    "Volumes": ["/:/host"],
    "CapAdd": ["ALL"],
    "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
    "Sysctls": {"kernel.shm_rmid_forced": "1"},
    "PidMode": "host",
    "IpcMode": "host",
    "UTSMode": "host",
    "UsernsMode": "host",
    "CgroupParent": "/",
    "DeviceRequests": [{"Count": -1}],
    "Runtime": "other",
    "Env": {"LD_PRELOAD": "/x"},
    "Entrypoint": ["/bin/other"],
}


def mounts(found: Any) -> list[dict[str, Any]]:
    """What is mounted where, whatever the order in which the engine tells it; the attempt's own directory left out."""
    told = [{key: each[key] for key in each if key != "Source"} for each in found["Mounts"]]
    return sorted(told, key=lambda each: str(each["Destination"]))


async def test_f41_what_the_format_does_not_know_is_a_remark_and_never_honoured(server: Server, client: Client) -> None:
    """F41: the container is the same, field by field, as that of a definition without any of it."""
    made = []
    for fields in ({}, SMUGGLED):
        order = flows.one(flows.HOLD)
        order["NodeDefs"][0] |= fields
        order["Flow"]["Nodes"][0] |= fields
        order["Flow"] |= fields
        run = await client.start(order)
        if fields:
            for name in SMUGGLED:
                assert any(name in warning for warning in run["Warnings"]), name
        await flows.until_line(client, run, "held")
        (found,) = server.containers(run=run["ID"])
        await flows.let_go(server, run)
        assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"
        made.append(json.loads(json.dumps(found).replace(run["ID"], "RUN")))
    plain, smuggled = made
    assert smuggled["HostConfig"] == plain["HostConfig"]
    assert smuggled["Config"] == plain["Config"]
    assert mounts(smuggled) == mounts(plain)


async def test_f41_an_allowed_network_is_the_one_a_node_gets(strict: Server, network: str) -> None:
    """F41: a network that the operator made and named; an internal one leads to nothing outside."""
    script = "ls /sys/class/net; wget -T 1 -q -O - http://169.254.169.254 || echo nothing"
    async with strict.client() as client:
        done = await flows.finish(client, flows.one(script, Network=network))
        assert done["Status"] == "COMPLETE", done["Error"]
        assert await flows.said(client, done) == ["eth0", "lo", "nothing"]


async def test_f41_outputs_larger_than_allowed_are_not_stored(strict: Server) -> None:
    """F41: the policy's limit of an artifact."""
    script = "head -c 1025 /dev/zero > $OUTPUT_OUT"
    order = flows.an_order([flows.a_node("step", outputs={"out": "here"})], [flows.a_script("step", script)])
    async with strict.client() as client:
        done = await flows.finish(client, order)
    assert done["Artifacts"] == {}
    assert "it has 1025 bytes, and the operator's policy allows 1024" in done["Error"]


@pytest.mark.parametrize(
    ("today", "why"),
    [
        ("Images:\n  Deny: [pupload-test/*]\n", "it denies this image"),
        ("Types:\n  Deny: [test/*]\n", "it denies this type"),
    ],
)
async def test_f41_the_policy_of_the_day_holds_for_runs_of_yesterday(
    own_server: Callable[..., Server], tmp_path: Path, today: str, why: str
) -> None:
    """F41: a run that was accepted and waits is told no when its container would be made, and not tried again."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("")
    server = own_server(PUPLOAD_POLICY=str(policy))
    async with server.client() as client:
        run = await client.start(flows.copying(MaxAttempts=3))
        assert await asyncio.to_thread(server.stop) == 0
        policy.write_text(today)
        await asyncio.to_thread(server.start)
        assert await flows.put(run, "there", b"x") == 200
        done = await client.wait(run["ID"])
        kinds = [event.kind async for event in client.events(run["ID"])]
    assert done["Status"] == "ERROR"
    assert f"the operator's policy does not allow it ({why})" in done["Error"]
    assert kinds.count("node.admitted") == 1
    assert "node.started" not in kinds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Imagess: {}\n", "policy.yaml:1: Imagess is not known; did you mean Images?"),
        ("Images:\n  Allow: all\n", "policy.yaml:2: Images.Allow must be a list of texts"),
        ("Networks: [host]\n", "policy.yaml:1: Networks cannot allow host"),
        ("Users: [5]\n", "would run as 65534:65534, which the policy does not allow"),
        ("Images: {}\nImages: {}\n", "policy.yaml:2: the key 'Images' is given twice"),
    ],
)
def test_a_policy_with_a_mistake_keeps_the_server_from_starting(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    server = Server(tmp_path, PUPLOAD_POLICY=str(tmp_path / "policy.yaml"), PUPLOAD_NODE_USER="65534:65534")
    process = server.launch()
    assert process.wait(60) == 1
    assert process.stdout is not None
    process.stdout.close()
    assert sentence in server.stderr()


# ── Values and names ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_f39_a_value_of_a_megabyte_is_refused(server: Server) -> None:
    """F39: no argument can be as long; it is told at submit, and where."""
    order = flows.an_order([flows.a_node("step", flags={"x": "x" * (1 << 20)})], [flows.a_script("step", "")])
    status, answer = await post(server, json.dumps(order).encode())
    assert status == 400
    assert [(found["Code"], found["Path"]) for found in answer["Findings"]] == [
        ("NODE_015", "/Flow/Nodes/0/Flags/0/Value")
    ]


async def post(server: Server, body: bytes) -> tuple[int, Json]:
    """The answer to a flow of these bytes."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/api/v1/flow/test", data=io.BytesIO(body)) as answer,
    ):
        return answer.status, await answer.json()


async def test_f39_bytes_that_are_no_text_are_refused(server: Server) -> None:
    """F39: what is no UTF-8 never becomes an argument."""
    order = flows.an_order([flows.a_node("step", flags={"x": "HERE"})], [flows.a_script("step", "")])
    body = json.dumps(order).encode().replace(b"HERE", b"\xff\xfe\x80")
    status, answer = await post(server, body)
    assert status == 400
    assert "not UTF-8" in answer["error"]


@pytest.mark.parametrize("edge", ["-rf", "größe", "a b;$(id)", "x" * 128, "a.b:c", "*"])
async def test_f40_files_inside_have_the_ports_names(client: Client, edge: str) -> None:
    """F40: whatever the edge is called, a node sees the names of its definition."""
    script = "ls -A /pupload/in; cat $INPUT_IN > $OUTPUT_OUT"
    nodes = [flows.a_node("step", inputs={"in": edge}, outputs={"out": f"out {edge}"[:128]})]
    done = await flows.finish(client, flows.an_order(nodes, [flows.a_script("step", script)]), **{edge: b"text"})
    assert done["Status"] == "COMPLETE", done["Error"]
    (name,) = await flows.said(client, done)
    assert name in ("in", "in.txt")


@pytest.mark.parametrize("edge", ["..", "a/b", "a\nb", "x" * 129, "a\u202eb", ""])
async def test_f40_names_that_read_as_something_else_are_refused(server: Server, edge: str) -> None:
    """F40: paths, line ends, and letters that turn the direction of a text round."""
    nodes = [flows.a_node("step", inputs={"in": edge})]
    assert ("EDGE_005", "/Flow/Nodes/0/Inputs/0/Edge") in await refused_for(
        server, flows.an_order(nodes, [flows.a_script("step", "true")])
    )


PLAYLIST = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nhttp://169.254.169.254/latest/meta-data\n#EXT-X-ENDLIST\n"


async def test_f47_a_playlist_is_no_video(client: Client) -> None:
    """F47: what points elsewhere is told by its bytes and refused before any container is made."""
    definition = flows.a_script("step", "cat $INPUT_IN", Inputs=[{"Name": "in", "Type": ["video/*"]}])
    order = flows.an_order([flows.a_node("step", inputs={"in": "there"})], [definition])
    done = await flows.finish(client, order, there=PLAYLIST)
    assert done["Status"] == "ERROR"
    assert "upload of edge there is" in done["Error"]
    assert "node.started" not in [event.kind async for event in client.events(done["ID"])]


async def test_f47_who_follows_a_playlist_all_the_same_gets_nowhere(client: Client) -> None:
    """F47: a node that takes anything has no network, and no files but its own."""
    script = """
        for url in $(grep -v '^#' $INPUT_IN); do wget -T 1 -q -O - $url && echo followed; done
        cat /etc/shadow /proc/1/root/etc/shadow 2>/dev/null; echo done
    """
    order = flows.an_order([flows.a_node("step", inputs={"in": "there"})], [flows.a_script("step", script)])
    done = await flows.finish(client, order, there=PLAYLIST)
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await flows.said(client, done) == ["done"]
