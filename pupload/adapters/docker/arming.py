"""
Containers that are started ahead of time, with their commands held at a gate.

An armed container is made like any other; only what it executes is the gate, a program of a few kilobytes (`gate.c`)
that becomes the node's command when it is told to. The gate and the socket by which it is told lie in the attempt's own
`in/`, which nobody else sees, and are gone before the node's command begins.

**Whether the command ever ran** must be known after any crash, from what lies on the disk. It is told by the marker, a
file `opened` beside `in/`, where the node does not see it. It is made empty, and an open file of it goes to the gate
along with the command; the gate writes a byte to it when it has the whole message and is about to execute. So it is not
the controller that says so, before or after the fact, but the gate, at the fact:

* The controller dies before the message is whole: the gate sees the end of it, and ends. The marker is empty.
* It dies afterwards: the gate has all it needs, writes the byte, and the command runs. The marker has its byte, and the
  container is one like any other.
* The command cannot be executed: the gate empties the marker again, says why, and ends.
* The gate is killed between its byte and the command, some microseconds: it counts as having run, and as killed.

So an armed container whose marker is empty never ran, whatever its exit code, and may be replaced. Whoever replaces one
that is not its own kills it first and looks at the marker then: the one that had armed it, frozen meanwhile, can open
nothing any more. After a loss of power the byte may be missing: then the container, which is not running either, counts
as never run, and the attempt is made again, as it is when the engine goes down under it.

The controller's end of the socket is all that keeps a gate waiting. When this process ends, however it ends, so does
the gate.
"""

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pupload import ports
from pupload.adapters.docker import confinement, gate, images

PLACE = f"{confinement.INPUTS}/.gate"
"""Of the gate, in a container."""

ARMED = "pupload.armed"
"""The label of an armed container; it stays when the command runs."""

_GATE, _SOCKET, _MARKER = ".gate", ".gate.sock", "opened"
_MAGIC = 0x45544147
_HEAD, _REPORT = struct.Struct("=IIII"), struct.Struct("=II")

_OPENING_SECONDS = 10.0

Inspected = Mapping[str, Any]
"""As the engine describes a container, or lists it."""


# ── What is asked for ────────────────────────────────────────────────────────────────────────────────────────────


def armed(asked: confinement.Config) -> confinement.Config:
    """The settings of a container, for one that waits at the gate: confined the same, and told nothing yet."""
    labels = {**asked["Labels"], ARMED: "1"}
    return {**asked, "Entrypoint": [PLACE], "Cmd": [], "Env": [], "Labels": labels}


def command(order: ports.ContainerOrder, image: images.Facts) -> list[str]:
    """What the engine would execute for the order; empty where it would refuse for want of a command."""
    arguments = image.command if order.argv is None else order.argv
    return [*(image.entry_point if order.entrypoint else ()), *arguments]


def is_plain(order: ports.ContainerOrder) -> bool:
    """Whether nothing is ordered that a container is only given at its start, or that does without the usual kernel."""
    if order.secrets is not None or order.gpus or order.devices or order.runtime:
        return False
    return not any(name.endswith("_URL") and name.startswith(("INPUT_", "OUTPUT_")) for name in order.environment)


# ── What became of one ───────────────────────────────────────────────────────────────────────────────────────────


def never_ran(found: Inspected) -> bool:
    """
    Whether it is an armed container whose command has not begun.

    Where the attempt's directory is not to be seen (it lies with a controller on another machine), only a gate that
    said so with its exit code counts as one that never ran.
    """
    inputs = _inputs_of_armed(found)
    if inputs is None:
        return False
    try:
        return _marker(inputs).stat().st_size == 0
    except FileNotFoundError:
        state = found.get("State")
        gave_up = isinstance(state, Mapping) and state.get("ExitCode") == gate.GAVE_UP and not state.get("Running")
        return gave_up or inputs.exists()


def opened_at(found: Inspected) -> datetime | None:
    """When an armed container's command began; None for one that was not armed, or has not begun."""
    inputs = _inputs_of_armed(found)
    if inputs is None:
        return None
    try:
        marker = _marker(inputs).stat()
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(marker.st_mtime, UTC) if marker.st_size else None


def _inputs_of_armed(found: Inspected) -> Path | None:
    labels = found["Labels"] if "Labels" in found else (found.get("Config") or {}).get("Labels")
    if ARMED not in (labels or {}):
        return None
    mounts = found.get("Mounts") or ()
    return next((Path(each["Source"]) for each in mounts if each.get("Destination") == confinement.INPUTS), None)


def _marker(inputs: Path) -> Path:
    return inputs.parent / _MARKER


# ── One gate ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of opening a gate."""

    reason: str
    """Why the command does not run; empty: it runs."""
    errno: int = 0
    """Why the kernel would not execute it, where it was tried."""


