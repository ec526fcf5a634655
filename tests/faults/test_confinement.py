"""
What a node may do: every line of docs/explanation/security.md, tried from inside a node, and looked up in what the
engine made of it.

Two nodes try everything that can be tried at once and tell what came of it, in a line each; one is held and inspected.
What a node may leave in its outputs is in tests/system/test_containers.py, and so is what a flag's value may hold.
"""

import asyncio
import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from tests import images
from tests.faults.test_armed import until_armed
from tests.system import flows
from tests.system.conftest import only_here
from tests.system.server import Server, engine

Json = dict[str, Any]

BASE = "pupload/base:bookworm"
"""A node image with perl in it, which makes any system call."""

MIB = 1 << 20


# ── From inside ──────────────────────────────────────────────────────────────────────────────────────────────────

FROM_INSIDE = {
    # who it is
    "user": "65534 65534",
    "groups": "65534",
    "capabilities": "0",
    "no new privileges": "1",
    "set-uid programs": "65534",
    "seccomp": "2",
    "users of the machine": "1 2",
    # what it can write
    "written": "/dev/shm /dev/mqueue /tmp /pupload/out",
    "kernel settings": "",
    "control groups": "",
    "mounting": "",
    "programs in tmp": "refused",
    "programs in shm": "refused",
    "options of tmp": "nosuid nodev noexec",
    "room in tmp": str(8 * MIB),
    "files in tmp": "bounded",
    "room in shm": str(64 * MIB),
    # what it sees
    "interfaces": "lo",
    "routes": "",
    "names": "",
    "the server": "",
    "the metadata service": "",
    "sockets of others": "0",
    "devices": "full null random tty urandom zero",
    "disks": "",
    "processes": "few",
    "memory of the machine": "0 0",
    "hostname": "node",
    "environment": "",
    # how much it may take
    "open files": "16384 16384",
    "core dumps": "0 0",
    "size of a file": str((10 << 30) // 512),
    "first choice of the kernel": "500",
    "priority": "",
    "memory": str(512 * MIB),
    "swap": "none",
    "processes at once": "512",
}
"""By the names of probes.sh: what they write when all is well."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for this module, with little room in /tmp so that it is filled at once."""
    with only_here(tmp_path_factory.mktemp("server"), PUPLOAD_TMP_BYTES=str(8 * MIB)) as found:
        yield found


@pytest.fixture(scope="module", params=["plain", "armed"])
def inside(server: Server, request: pytest.FixtureRequest) -> Mapping[str, str]:
    """What came of every probe, from one node that tried them all; also from one whose container had waited for it."""
    script = Path(__file__).with_name("probes.sh").read_text()
    definition = flows.a_script("step", script, Timeout="60s")
    node = flows.a_node("step", flags={"port": server.port}, inputs={"in": "there"} if request.param == "armed" else {})
    return asyncio.run(_tried(server, flows.an_order([node], [definition])))


async def _tried(server: Server, order: Json) -> Mapping[str, str]:
    async with server.client() as client:
        run = await client.start(order)
        if run["WaitingURLs"]:
            await until_armed(server, run)
            assert await flows.put(run, "there", b"bytes") == 200
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert "does not begin in the container armed for it" not in server.stderr()
        found: dict[str, list[str]] = {}
        for line in await flows.said(client, done):
            if line.startswith("== "):
                found[line[3:]] = []
            else:
                found[list(found)[-1]].append(line)
    return {name: " ".join(" ".join(lines).split()) for name, lines in found.items()}


@pytest.mark.parametrize("probe", FROM_INSIDE)
def test_from_inside(inside: Mapping[str, str], probe: str) -> None:
    """F24, F41: a node is told no, whatever it tries."""
    expected = FROM_INSIDE[probe]
    if probe == "processes":
        assert int(inside[probe]) <= 6, "it sees none but its own"
    elif probe == "swap":
        assert inside[probe] in ("", "0", str(512 * MIB)), "what is limited is memory and swap together"
    else:
        assert inside[probe] == expected


@pytest.fixture(scope="module", params=["65534:65534", "0:0"], ids=["nobody", "root"])
def called(server: Server, request: pytest.FixtureRequest) -> Mapping[str, str]:
    """What came of every system call: of nobody, and of root where the operator's policy lets it be."""
    if platform.machine() != "x86_64":
        pytest.skip("the numbers of the calls are those of x86-64")
    _need_base()
    policy = server.folder / "root.yaml"
    policy.write_text("Users: [0, 65534]\n")
    with only_here(server.folder / request.param.replace(":", "-"), PUPLOAD_POLICY=str(policy)) as own:
        script = Path(__file__).with_name("probes.pl").read_text()
        definition = flows.a_script(
            "step", "", Image=BASE, User=request.param, Command={"Exec": ["perl", "-e", "${s}"]}
        )
        order = flows.an_order([flows.a_node("step", flags={"s": script})], [definition])
        return asyncio.run(_called(own, order))


async def _called(server: Server, order: Json) -> Mapping[str, str]:
    async with server.client() as client:
        done = await flows.finish(client, order)
        assert done["Status"] == "COMPLETE", done["Error"]
        return dict(line.split() for line in await flows.said(client, done))


def _need_base() -> None:
    client = engine()
    try:
        client.inspect_image(BASE)
    except docker.errors.ImageNotFound:
        pytest.skip(f"{BASE} is not there; scripts/base-image makes it")
    finally:
        client.close()


def test_system_calls_that_reach_out_are_refused(called: Mapping[str, str], request: pytest.FixtureRequest) -> None:
    """F41: mounting, tracing, keys, namespaces, modules, raw sockets, the clock: also as root."""
    assert len(called) > 40
    done = {name for name, what in called.items() if what != "refused"}
    as_root = "root" in str(request.node.name)
    assert done <= ({"setuid", "setgid", "chown"} if as_root else set())


# ── What the engine made ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=["plain", "armed"])
def made(server: Server, request: pytest.FixtureRequest) -> Json:
    """A node's container, as the engine describes it while it runs; also of one that had waited for its node."""
    if request.param == "armed":
        return asyncio.run(_held(server, flows.copying(f"{flows.HOLD} {flows.COPY}")))
    return asyncio.run(_held(server, flows.one(flows.HOLD)))


async def _held(server: Server, order: Json) -> Json:
    async with server.client() as client:
        run = await client.start(order)
        if run["WaitingURLs"]:
            await until_armed(server, run)
            assert await flows.put(run, "there", b"bytes") == 200
        await flows.until_line(client, run, "held")
        (found,) = server.containers(run=run["ID"])
        assert ("pupload.armed" in found["Config"]["Labels"]) == bool(run["WaitingURLs"])
        await flows.let_go(server, run)
        assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"
    return found


HOST: dict[str, Json] = {
    "capabilities": {"CapDrop": ["ALL"], "CapAdd": None},
    "privileges": {"Privileged": False, "SecurityOpt": ["no-new-privileges"]},
    "root file system": {"ReadonlyRootfs": True},
    "tmp": {"Tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={8 * MIB},nr_inodes=2048,mode=1777"}},
    "memory": {"Memory": 512 * MIB, "MemorySwap": 512 * MIB, "OomScoreAdj": 500, "OomKillDisable": False},
    "processors": {"NanoCpus": 1_000_000_000},
    "processes": {"PidsLimit": 512},
    "network": {"NetworkMode": "none", "PortBindings": None, "Dns": None, "ExtraHosts": None, "Links": None},
    "namespaces": {"IpcMode": "private", "PidMode": "", "UTSMode": "", "UsernsMode": "", "CgroupnsMode": "private"},
    "shared memory": {"ShmSize": 64 * MIB},
    "devices": {"Devices": None, "DeviceRequests": None, "DeviceCgroupRules": None},
    "mounts by name": {"Binds": None, "VolumesFrom": None},
    "sysctls": {"Sysctls": None, "CgroupParent": "", "GroupAdd": None},
    "its end": {"AutoRemove": False, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}},
    "log": {"LogConfig": {"Type": "json-file", "Config": {"max-file": "2", "max-size": str(32 * MIB)}}},
}


