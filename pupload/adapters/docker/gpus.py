"""The graphics cards that the engine can hand out: nvidia's, where its container toolkit is installed."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

_QUERY = ("--query-gpu=memory.total", "--format=csv,noheader,nounits")
_PATIENCE_SECONDS = 10


async def found(info: Mapping[str, Any]) -> Sequence[int]:
    """The memory of each in bytes. Empty without the toolkit or its `nvidia-smi`, or when a driver does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None or "nvidia" not in (info.get("Runtimes") or {}):
        return ()
    process = await asyncio.create_subprocess_exec(
        program, *_QUERY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return ()
    return read(output.decode("utf-8", "replace")) if process.returncode == 0 else ()


def read(output: str) -> Sequence[int]:
    """From the tool's MiB, one card a line."""
    return [int(line) << 20 for line in output.split() if line.isdecimal()]
