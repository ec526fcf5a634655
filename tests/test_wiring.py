"""
The server, assembled: the real database, store and HTTP; the container engine is in memory where none is needed.
"""

import asyncio
import gc
import math
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import pupload
from pupload import building, configuring, doctor, errors, offline, ports, wiring
from pupload.adapters.memory.containers import MemoryExecutor
from pupload.adapters.passwords.hasher import Argon2
from pupload.domain.events import RunCompleted
from pupload.domain.policy import Policy
from pupload.service.views import Order
from pupload.settings import Settings
from tests.bench import PNG, copies
from tests.builders import a_chain, a_definition, a_flow

IMAGE = "pupload/resize:latest"


# The engine's library leaves a socket to the collector when nobody listens at the other end.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


def the_settings(folder: Path, **given: Any) -> Settings:
    return Settings(**{"data": folder / "data", "port": 0, "store_port": 0, **given})


def children() -> set[int]:
    """The processes that this one started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True)
    mine = {int(word) for word in found.stdout.split()}
    return {pid for pid in mine if Path(f"/proc/{pid}/cmdline").exists() and b"pupload" in _cmdline(pid)}


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> list[MemoryExecutor]:
    """Containers are scripts; the list holds the executors as they are made."""
    made: list[MemoryExecutor] = []

    def make(*, instance: str, clock: ports.Clock, host: str | None, bounds: object) -> MemoryExecutor:
        assert instance
        made.append(MemoryExecutor(clock=clock, images={IMAGE: copies("image", "resized")}))
        return made[-1]

    for assembling in (wiring, doctor):
        monkeypatch.setattr(assembling, "DockerExecutor", make)
    return made


class Serving:
    """`wiring.serve` in the background."""

    def __init__(self, settings: Settings, *, dev: bool = True) -> None:
        self.stop = asyncio.Event()
        self.setup_tokens: list[str] = []
        self._url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        told = {"on_ready": self._url.set_result, "on_setup": self.setup_tokens.append}
        self.task = asyncio.create_task(wiring.serve(settings, **told, stop=self.stop, dev=dev))

    async def url(self) -> str:
        both: set[asyncio.Future[Any]] = {self.task, self._url}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            await self.task
        return await self._url

    async def end(self) -> None:
        self.stop.set()
        await self.task


# ── Up and down ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_comes_up_answers_and_goes_down_with_all_it_started(
    tmp_path: Path, in_memory: list[MemoryExecutor]
) -> None:
    before, tasks = children(), asyncio.all_tasks()
    for _ in range(2):
        serving = Serving(the_settings(tmp_path))
        url = await serving.url()
        assert len(children() - before) == 1, "the store has a process of its own"
        async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1/flow/list") as answer:
            assert answer.status == 200
        await serving.end()
        assert children() == before
        with pytest.raises(aiohttp.ClientConnectionError):
            async with aiohttp.ClientSession() as session:
                await session.get(url)
    assert asyncio.all_tasks() <= tasks


async def test_a_run_goes_through_all_real_parts(tmp_path: Path, in_memory: list[MemoryExecutor]) -> None:
    settings = the_settings(tmp_path)
    async with wiring.running_engine(settings, dev=True) as engine, aiohttp.ClientSession() as session:
        capacity = await in_memory[0].capacity()
        services = wiring.make_services(engine, settings, dev=True, capacity=capacity, passwords=Argon2())
        order = Order(flow=a_flow(*a_chain(2)), definitions=(a_definition(),))
        view = await services.runs.start(order)
        async with session.put(view.waiting[0].url, data=PNG) as answer:
            assert answer.status == 200
        async for group in services.runs.events(view.run.id, follow=True):
            last = group[-1].event
        assert isinstance(last, RunCompleted)
        found = await services.runs.status(view.run.id)
        async with session.get(found.artifacts["e2"].url) as answer:
            assert await answer.read() == PNG
        assert all(line.ok for line in await services.health.check())


async def test_more_ports_are_the_same_server(tmp_path: Path, in_memory: list[MemoryExecutor]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        more = free.getsockname()[1]
    serving = Serving(the_settings(tmp_path, more_ports=(more,)))
    url = await serving.url()
    async with aiohttp.ClientSession() as session:
        for each in (url, f"http://127.0.0.1:{more}"):
            async with session.get(f"{each}/api/v1/flow/list") as answer:
                assert answer.status == 200
    await serving.end()
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as session:
            await session.get(f"http://127.0.0.1:{more}")


async def test_a_port_that_is_taken_is_told_and_nothing_is_left_running(
    tmp_path: Path, in_memory: list[MemoryExecutor]
) -> None:
    before = children()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(errors.Misconfigured, match=f"cannot listen on 127.0.0.1:{port}.*Choose a --port"):
            await Serving(the_settings(tmp_path, port=port)).url()
    assert children() == before
    serving = Serving(the_settings(tmp_path))
    await serving.url()
    await serving.end()


async def test_a_port_of_the_store_that_is_taken_is_told(tmp_path: Path, in_memory: list[MemoryExecutor]) -> None:
    before = children()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(errors.Misconfigured, match="embedded store"):
            await Serving(the_settings(tmp_path, store_port=taken.getsockname()[1])).url()
    assert children() == before


async def test_two_servers_do_not_share_a_data_folder(tmp_path: Path, in_memory: list[MemoryExecutor]) -> None:
    first = Serving(the_settings(tmp_path))
    url = await first.url()
    running = children()
    with pytest.raises(errors.Misconfigured, match="data"):
        await Serving(the_settings(tmp_path)).url()
    assert children() == running
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1/flow/list") as answer:
        assert answer.status == 200
    await first.end()


async def test_without_a_container_engine_nothing_is_started(tmp_path: Path) -> None:
    before, tasks = children(), asyncio.all_tasks()
    with pytest.raises(errors.ExecutorUnavailable):
        await Serving(the_settings(tmp_path, docker_host=f"unix://{tmp_path}/nothing.sock")).url()
    assert children() == before
    assert asyncio.all_tasks() <= tasks


async def test_a_server_that_is_interrupted_while_it_starts_leaves_nothing(
    tmp_path: Path, in_memory: list[MemoryExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, reached = children(), asyncio.Event()

    async def hang(self: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(MemoryExecutor, "capacity", hang)
    serving = Serving(the_settings(tmp_path))
    await reached.wait()
    assert children() != before
    serving.task.cancel()
    await asyncio.gather(serving.task, return_exceptions=True)
    assert children() == before


async def test_the_data_folder_is_its_owners_alone(tmp_path: Path, in_memory: list[MemoryExecutor]) -> None:
    async with wiring.running_engine(the_settings(tmp_path)):
        assert ((tmp_path / "data").stat().st_mode & 0o777) == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Misconfigured, match=r"data folder .* cannot be used"):
        await Serving(the_settings(tmp_path, data=tmp_path / "file")).url()


# ── Who may come ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.5", "pupload.invalid"])
async def test_who_is_reached_from_elsewhere_has_an_account_first(
    tmp_path: Path, in_memory: list[MemoryExecutor], host: str
) -> None:
    before = children()
    with pytest.raises(errors.Misconfigured, match=r"is not loopback, and there is no account.*pup account setup"):
        await Serving(the_settings(tmp_path, host=host)).url()
    assert (children(), in_memory) == (before, [])


async def test_an_account_lets_others_in_and_nobody_without_one(
    tmp_path: Path, in_memory: list[MemoryExecutor]
) -> None:
    async with wiring.callers_here(the_settings(tmp_path)) as callers:
        token = await callers.set_up("root", "root's password")
    serving = Serving(the_settings(tmp_path, host="0.0.0.0"))
    url = (await serving.url()).replace("0.0.0.0", "127.0.0.1")
    async with aiohttp.ClientSession() as session:
        for headers, status in (({}, 401), ({"Authorization": f"Bearer {token}"}, 200)):
            async with session.get(f"{url}/api/v1/flow/list", headers=headers) as answer:
                assert answer.status == status
    assert serving.setup_tokens == []
    await serving.end()


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, 0), ({"host": "0.0.0.0", "insecure": True}, 1), ({"public_url": "https://flows.example.org"}, 1)],
)
async def test_who_may_come_from_elsewhere_to_make_the_first_account_is_told_once_what_with(
    tmp_path: Path, in_memory: list[MemoryExecutor], given: dict[str, Any], told: int
) -> None:
    serving = Serving(the_settings(tmp_path, **given))
    await serving.url()
    assert len({*serving.setup_tokens}) == told
    await serving.end()


async def test_another_store_that_cannot_be_used_is_told(tmp_path: Path, in_memory: list[MemoryExecutor]) -> None:
    other = {"store_endpoint": "ftp://nowhere", "store_access_key": "a", "store_secret_key": "hush-hush"}
    with pytest.raises(errors.Misconfigured) as caught:
        await Serving(the_settings(tmp_path, embedded_store=False, **other)).url()
    assert "hush-hush" not in str(caught.value)


async def test_a_public_url_that_cannot_be_read_is_told(tmp_path: Path, in_memory: list[MemoryExecutor]) -> None:
    before = children()
    with pytest.raises(errors.Misconfigured, match=r"setting store_public_url: .* blanks"):
        await Serving(the_settings(tmp_path, store_public_url="not a url")).url()
    assert children() == before


# ── What follows from the settings ───────────────────────────────────────────────────────────────────────────────


CAPACITY = ports.Capacity(cpus=4, memory_bytes=1000, storage_bytes=1 << 40, gpus={"nvidia": 1})


@pytest.mark.parametrize(
    ("given", "dev", "cpus", "clamp"),
    [
        ({}, True, math.inf, True),
        ({}, False, 4, False),
        ({"overcommit_cpu": False, "clamp_tiers": False}, True, 4, False),
        ({"overcommit_cpu": True, "clamp_tiers": True}, False, math.inf, True),
    ],
)
def test_what_settings_leave_open_depends_on_the_command(
    tmp_path: Path, given: dict[str, bool], dev: bool, cpus: float, clamp: bool
) -> None:
    settings = the_settings(tmp_path, memory_share=0.5, max_attempts_at_once=7, **given)
    config = configuring.engine_config(settings, tmp_path, CAPACITY, dev=dev)
    assert (config.room.cpus, config.room.memory_bytes, config.room.attempts) == (cpus, 500, 7)
    assert config.limits.cpus == 4, "no container is promised more than there is"
    limits = offline.limits(settings, CAPACITY, dev=dev)
    assert (limits.clamp, limits.overcommit_cpu) == (clamp, cpus == math.inf)
    assert limits.capacity is not None
    assert limits.capacity.memory_bytes == 500, "what is accepted can be given out"


@pytest.mark.parametrize(
    ("said", "memory_bytes", "nodes"),
    [(None, 2 << 30, 8), (None, 1 << 40, 64), (None, 100 << 20, 0), (0, 2 << 30, 0), (500, 2 << 30, 500)],
)
def test_as_many_containers_are_armed_as_the_engine_has_memory_for_or_the_operator_says(
    tmp_path: Path, said: int | None, memory_bytes: int, nodes: int
) -> None:
    capacity = replace(CAPACITY, memory_bytes=memory_bytes)
    settings = the_settings(tmp_path, armed_nodes=said, armed_seconds=30)
    config = configuring.engine_config(settings, tmp_path, capacity, dev=True)
    assert (config.armed.nodes, config.armed.seconds) == (nodes, 30)


def test_without_an_engine_flows_are_held_to_no_machine(tmp_path: Path) -> None:
    limits = offline.limits(the_settings(tmp_path, networks=("bridge",), max_nodes=5))
    assert limits.capacity is None
    assert limits.max_nodes == 5
    assert limits.policy == Policy(networks=("none", "bridge"))


def test_the_policy_lowers_what_settings_allow_and_never_raises_it(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("Limits: {Nodes: 7, Upload: 5mb, Log: 900gb, Artifact: 1mb}\n")
    settings = the_settings(tmp_path, policy=policy)
    config = configuring.engine_config(settings, tmp_path, CAPACITY, dev=True)
    assert (config.max_upload_bytes, config.limits.log_bytes) == (5 << 20, settings.log_bytes)
    assert config.limits.policy.max_artifact_bytes == 1 << 20
    assert offline.limits(settings).max_nodes == 7


def test_nodes_run_as_nobody_whom_the_policy_forbids(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured, match="would run as 0:0, which the policy does not allow"):
        configuring.engine_config(the_settings(tmp_path, node_user="0:0"), tmp_path, CAPACITY, dev=True)


# ── Node types ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_node_type_that_ships_can_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    there = {f"{path.parts[-3]}/{path.parts[-2]}" for path in offline.shipped_nodes().glob("*/*/node.yaml")}
    found = await offline.make_catalogue(the_settings(tmp_path)).all()
    assert {one.uses for one in found} == there
    assert "pupload/resize" in there
    assert not caplog.records


async def test_the_operators_node_types_come_before_those_that_ship(tmp_path: Path) -> None:
    own = tmp_path / "pupload" / "resize"
    own.mkdir(parents=True)
    (own / "node.yaml").write_text("Publisher: pupload\nName: resize\nImage: my/own:1\n")
    found = await offline.make_catalogue(the_settings(tmp_path, node_folders=(tmp_path,))).find("pupload/resize")
    assert found is not None
    assert found.image == "my/own:1"


@pytest.mark.parametrize("content", [b"\xff\xfe\xff", b"a: [", b"- 1", b"a: 1\na: 2\n", None])
def test_a_definition_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "node.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.Refused):
        offline.read_definition(path)


@pytest.fixture
def docker_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script in the place of the docker command; what it was asked is in the file that comes back."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(script: str) -> Path:
        asked = folder / "asked"
        command = folder / "docker"
        command.write_text(f'#!/bin/sh\necho "$@" >>{asked}\n{script}\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return asked

    return put


@pytest.fixture
def a_node_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


async def test_a_node_is_built_and_its_builder_heard(
    a_node_folder: Path, docker_command: Callable[[str], Path]
) -> None:
    asked, said = docker_command("echo one; echo two >&2"), list[str]()
    await building.build_node(a_node_folder, "my/node:1", said.append)
    assert said == ["one", "two"]
    assert asked.read_text() == f"build --tag my/node:1 --network default {a_node_folder}\n"


async def test_a_build_that_fails_is_tried_on_the_machines_network(
    a_node_folder: Path, docker_command: Callable[[str], Path]
) -> None:
    asked, said = docker_command('case "$*" in *host*) echo built;; *) echo no route; exit 1;; esac'), list[str]()
    await building.build_node(a_node_folder, "my/node:1", said.append)
    assert said == ["no route", "once more, on the machine's own network", "built"]
    assert [line.split()[4] for line in asked.read_text().splitlines()] == ["default", "host"]


@pytest.mark.parametrize(
    ("there", "built"),
    [
        ("", ["pupload/system:bookworm", "pupload/base:bookworm"]),
        (building.SYSTEM, ["pupload/base:bookworm"]),
        (building.BASE, ["pupload/system:bookworm"]),
        (f"{building.BASE} {building.SYSTEM}", []),
    ],
)
async def test_what_a_node_stands_on_is_built_first_where_it_is_not_there(
    a_node_folder: Path, docker_command: Callable[[str], Path], there: str, built: list[str]
) -> None:
    known = f'case "$1" in image) case " {there} " in *" $3 "*) exit 0;; esac; exit 1;; esac'
    asked, ground = docker_command(known), offline.shipped_nodes() / "base"
    shutil.copy(offline.shipped_nodes() / "pupload" / "resize" / "Dockerfile", a_node_folder)
    await building.build_node(a_node_folder, "my/node:1", lambda line: None, base=ground)
    orders = [line.split() for line in asked.read_text().splitlines() if line.startswith("build ")]
    assert [order[2] for order in orders] == [*built, "my/node:1"]
    assert all(f"DEBIAN={building.SYSTEM}" in order for order in orders if order[2] == building.BASE)


async def test_a_build_that_fails_for_good_ends_with_the_builders_words(
    a_node_folder: Path, docker_command: Callable[[str], Path]
) -> None:
    docker_command("head -c 100000 /dev/zero | tr '\\0' x; echo; echo syntax error; echo; exit 1")
    with pytest.raises(errors.Conflict, match="building my/node:1 failed: syntax error"):
        await building.build_node(a_node_folder, "my/node:1", lambda line: None)


async def test_a_build_that_is_interrupted_is_ended(a_node_folder: Path, docker_command: Callable[[str], Path]) -> None:
    docker_command("echo $$; exec sleep 600")
    pids: asyncio.Queue[str] = asyncio.Queue()
    under_way = asyncio.create_task(building.build_node(a_node_folder, "my/node:1", pids.put_nowait))
    pid = int(await pids.get())
    under_way.cancel()
    await asyncio.gather(under_way, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_what_a_build_needs_is_asked_first(
    tmp_path: Path, a_node_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.Misconfigured, match="has no Dockerfile"):
        await building.build_node(tmp_path, "my/node:1", lambda line: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.Misconfigured, match="docker command is not there"):
        await building.build_node(a_node_folder, "my/node:1", lambda line: None)


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True).stdout.strip()


@pytest.mark.engine
async def test_a_node_type_that_ships_is_built(tmp_path: Path) -> None:
    tag = f"pupload-test/wiring-{os.getpid()}:1"
    said: list[str] = []
    try:
        await building.build_node(offline.shipped_nodes() / "pupload" / "resize", tag, said.append)
        assert said
        assert docker("image", "inspect", "-f", "{{.Config.User}}", tag) == "65534:65534"
    finally:
        docker("rmi", "--force", "--no-prune", tag)  # untags it; it may be in use by another name


# ── The doctor ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_doctor_tries_everything_and_leaves_nothing(tmp_path: Path, in_memory: list[MemoryExecutor]) -> None:
    before = children()
    lines = await doctor.examine(the_settings(tmp_path, data=tmp_path / "deep" / "data"))
    assert {part for part, _ in lines} == {"versions", "disk", "clock", "policy", "engine", "secrets", "store"}
    assert [(part, line) for part, line in lines if part != "disk" and not line.ok] == []
    assert not (tmp_path / "deep").exists()
    assert children() == before


async def test_the_doctor_looks_at_a_database_that_is_there_and_lets_a_running_server_be(
    tmp_path: Path, in_memory: list[MemoryExecutor]
) -> None:
    serving = Serving(the_settings(tmp_path))
    await serving.url()
    lines = await doctor.examine(the_settings(tmp_path))
    assert "database" in {part for part, _ in lines}
    said = [line.detail for part, line in lines if part == "store"]
    assert said == ["in use by a running server; not probed"]
    await serving.end()
    (tmp_path / "data" / "store" / "control.sock").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "data" / "store" / "control.sock"))
    lines = await doctor.examine(the_settings(tmp_path))
    assert len([line for part, line in lines if part == "store"]) > 1, "a dead server's socket is no server"
    assert (tmp_path / "data" / "store").is_dir(), "what was there stays"


async def test_what_is_amiss_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1 << 30})())
    settings = the_settings(
        tmp_path,
        docker_host=f"unix://{tmp_path}/nothing.sock",
        embedded_store=False,
        store_endpoint="ftp://nowhere",
        store_access_key="a",
    )
    bad = {(part, line.what): line.detail for part, line in await doctor.examine(settings) if not line.ok}
    assert {part for part, _ in bad} == {"versions", "disk", "engine", "store"}
    assert "3.11 or newer is needed" in bad["versions", "python"]
    assert "free at least 5 GiB" in bad["disk", "space"]


def test_the_version_is_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wiring.program_version()[0].isdigit()

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(wiring, "version", missing)
    assert wiring.program_version() == "0+unknown"


def test_node_types_are_beside_the_package_or_inside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (offline.shipped_nodes() / "pupload" / "resize" / "node.yaml").is_file()
    monkeypatch.setattr(pupload, "__file__", str(tmp_path / "pupload" / "__init__.py"))
    assert offline.shipped_nodes() == tmp_path / "pupload" / "_nodes"
