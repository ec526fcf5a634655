"""
The same containers without pupload: the engine's SDK, create, start, wait, remove, and nothing else.

Image, user, limits, confinement and log driver are those of a node, taken from what the executor would ask for; there
are no mounts and no network, and nobody is told of anything.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.utils

from pupload import configuring, ports
from pupload.adapters.docker import confinement
from pupload.domain import run, tiers
from pupload.domain.policy import Policy
from pupload.settings import Settings
from tests import images

LABEL = "pupload.bench"
"""Whose they are: the process that measures."""

THREADS = (1, 2, 4, 8, 16)
"""How many of them at once are tried where the engine is to do its best."""

NOTHING = ("sh", "-c", ":")

Config = dict[str, Any]


def config(
    argv: tuple[str, ...] = NOTHING, *, tier: str = "c-nano", folder: Path | None = None, cheap: bool = False
) -> Config:
    """
    What a node of the tier would be, run bare; with `folder` as its outputs where it needs one.

    `cheap`: with the network as nodes have it, which is what the engine makes soonest.
    """
    settings, size = _default_settings(), tiers.TABLE[tier]
    with closing(client()) as engine:
        cpus = float(engine.info()["NCPU"])
    order = ports.ContainerOrder(
        attempt=run.AttemptRef(run="bench", node="bare", number=1),
        image=images.busybox(),
        argv=argv,
        environment={},
        inputs=Path(),
        outputs=folder or Path(),
        user=configuring.node_user(settings, Policy()),
        network="none",
        memory_bytes=size.memory_bytes,
        cpus=min(size.cpus, cpus),
        pids=settings.pids,
        tmp_bytes=settings.tmp_bytes,
        file_bytes=size.storage_bytes,
        log_bytes=settings.log_bytes,
    )
    asked = confinement.config(order, labels={LABEL: str(os.getpid())})
    # As whoever writes such a loop has it: the mode alone, which the confinement of nodes goes beyond.
    if not cheap:
        del asked["NetworkDisabled"]
    asked["HostConfig"]["Mounts"] = [one for one in asked["HostConfig"]["Mounts"] if folder and one["Source"] != "."]
    return asked


def _default_settings() -> Settings:
    none: dict[str, Any] = {}
    return Settings(**none)


def client() -> Any:
    """The engine's SDK, as a program has it that uses it directly."""
    return docker.APIClient(**docker.utils.kwargs_from_env(), version="auto", timeout=120)


def one(engine: Any, asked: Config) -> None:
    """A container from its making to its removal. Raises where it ended badly."""
    made = engine.create_container_from_config(asked)["Id"]
    try:
        engine.start(made)
        ended = engine.wait(made)
        assert ended["StatusCode"] == 0, ended
    finally:
        engine.remove_container(made, v=True)


def loop_ms(count: int) -> float:
    """So many containers, one after the other."""
    asked = config()
    with closing(client()) as engine, timed() as took:
        for _ in range(count):
            one(engine, asked)
    return took.ms


def fan_ms(count: int, threads: int, *, cheap: bool = False) -> float:
    """So many containers by so many threads, each with its own connection; `cheap` as for `config`."""
    asked = config(cheap=cheap)
    engines = [client() for _ in range(threads)]
    free = list(engines)

    def run_one(_: int) -> None:
        engine = free.pop()  # atomic, and there are as many as threads
        try:
            one(engine, asked)
        finally:
            free.append(engine)

    try:
        with ThreadPoolExecutor(threads) as pool, timed() as took:
            list(pool.map(run_one, range(count)))
    finally:
        for engine in engines:
            engine.close()
    return took.ms


def best_threads(count: int) -> dict[int, float]:
    """Milliseconds for so many containers, by how many threads."""
    return {threads: fan_ms(count, threads) for threads in THREADS}


class Took:
    """A time that is known at the end."""

    ms = 0.0


@contextmanager
def timed() -> Iterator[Took]:
    """How long the block took."""
    took, began = Took(), time.perf_counter()
    yield took
    took.ms = (time.perf_counter() - began) * 1e3


def sweep() -> None:
    """What this benchmark left is gone, and what others did that were interrupted."""
    with closing(client()) as engine:
        for each in engine.containers(all=True, filters={"label": LABEL}):
            owner = each["Labels"][LABEL]
            if owner != str(os.getpid()) and Path(f"/proc/{owner}").exists():
                continue
            with suppress(docker.errors.APIError):
                engine.remove_container(each["Id"], force=True, v=True)