class Gate:
    """This end of one gate. Whoever has one closes it in the end: then a gate that still waits ends."""

    def __init__(self, asked: confinement.Config) -> None:
        """`asked` is what its container is made as."""
        self.asked = asked
        self.container = ""
        """The engine's id of its container."""
        self.waits = False
        """Whether it has come to wait."""
        self._inputs: Path | None = None
        self._listener: socket.socket | None = None
        self._socket: socket.socket | None = None
        self._marker = -1

    async def place(self, inputs: Path, program: bytes) -> None:
        """Puts the gate where its container will find it, and listens for it. Raises OSError."""
        self._inputs = inputs
        placing = asyncio.ensure_future(asyncio.to_thread(self._place, inputs, program))
        try:
            await asyncio.shield(placing)
        finally:
            # Whoever gives up closes the gate next, and what a thread opens after that nobody would close.
            if not placing.done():
                await asyncio.wait({placing})

    def _place(self, inputs: Path, program: bytes) -> None:
        clear(inputs)
        marker = _marker(inputs)
        marker.unlink(missing_ok=True)  # of an earlier container of the attempt, which is no more
        self._marker = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        folder = os.open(inputs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            file = os.open(_GATE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o555, dir_fd=folder)
            try:
                os.write(file, program)
                os.fchmod(file, 0o555)
            finally:
                os.close(file)
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.setblocking(False)
            # By way of the open folder: the name of a socket may have a hundred letters, that of a folder more.
            self._listener.bind(f"/proc/self/fd/{folder}/{_SOCKET}")
            os.chmod(_SOCKET, 0o666, dir_fd=folder)  # noqa: S103 - for any user of the one container
            self._listener.listen(1)
        finally:
            os.close(folder)

    async def meet(self) -> None:
        """
        Returns when the gate waits; then nothing of it is to be seen any more. May wait for ever.

        Raises OSError when what connects is not the gate.
        """
        assert self._listener is not None
        assert self._inputs is not None
        loop = asyncio.get_running_loop()
        self._socket, _ = await loop.sock_accept(self._listener)
        if await loop.sock_recv(self._socket, _REPORT.size) != _REPORT.pack(_MAGIC, 0):
            raise OSError(errno.EPROTO, "it does not speak as the gate does")
        self._listener.close()
        await asyncio.to_thread(clear, self._inputs)
        self.waits = True

    async def open(self, argv: Iterable[str], environment: Mapping[str, str]) -> Outcome:
        """
        The command runs afterwards; or it does not, or that cannot be told, and the container is of no use.

        In place of the image's variables those of the environment are put, by their names.
        """
        try:
            arguments = [_encoded(each) for each in argv]
            variables = [_encoded(f"{name}={value}") for name, value in environment.items()]
            text = b"".join([*arguments, *variables])
            head = _HEAD.pack(_MAGIC, len(text), len(arguments), len(variables))
            async with asyncio.timeout(_OPENING_SECONDS):
                await self._tell(head, text)
                answer = await self._hear()
        except TimeoutError:
            return Outcome("the gate does not answer")
        except (OSError, ValueError, struct.error) as error:
            return Outcome(f"the gate cannot be told: {error}")
        if len(answer) == _REPORT.size:
            number = _REPORT.unpack(answer)[1]
            return Outcome(f"the gate could not execute it: {os.strerror(number)}", errno=number)
        return Outcome("" if self.opened else "the gate is gone")

    async def _tell(self, head: bytes, text: bytes) -> None:
        assert self._socket is not None
        socket.send_fds(self._socket, [head], [self._marker])
        await asyncio.get_running_loop().sock_sendall(self._socket, text)

    async def _hear(self) -> bytes:
        """Why the command was not executed. Nothing: the gate is gone, for the command is in its place."""
        assert self._socket is not None
        return await asyncio.get_running_loop().sock_recv(self._socket, _REPORT.size)

    @property
    def opened(self) -> bool:
        """Whether the command began. Not to be asked of one that is closed."""
        return os.fstat(self._marker).st_size > 0

    def close(self) -> None:
        """A gate that waits ends, and nothing of it is to be seen."""
        for each in (self._listener, self._socket):
            if each is not None:
                each.close()
        if self._marker >= 0:
            os.close(self._marker)
            self._marker = -1
        if self._inputs is not None:
            clear(self._inputs)


def clear(inputs: Path) -> None:
    """No gate is to be seen in the directory afterwards."""
    for name in (_GATE, _SOCKET):
        with suppress(FileNotFoundError):
            (inputs / name).unlink()


def _encoded(text: str) -> bytes:
    data = text.encode()
    if b"\0" in data:
        raise ValueError("a NUL in a command")
    return data + b"\0"
