"""
The first process of a container, watched from outside.

When it is gone, nothing of the container runs any more: number 1 of a namespace of processes takes all others with it,
and the kernel tells of its end only when they have ended. Every container has such a namespace of its own (`PidMode`
may be nothing else, see `inspection`). The engine tells the same thirty milliseconds later, when it has cleaned up.

That is also the last moment to look at the memory it took.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pupload.adapters.docker import cgroup


@dataclass(slots=True)
class First:
    """The first process of one container."""

    memory: cgroup.Memory
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    sure: bool = False
    """Whether `gone` will be told; else the process is not to be seen, or ended already."""
    watchers: int = 0
    _fd: int = -1

    def open(self, pid: int) -> None:
        """Watches that process, where it is there and the system can."""
        try:
            self._fd = os.pidfd_open(pid)
        except (OSError, AttributeError):
            return
        asyncio.get_running_loop().add_reader(self._fd, self._end)
        self.sure = True

    def _end(self) -> None:
        self.close()
        self.memory.sample()
        self.gone.set()

    def close(self) -> None:
        """Watches no more."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class Firsts:
    """Those that are watched now: one for however many wait for a container."""

    def __init__(self, groups: cgroup.Groups) -> None:
        self._groups = groups
        self._there: dict[str, First] = {}

    @contextmanager
    def watched(self, container: str, pid: int = 0) -> Iterator[First | None]:
        """
        While inside, the first process of the running container; None where nothing of it is to be seen.

        `pid` is a process of it by the engine's word.
        """
        first = self._there.get(container) or self._find(container, pid)
        if first is None:
            yield None
            return
        first.watchers += 1
        try:
            yield first
        finally:
            first.watchers -= 1
            if not first.watchers:
                self._there.pop(container, None)
                first.close()

    def _find(self, container: str, pid: int) -> First | None:
        group = self._groups.of(container, pid)
        if group is None:
            return None
        first = First(cgroup.Memory(group=group))
        pid = self._groups.first_process(group)
        if pid:
            first.open(pid)
        # Opened first and looked at again then: what is still the same process was the one that was opened.
        if first.sure and self._groups.first_process(group) != pid:
            first.close()
            first.sure = False
        first.memory.sample()
        self._there[container] = first
        return first
