"""Images of node types, built by the docker command."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pupload import errors

_LONGEST_LINE_BYTES = 1 << 20
"""That a builder may print."""


SYSTEM = "pupload/system:bookworm"
"""What the node types that ship install their packages on."""
BASE = "pupload/base:bookworm"
"""That, and the functions which their entry points share."""


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

    Where it stands on `SYSTEM` or `BASE`, and that is not there, both are built first, of the folder `base` if that is
    given.

    Raises `errors.Misconfigured` where there is no docker command or no Dockerfile, `errors.Conflict` when the build
    fails.
    """
    _need_docker()
    if not (folder / "Dockerfile").is_file():
        raise errors.Misconfigured(reason=f"{folder} has no Dockerfile")
    if base is not None:
        await _make_ground((folder / "Dockerfile").read_text("utf-8"), base, on_line)
    if await _build(folder, tag, on_line, network="default") is None:
        return
    # Some machines let only their own network out to package sources. It comes second, because what is built on it
    # reaches whatever listens on the machine's loopback; steps that went well are not done again.
    on_line("once more, on the machine's own network")
    last = await _build(folder, tag, on_line, network="host")
    if last is not None:
        raise errors.Conflict(reason=f"building {tag} failed: {last}")


async def _make_ground(dockerfile: str, base: Path, on_line: Callable[[str], None]) -> None:
    """Builds what the Dockerfile stands on, where it is ours and not there."""
    missing = [image for image in (SYSTEM, BASE) if image in dockerfile and not await is_there(image)]
    if missing == [BASE] and not await is_there(SYSTEM):
        missing = [SYSTEM, BASE]
    if not missing:
        return
    on_line(f"{' and '.join(missing)} first")
    with TemporaryDirectory() as made:
        context = Path(made, "base")
        await asyncio.to_thread(shutil.copytree, base, context)
        # For authorities that only this machine trusts, of which scripts/base-image knows.
        (context / "authorities").mkdir(exist_ok=True)
        # What is there stays as it is, and the second stands on the first: that may have been made without a registry.
        for image, options in ((SYSTEM, ("--target", "system")), (BASE, ("--build-arg", f"DEBIAN={SYSTEM}"))):
            if image not in missing:
                continue
            last = await _build(context, image, on_line, *options, network="default")
            if last is not None:
                reason = f"building {image} failed: {last}; scripts/base-image makes it without a registry"
                raise errors.Conflict(reason=reason)


async def _build(folder: Path, tag: str, on_line: Callable[[str], None], *options: str, network: str) -> str | None:
    """None when the image was built, else the builder's last words."""
    process = await asyncio.create_subprocess_exec(
        *("docker", "build", "--tag", tag, "--network", network, *options, str(folder)),
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
