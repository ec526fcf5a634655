"""
An engine to try containers on.

A lab has an instance name of its own; when it closes, what its test ordered is removed, and whatever the engine still
has under its label is a leak, which fails the test.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import docker.utils

from pupload import ports
from pupload.adapters.docker import executor, inspection, names
from pupload.adapters.system import clock
from pupload.domain import run
from tests import images

MIB = 1 << 20


def a_user(number: int = 65534) -> str:
    return f"{number}:{number}"


class Orders:
    """Builds orders, each with directories of its own."""

    def __init__(self, folder: Path, image: str) -> None:
        self._folder = folder
        self._image = image
        self.made: list[run.AttemptRef] = []

    def order(self, *argv: str, **changes: Any) -> ports.ContainerOrder:
        """An order of the command, or of the image's own without one."""
        number = len(self.made) + 1
        inputs, outputs = self._folder / f"{number}" / "in", self._folder / f"{number}" / "out"
        inputs.mkdir(parents=True)
        outputs.mkdir()
        outputs.chmod(0o777)
        order = ports.ContainerOrder(
            attempt=run.AttemptRef(run="run_test", node="node", number=number),
            image=self._image,
            argv=argv or None,
            environment={},
            inputs=inputs,
            outputs=outputs,
            user=a_user(),
            network="none",
            memory_bytes=32 * MIB,
            cpus=1.0,
            pids=32,
            tmp_bytes=4 * MIB,
            file_bytes=8 * MIB,
            log_bytes=64 * MIB,
        )
        order = replace(order, **changes)
        self.made.append(order.attempt)
        return order


class Lab(Orders):
    """Orders, an executor for them, and a look past it at the engine."""

    def __init__(self, folder: Path, image: str) -> None:
        super().__init__(folder, image)
        self.instance = f"test-{secrets.token_hex(6)}"
        self.engine: Any = docker.APIClient(**docker.utils.kwargs_from_env())
        self._executors: list[executor.DockerExecutor] = []
        self.executor = self.another()

    def another(self, bounds: inspection.Bounds | None = None) -> executor.DockerExecutor:
        """An executor of the same instance, as another process would have."""
        made = executor.DockerExecutor(instance=self.instance, clock=clock.SystemClock(), bounds=bounds)
        self._executors.append(made)
        return made

    def name(self, order: ports.ContainerOrder) -> str:
        """What the engine calls the order's container."""
        return names.Names(self.instance).container(order.attempt)

    def inspect(self, order: ports.ContainerOrder) -> dict[str, Any]:
        """What the engine says of the order's container."""
        found: dict[str, Any] = self.engine.inspect_container(self.name(order))
        return found

    def left(self) -> list[str]:
        """Names of all containers that carry the label."""
        found = self.engine.containers(all=True, filters={"label": [f"{names.INSTANCE}={self.instance}"]})
        return [container["Names"][0] for container in found]

    async def finish(self, order: ports.ContainerOrder) -> tuple[ports.Exit, list[ports.LogLine]]:
        """Starts it and waits: how it ended and what it said."""
        await self.executor.ensure_started(order)
        ended = await self.executor.wait(order.attempt)
        return ended, [line async for line in self.executor.logs(order.attempt)]

    async def said(self, *command: str, **changes: Any) -> str:
        """What a shell line writes to stdout."""
        _, lines = await self.finish(self.order("sh", "-c", *command, **changes))
        return "\n".join(line.message for line in lines if line.stream == "stdout")

    async def close(self) -> None:
        """Removes what was ordered; raises AssertionError when that leaves anything."""
        cleaner = self.another()
        for attempt in self.made:
            await cleaner.remove(attempt)
        left = self.left()
        for name in left:
            self.engine.remove_container(name, force=True, v=True)
        for each in self._executors:
            await each.close()
        self.engine.close()
        assert not left, f"left behind: {left}"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Lab]:
    """A lab on the engine of the environment, with the busybox image."""
    found = Lab(folder, "")
    found._image = await found.executor.resolve_image(images.busybox())
    try:
        yield found
    finally:
        await found.close()
