"""
P11: the same flows on other runners, with the same image on the same engine.

Each is installed at a set version in an environment of its own, outside of the tree, and kept there. One that cannot be
installed is told so; that is no failure. They are run as their users run them: a process that ends when the flow does.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests import images
from tests.benchmarks import bare, house, runs, shapes
from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.lab import Lab, ms, now
from tests.system import flows

PROGRAMS = Path(__file__).with_name("peers")

PEERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "luigi": ("luigi==3.8.1", "docker==7.2.0"),
        # Newer ones of what it is built on do not go with it.
        "prefect": ("prefect==3.8.8", "docker==7.2.0", "fastapi==0.139.0", "SQLAlchemy==2.0.58"),
        "cwltool": ("cwltool==3.3.20260925135507",),
    }
)
"""What is installed for each, the first naming its version."""

ROUNDS = 2
INSTALL_SECONDS, RUN_SECONDS = 900, 300

_SHAPES = (("chain", runs.CHAIN), ("fan", runs.FAN))


def home() -> Path:
    """Where they are installed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pupload-bench"


def installed(name: str) -> Path:
    """The Python of the peer's environment, made where there is none. Raises `Missing` where that fails."""
    wanted = PEERS[name]
    folder = home() / wanted[0].replace("==", "-")
    python, done = folder / "bin" / "python", folder / "installed"
    if done.exists() and done.read_text().split() == list(wanted):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *wanted)
    for command in ((sys.executable, "-m", "venv", str(folder)), (str(python), *install)):
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Missing(str(error)) from error
        if made.returncode:
            raise Missing((made.stderr.strip().splitlines() or ["it could not be installed"])[-1])
    done.write_text("\n".join(wanted))
    return python


class Missing(Exception):
    """A peer that cannot be had here."""


def run_ms(name: str, python: Path, shape: str, count: int) -> float:
    """A whole process of the peer's. Raises `Missing` where it fails: it does not go here."""
    folder = Path(tempfile.mkdtemp(prefix="pupload-bench-"))
    folder.chmod(0o777)
    (folder / "e0").write_text("an upload\n")
    command = [str(python), str(PROGRAMS / f"with_{name}.py"), shape, str(count), images.busybox(), str(folder)]
    own = {
        "HOME": str(folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    try:
        with bare.timed() as took:
            ended = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, **own},
                capture_output=True,
                text=True,
                timeout=RUN_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"it took more than {RUN_SECONDS} s") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if ended.returncode:
        words = [line for line in ended.stderr.splitlines() if line.strip() and "| INFO" not in line]
        raise Missing(f"it ended with {ended.returncode}: {(words or ['no word'])[-1]}")
    return took.ms


async def _ours(there: house.House, shape: str, count: int) -> float:
    """From the POST to COMPLETE seen, the upload on the way: nothing was prepared."""
    order = shapes.chain(count, upload=True) if shape == "chain" else shapes.fan_behind_upload(count)
    began = now()
    run: flows.Json = await there.start(order)
    seen = asyncio.ensure_future(there.completed(run))
    await there.put(run, "e0", b"an upload\n")
    return ms(began, await seen)


async def beside_peers(lab: Lab) -> list[Figure]:
    """P11."""
    pythons, lacking = dict[str, Path](), dict[str, str]()
    for name, wanted in PEERS.items():
        lab.say(f"P11: {wanted[0]}")
        try:
            pythons[name] = await asyncio.to_thread(installed, name)
        except Missing as missing:
            lacking[name] = f"It could not be installed: {missing}"
    ours: dict[str, list[float]] = {shape: [] for shape, _ in _SHAPES}
    theirs: dict[tuple[str, str], list[float]] = {(name, shape): [] for name in PEERS for shape, _ in _SHAPES}
    async with house.opened() as there:
        for _ in range(lab.samples(ROUNDS)):
            for shape, count in _SHAPES:
                ours[shape].append(await _ours(there, shape, count))
                await there.settled()
                for name in [name for name in pythons if name not in lacking]:
                    try:
                        took = await asyncio.to_thread(run_ms, name, pythons[name], shape, count)
                    except Missing as missing:
                        lacking[name] = f"It does not run here: {missing}"
                        continue
                    theirs[name, shape].append(took)
                    lab.say(f"P11 {shape}: {name} {took:.0f} ms, pupload {ours[shape][-1]:.0f} ms")
    return [
        _row(name, shape, count, ours[shape], theirs[name, shape], lacking.get(name, ""))
        for name in PEERS
        for shape, count in _SHAPES
    ]


def _row(name: str, shape: str, count: int, ours: list[float], theirs: list[float], lacking: str) -> Figure:
    what = f"{shape} of {count} behind an upload / {PEERS[name][0].replace('==', ' ')}"
    note = lacking or "Theirs is a whole process, ours a request to a server that runs, from POST to COMPLETE seen."
    return compared(f"P11 {name} {shape}", what, ours, theirs, goal=None if lacking else 1, note=note)
