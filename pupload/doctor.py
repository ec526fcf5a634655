"""
The doctor: everything that a server needs, tried out before there is one, or beside one that runs.
"""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pupload import configuring, errors, offline, ports, sourcing, storing, wiring
from pupload.adapters.db import database
from pupload.adapters.docker.executor import DockerExecutor
from pupload.adapters.docker.inspection import Bounds
from pupload.adapters.sealing import keyfile
from pupload.adapters.system import memory
from pupload.adapters.system.clock import SystemClock
from pupload.adapters.system.steady import SteadyClock
from pupload.domain import skew
from pupload.domain.policy import Policy
from pupload.settings import Settings


async def examine(settings: Settings) -> Sequence[tuple[str, ports.ProbeLine]]:
    """
    Everything the server needs, tried out: pairs of a part's name and what was found.

    Changes nothing but a scratch object in the store. Raises nothing for what is amiss: that is a line.
    """
    lines: list[tuple[str, ports.ProbeLine]] = [("versions", line) for line in _versions()]
    data = settings.data.expanduser().absolute()
    lines += [("disk", line) for line in await asyncio.to_thread(_disk, data)]
    lines += [("clock", line) for line in await asyncio.to_thread(_clock, data)]
    policy, told = _policy_told(settings)
    lines += told
    executor = DockerExecutor(
        instance="doctor", clock=SystemClock(), host=settings.docker_host or None, bounds=Bounds(policy=policy)
    )
    try:
        lines += [("engine", line) for line in await executor.probe()]
    except errors.PuploadError as error:
        lines.append(("engine", ports.ProbeLine(what="answers", ok=False, detail=str(error))))
    finally:
        await executor.close()
    if (data / "pupload.db").exists():
        lines += [("database", line) for line in await database.check(data / "pupload.db")]
    lines += [
        ("secrets", keyfile.check(wiring.key_file(settings, data))),
        ("secrets", memory.check(settings.secrets_folder)),
    ]
    lines += [("sources", line) for line in sourcing.check(settings)]
    lines += [("store", line) for line in await _probe_store(settings, data)]
    return lines


def _policy_told(settings: Settings) -> tuple[Policy, list[tuple[str, ports.ProbeLine]]]:
    """The policy, that of a server without one where it cannot be read, and what there is to say of it."""
    try:
        found = offline.policy(settings)
        configuring.node_user(settings, found)
    except errors.Misconfigured as error:
        return Policy(), [("policy", ports.ProbeLine(what="policy", ok=False, detail=str(error)))]
    said = f"{settings.policy}" if settings.policy else "the defaults; `pup policy show` prints them"
    return found, [("policy", ports.ProbeLine(what="policy", ok=True, detail=said))]


def _versions() -> list[ports.ProbeLine]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    wanted = sys.version_info >= (3, 11)
    return [
        ports.ProbeLine(what="pupload", ok=True, detail=wiring.program_version()),
        ports.ProbeLine(what="python", ok=wanted, detail=python if wanted else f"{python}; 3.11 or newer is needed"),
    ]


def _disk(data: Path) -> list[ports.ProbeLine]:
    there = next(folder for folder in (data, *data.parents) if folder.exists())
    usage = shutil.disk_usage(there)
    free = usage.free / 1024**3
    enough = free >= 5
    said = f"{free:.1f} GiB free at {there}"
    mend = "" if enough else "; free at least 5 GiB, or choose another data folder with --data"
    writable = os.access(there, os.W_OK)
    return [
        ports.ProbeLine(what="space", ok=enough, detail=said + mend),
        ports.ProbeLine(
            what="writable", ok=writable, detail=str(there) if writable else f"{there} is read-only for you"
        ),
    ]


def _clock(data: Path) -> list[ports.ProbeLine]:
    """Whether the time that runs are told, as the last server left it, is that of the wall clock."""
    said = skew.complaint(SteadyClock(data / "clock.json").skew())
    return [ports.ProbeLine(what="wall clock", ok=True, warning=bool(said), detail=said)]


async def _probe_store(settings: Settings, data: Path) -> Sequence[ports.ProbeLine]:
    """The store as it answers: the one of a running server, else one started for the moment."""
    clock = SystemClock()
    probing = settings.model_copy(update={"store_port": 0}) if settings.embedded_store else settings
    if settings.embedded_store and await asyncio.to_thread(_is_served, data / "store" / "control.sock"):
        return [ports.ProbeLine(what="embedded store", ok=True, detail="in use by a running server; not probed")]
    made = [folder for folder in (data / "store", data, *data.parents) if not folder.exists()]
    try:
        async with storing.opened_stores(probing, data, clock) as opened:
            return await opened.default().probe()
    except errors.PuploadError as error:
        return [ports.ProbeLine(what="answers", ok=False, detail=str(error))]
    finally:
        if made:
            await asyncio.to_thread(_remove, made, data / "store")


def _remove(made: Sequence[Path], store: Path) -> None:
    """Takes back what probing made: a store that was not there, and the folders above it that are empty."""
    for folder in made:
        if folder == store:
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()


def _is_served(path: Path) -> bool:
    """Whether somebody listens at this socket: a file alone may be left over from one that was killed."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
