"""
Waiting for the end of a container.

What the engine's events told from its start on is believed (see `events`); for everything else the engine is asked. So
a container that was started here and ended well costs no question at all.
"""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pupload import errors, ports
from pupload.adapters.docker import arming, calls, cgroup, containers, ends, events, firsts
from pupload.domain import run

LOOK_AGAIN_SECONDS = 10.0
"""How often who waits inspects without having been woken: the back-up for lost events."""

_SAMPLE_SECONDS = 0.25
"""
After so long the memory is looked at again, and then ever more rarely. The look at the end tells all, but comes too
late now and then: the engine removes the group within some ten milliseconds.
"""
_NEVER_STARTED_SECONDS = 30.0
_AFTERTHOUGHT_SECONDS = 0.05
"""So much later than the container ended the engine may tell of the signal that ended it."""


class Watching:
    """Waits, for however many containers."""

    def __init__(
        self,
        there: containers.Containers,
        happened: events.Events,
        asks: calls.Calls,
        *,
        groups: cgroup.Groups | None = None,
    ) -> None:
        self._containers = there
        self._events = happened
        self._calls = asks
        self._groups = groups or cgroup.Groups()
        self._firsts = firsts.Firsts(self._groups)

    async def wait(self, name: str, attempt: run.AttemptRef) -> ports.Exit:
        """
        As `ports.Executor.wait`.

        A container that was created and that nobody starts for half a minute counts as lost.
        """
        never_started, looked_on, look = 0.0, False, False
        first: firsts.First | None = None
        with self._events.watch(name) as watch, ExitStack() as held:
            while True:
                life = self._events.life(name)
                memory = first.memory if first is not None else cgroup.Memory()
                if life is not None and life.ended_well and not memory.oom_kills:
                    return ends.good(
                        started_ns=life.started_ns, died_ns=life.died_ns, peak_memory_bytes=memory.peak_bytes
                    )
                if life is not None and life.runs and not look:
                    container, pid = life.id, 0
                else:
                    found = await self._containers.inspect(name)
                    waits = found is not None and arming.never_ran(found)
                    over = waits and found is not None and containers.has_ended(found)
                    if found is None or never_started >= _NEVER_STARTED_SECONDS or over:
                        raise errors.ContainerLost(attempt=attempt.id)
                    if containers.has_ended(found):
                        return await self._exit(found, memory, oom_seen=watch.oom, looked_on=looked_on)
                    if waits or containers.status(found) == "created":
                        looked_on = look = True
                        if not await watch.changed(within_seconds=LOOK_AGAIN_SECONDS):
                            never_started += LOOK_AGAIN_SECONDS
                        continue
                    container, pid = found["Id"], found["State"].get("Pid") or 0
                looked_on = True
                first = first or held.enter_context(self._firsts.watched(container, pid))
                look = not await _changed(watch, first)

    async def ceased(self, name: str) -> None:
        """As `ports.Executor.ceased`."""
        with self._events.watch(name) as watch:
            while True:
                life = self._events.life(name)
                if life is not None and life.runs and (self._groups.of(life.id) or not self._calls.local):
                    container, pid = life.id, 0
                else:
                    found = await self._containers.inspect(name)
                    if found is None or containers.has_ended(found):
                        return
                    container, pid = found["Id"], found["State"].get("Pid") or 0
                with self._firsts.watched(container, pid) as first:
                    if first is not None and first.sure:
                        await first.gone.wait()
                        return
                await watch.changed(within_seconds=LOOK_AGAIN_SECONDS)
                life = self._events.life(name)
                if life is not None and life.ended:
                    return

    async def _exit(
        self, found: containers.Inspected, memory: cgroup.Memory, *, oom_seen: bool, looked_on: bool
    ) -> ports.Exit:
        """The events that were seen suffice for a good end that was looked on at; else the engine is asked for more."""
        state, since = found["State"], None
        sent = self._events.signal(found["Name"].lstrip("/"))
        if state.get("ExitCode") or not looked_on:
            sent = sent or await self._calls.quick(lambda client: _last_signal(client, found))
            since = ends.since(await self._calls.quick(lambda client: client.networks(names=["bridge"])))
        oom = bool(state.get("OOMKilled")) or oom_seen or memory.oom_kills > 0
        # At the moment of the kill all of it was in use, whether a sample fell into that moment or not.
        peak = int(found["HostConfig"]["Memory"]) or memory.peak_bytes if oom else memory.peak_bytes
        ended = ends.exit_of(state, oom=oom, peak_memory_bytes=peak, sent=sent, engine_since=since)
        return replace(ended, started_at=arming.opened_at(found) or ended.started_at)


async def _changed(watch: events.Watch, first: firsts.First | None) -> bool:
    """Whether it was woken; False: it is time to inspect unasked. The memory is read meanwhile, ever more rarely."""
    waited = 0.0
    pause = _SAMPLE_SECONDS
    while waited < LOOK_AGAIN_SECONDS:
        if await watch.changed(within_seconds=min(pause, LOOK_AGAIN_SECONDS - waited)):
            return True
        if first is not None:
            first.memory.sample()
        waited += pause
        pause *= 2
    return False


def _last_signal(client: calls.Sdk, found: containers.Inspected) -> int | None:
    """From the events that this life of the engine remembers. For the past alone, by the engine's clock: no waiting."""
    finished_at = ends.moment(found["State"].get("FinishedAt"))
    if finished_at is None:
        return None
    until = f"{finished_at.timestamp() + _AFTERTHOUGHT_SECONDS:.6f}"
    filters: dict[str, Any] = {"container": [found["Id"]], "event": ["kill", "start"]}
    return ends.last_signal(client.events(since="1", until=until, filters=filters, decode=True))
