"""Images of node types, built by the docker command."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from pupload import errors

_LONGEST_LINE_BYTES = 1 << 20
"""That a builder may print."""


async def build_node(folder: Path, tag: str, on_line: Callable[[str], None]) -> None:
    """
    Builds the image of the node type in `folder` and names it `tag`; `on_line` gets the builder's output.

    Raises `errors.Misconfigured` where there is no docker command or no Dockerfile, `errors.Conflict` when the build
    fails.
    """
    if shutil.which("docker") is None:
        raise errors.Misconfigured(reason="the docker command is not there; install Docker to build images")
    if not (folder / "Dockerfile").is_file():
        raise errors.Misconfigured(reason=f"{folder} has no Dockerfile")
    if await _build(folder, tag, on_line, network="default") is None:
        return
    # Some machines let only their own network out to package sources. It comes second, because what is built on it
    # reaches whatever listens on the machine's loopback; steps that went well are not done again.
    on_line("once more, on the machine's own network")
    last = await _build(folder, tag, on_line, network="host")
    if last is not None:
        raise errors.Conflict(reason=f"building {tag} failed: {last}")


async def _build(folder: Path, tag: str, on_line: Callable[[str], None], *, network: str) -> str | None:
    """None when the image was built, else the builder's last words."""
    process = await asyncio.create_subprocess_exec(
        *("docker", "build", "--tag", tag, "--network", network, str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=_LONGEST_LINE_BYTES,
    )
    assert process.stdout is not None
    last = ""
    try:
        async for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            on_line(text)
            last = text or last
        ended = await process.wait()
    finally:
        if process.returncode is None:  # interrupted
            process.kill()
            await process.wait()
    return last if ended else None
