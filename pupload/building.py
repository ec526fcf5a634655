"""Images of node types, built by the docker command."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pupload import errors

_LONGEST_LINE_BYTES = 1 << 20
"""That a builder may print."""


BASE = "pupload/base:bookworm"
"""What node types are built on."""


async def is_there(image: str) -> bool:
    """Whether the engine has the image. Raises `errors.Misconfigured` where there is no docker command."""
    _need_docker()
    process = await asyncio.create_subprocess_exec(
        *("docker", "image", "inspect", image), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


def _need_docker() -> None:
    if shutil.which("docker") is None:
        raise errors.Misconfigured(reason="the docker command is not there; install Docker to build images")


async def build_node(folder: Path, tag: str, on_line: Callable[[str], None], *, base: Path | None = None) -> None:
    """
    Builds the image of the node type in `folder` and names it `tag`; `on_line` gets the builder's output.

    Where it stands on `BASE`, and that is not there, it is built first, of the folder `base` if that is given.

    Raises `errors.Misconfigured` where there is no docker command or no Dockerfile, `errors.Conflict` when the build
    fails.
    """
    _need_docker()
    if not (folder / "Dockerfile").is_file():
        raise errors.Misconfigured(reason=f"{folder} has no Dockerfile")
    if base is not None and BASE in (folder / "Dockerfile").read_text("utf-8") and not await is_there(BASE):
        on_line(f"{BASE} comes first")
        await _build_base(base, on_line)
    if await _build(folder, tag, on_line, network="default") is None:
        return
    # Some machines let only their own network out to package sources. It comes second, because what is built on it
    # reaches whatever listens on the machine's loopback; steps that went well are not done again.
    on_line("once more, on the machine's own network")
    last = await _build(folder, tag, on_line, network="host")
    if last is not None:
        raise errors.Conflict(reason=f"building {tag} failed: {last}")


async def _build_base(folder: Path, on_line: Callable[[str], None]) -> None:
    with TemporaryDirectory() as made:
        context = Path(made, "base")
        await asyncio.to_thread(shutil.copytree, folder, context)
        # For authorities that only this machine trusts, of which scripts/base-image knows.
        (context / "authorities").mkdir(exist_ok=True)
        last = await _build(context, BASE, on_line, network="default")
    if last is not None:
        raise errors.Conflict(reason=f"building {BASE} failed: {last}; scripts/base-image makes it without a registry")


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
