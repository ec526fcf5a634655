"""
The `git` program, started so that nothing but what it is told counts.

No configuration of the machine or of a user, no hook, no prompt, no submodule, no credential helper, no redirect; only
the protocols that sources may have. It has little memory, writes no large files, and is ended with all its helpers when
it takes too long or tells too much.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pupload import errors

MEMORY_KIB = 2 * 1024 * 1024
"""Of addresses of each of its processes."""

MOST_PACK_BYTES = 512 * 1024 * 1024
"""Of the one commit that is fetched, packed."""

MOST_WORDS = 300
"""Letters of what it says when it fails."""

_LIMITED = 'for limit in "-c 0" "-f $1" "-v $2"; do ulimit $limit 2>/dev/null; done; shift 2; exec "$@"'
"""Systems that do not know a limit go without it."""

_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "transfer.bundleURI": "false",
    "transfer.credentialsInUrl": "die",
    "transfer.unpackLimit": "1",
    "uploadpack.packObjectsHook": "",
}

_SSH = (
    "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oForwardAgent=no -oForwardX11=no -oClearAllForwardings=yes "
    "-oPermitLocalCommand=no -oConnectTimeout=20"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Git, on one source."""

    source: str
    """Its name, for messages."""
    home: Path
    """An empty folder."""
    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    """More of it, which may be secret: told in the environment, where no list of processes shows it."""

    async def ask(
        self, *arguments: str, seconds: float, most_bytes: int = 1 << 20, given: bytes | None = None
    ) -> bytes:
        """
        What it writes, when it is `given` that.

        Raises `errors.SourceUnavailable` when it fails, takes longer, or writes more.
        """
        process = await self._start(arguments)
        try:
            async with asyncio.timeout(seconds):
                written, said, _ = await asyncio.gather(
                    self._all_of(process.stdout, most_bytes), self._end_of(process.stderr), _give(process, given)
                )
                code = await process.wait()
        except TimeoutError:
            raise self._unavailable(f"git {arguments[0]} took longer than {seconds:g} s") from None
        finally:
            _end(process)
            await process.wait()
        if code:
            raise self._unavailable(said or f"git {arguments[0]} ended with exit code {code}")
        return written

    async def _start(self, arguments: Sequence[str]) -> asyncio.subprocess.Process:
        program = shutil.which("git")
        if program is None:
            raise self._unavailable("the git program is not installed")
        limits = (str(MOST_PACK_BYTES // 512), str(MEMORY_KIB))
        return await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _LIMITED, "sh", *limits, program, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(Path(program).parent),
            cwd=self.home,
            start_new_session=True,
        )

    def _environment(self, programs: Path) -> dict[str, str]:
        config = {**_CONFIG, **self.config}
        told = {"GIT_CONFIG_COUNT": str(len(config))}
        for number, (name, value) in enumerate(config.items()):
            told |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        return told | {
            "PATH": f"{programs}:{os.defpath}",
            "HOME": str(self.home),
            "LC_ALL": "C",
            "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_SSH_COMMAND": _SSH,
            "GIT_SSH_VARIANT": "ssh",
            "GIT_TERMINAL_PROMPT": "0",
        }

    async def _all_of(self, stream: asyncio.StreamReader | None, most_bytes: int) -> bytes:
        assert stream is not None
        found = bytearray()
        while piece := await stream.read(1 << 16):
            found += piece
            if len(found) > most_bytes:
                raise self._unavailable("it is larger than a source may be; name a folder in it")
        return bytes(found)

    async def _end_of(self, stream: asyncio.StreamReader | None) -> str:
        """The last of what it says, made fit to be shown; all of it is read, for a full pipe would stop it."""
        assert stream is not None
        last = b""
        while piece := await stream.read(1 << 16):
            last = (last + piece)[-4096:]
        lines = [line.strip() for line in last.decode(errors="replace").splitlines() if line.strip()]
        wrong = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "ssh:"))] or lines[-1:]
        text = "; ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in wrong)
        return "".join(letter if letter.isprintable() else " " for letter in text)[:MOST_WORDS]

    def _unavailable(self, reason: str) -> errors.SourceUnavailable:
        return errors.SourceUnavailable(source=self.source, reason=reason)


async def _give(process: asyncio.subprocess.Process, given: bytes | None) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        if given:
            process.stdin.write(given)
            await process.stdin.drain()
        process.stdin.close()


def _end(process: asyncio.subprocess.Process) -> None:
    """It and its helpers, which are a session of their own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