@pytest.mark.parametrize("line", HOST)
def test_the_engine_made_it_so(made: Json, line: str) -> None:
    for key, value in HOST[line].items():
        found = made["HostConfig"].get(key)
        assert (found or None) == (value or None), key


def test_the_engine_limits_files(made: Json) -> None:
    limits = {each["Name"]: (each["Soft"], each["Hard"]) for each in made["HostConfig"]["Ulimits"]}
    assert limits == {"nofile": (16384, 16384), "fsize": (10 << 30, 10 << 30), "core": (0, 0)}


def test_the_engine_hides_what_the_kernel_tells(made: Json) -> None:
    assert {"/proc/kcore", "/proc/keys", "/sys/firmware"} <= set(made["HostConfig"]["MaskedPaths"])
    assert {"/proc/sys", "/proc/sysrq-trigger"} <= set(made["HostConfig"]["ReadonlyPaths"])


def test_the_engine_mounts_the_attempts_own_files_and_nothing_else(server: Server, made: Json) -> None:
    labels = made["Config"]["Labels"]
    own = server.data / "attempts" / ".".join(labels[f"pupload.{name}"] for name in ("run", "node", "attempt"))
    assert {mount["Destination"]: (mount["Type"], mount["Source"], mount["RW"]) for mount in made["Mounts"]} == {
        "/pupload/in": ("bind", str(own / "in"), False),
        "/pupload/out": ("bind", str(own / "out"), True),
    }


def test_the_engine_knows_user_and_image_by_number(made: Json) -> None:
    assert made["Config"]["User"] == "65534:65534"
    assert made["Config"]["Image"].startswith("sha256:")
    assert made["Config"]["Hostname"] == "node"
    assert made["AppArmorProfile"] != "unconfined"


def test_the_engine_is_told_no_secret_and_no_url(server: Server, made: Json) -> None:
    told = json.dumps(made)
    for secret in ("X-Amz", *server.credentials.values()):
        assert secret not in told
    names = {each.partition("=")[0] for each in made["Config"]["Env"]}
    told_later = "pupload.armed" in made["Config"]["Labels"]
    assert names == {"PATH", *(() if told_later else ("PUPLOAD_RUN_ID", "PUPLOAD_NODE_ID", "PUPLOAD_ATTEMPT"))}


def test_the_image_that_a_tests_node_has_is_the_one_it_names(made: Json) -> None:
    client = engine()
    try:
        assert client.inspect_image(images.busybox())["Id"] == made["Image"]
    finally:
        client.close()
