"""
`ports.Executor` on the local Docker engine.

A container is found by its name, which follows from the attempt, and nothing about it is remembered: whatever was
started, by this process or one that has died, is read from the engine. The engine does not know "start once", so the
rule is here: who created a container starts it; who finds one that was created and not started gives its maker a moment
first, and then starts it in its place, or one that is as ordered now. So it is with one that was armed and not opened,
but that nobody opens it who did not arm it: it is replaced.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pupload import errors, ports
from pupload.adapters.docker import (
    arming,
    armory,
    asking,
    calls,
    confinement,
    containers,
    events,
    gpus,
    images,
    inspection,
    metadata,
    names,
    probe,
    reading,
    refusals,
    streams,
    watching,
)
from pupload.domain import run

_MAKERS_TURN_SECONDS = 2.0
_VANISHING_SECONDS = 30.0
_GLANCE_SECONDS = 0.1
_DYING_SECONDS = 10.0
_KILLS = 3

Inspected = containers.Inspected


class _Whose(Enum):
    """Who is to start a container that is there."""

    OURS = "made now"
    NOBODYS = "made by somebody who does not start it"
    ANOTHERS = "started"


class DockerExecutor:
    """Containers of one instance on one engine. Belongs to the event loop that first uses it."""

    def __init__(
        self,
        *,
        instance: str,
        clock: ports.Clock,
        host: str | None = None,
        pool_size: int = 16,
        quick_seconds: float = 30,
        slow_seconds: float = 120,
        pull_seconds: float = 1800,
        bounds: inspection.Bounds | None = None,
    ) -> None:
        """
        `host` is the engine's address (`unix:///…`, `tcp://…`); None: as for the `docker` command, by its environment.

        At most `pool_size` calls that take the engine long are under way at a time. `quick_seconds`, `slow_seconds`
        and `pull_seconds` are how long it may be silent, or a pull last. Containers outside of `bounds` are not made.
        """
        self._bounds = bounds or inspection.Bounds()
        self._names = names.Names(instance)
        self._calls = calls.Calls(
            host=host, pool_size=pool_size, quick_seconds=quick_seconds, slow_seconds=slow_seconds, clock=clock
        )
        self._asking = asking.Asking(
            self._calls, pool_size=pool_size, quick_seconds=quick_seconds, slow_seconds=slow_seconds
        )
        self._containers = containers.Containers(self._asking)
        self._streams = streams.Streams(self._calls, self._asking, answer_seconds=quick_seconds)
        self._images = images.Images(self._calls, self._asking, self._streams, clock=clock, pull_seconds=pull_seconds)
        self._events = events.Events(label=self._names.label, stream=self._streams, clock=clock)
        self._watching = watching.Watching(self._containers, self._events, self._calls)
        self._reading = reading.Reading(
            self._containers, self._events, self._streams, self._calls, idle_seconds=quick_seconds
        )
        self._made: dict[str, str] = {}
        """Ids of containers that are about to be started, by name."""
        self._starting: dict[run.AttemptRef, asyncio.Lock] = {}
        self._armory = armory.Armory(
            armory.Hands(
                create=self._create,
                look_over=self._inspect_settings,
                check=self._check,
                start=self._start,
                kill=self._kill,
                remove=self._try_remove,
                inspect=self._inspect,
                watch=self._events.watch,
            )
        )

    @property
    def arms(self) -> bool:
        """See `ports.Executor`."""
        return self._calls.local and not self._armory.hopeless

    # ── images ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def resolve_image(self, reference: str) -> str:
        """See `ports.Executor`."""
        return await self._images.resolve(reference)

    # ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def ensure_started(self, order: ports.ContainerOrder) -> None:
        """See `ports.Executor`."""
        async with self._alone_with(order.attempt):
            await self._ensure_started(order)

    @asynccontextmanager
    async def _alone_with(self, attempt: run.AttemptRef) -> AsyncIterator[None]:
        lock = self._starting.setdefault(attempt, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._starting.pop(attempt, None)

    async def _ensure_started(self, order: ports.ContainerOrder) -> None:
        name = self._names.container(order.attempt)
        image = await self._facts(order.image)
        asked = self._settings(order, image)
        if await self._armory.open(order, image, asked):
            self._events.opened(name)
            return
        whose = await self._whose_to_start(name, asked, order)
        if whose is _Whose.NOBODYS and await self._is_outdated(name, asked):
            # Nothing ever ran in it, and what it was made by holds no more.
            await self._remove_unstarted(name)
            whose = await self._whose_to_start(name, asked, order)
        if whose is not _Whose.ANOTHERS:
            await self._check(name, asked)
            arming.clear(order.inputs)
            await self._start(name)

    def _settings(self, order: ports.ContainerOrder, image: images.Facts) -> confinement.Config:
        asked = confinement.config(order, labels=self._names.labels(order.attempt), volumes=image.volumes)
        if not order.entrypoint:
            # Both are said outright: the engine would put the image's own in the place of what is not.
            if not order.argv:
                raise errors.ContainerRefused(reason="no command was given, and the image's entry point is set aside")
            asked["Entrypoint"], asked["Cmd"] = [order.argv[0]], list(order.argv[1:])
        elif order.argv == ():
            # Said outright, else the engine would put the image's own command in place of no arguments.
            if not image.entry_point:
                raise errors.ContainerRefused(reason="no command was given and the image has no entry point")
            asked["Entrypoint"] = list(image.entry_point)
        return asked

    async def _is_outdated(self, name: str, asked: confinement.Config) -> bool:
        """Whether its maker, which is gone, had other settings, or had the run before it changed hands."""
        found = await self._inspect(name)
        return found is not None and bool(confinement.differences(asked, found))

    async def _remove_unstarted(self, name: str) -> None:
        """Not by force: should its maker have started it after all, it stays."""
        with suppress(calls.Refusal):
            await self._containers.remove(name, force=False)

    async def _facts(self, image: str) -> images.Facts:
        try:
            return await self._images.facts(image)
        except calls.Refusal as refusal:
            raise self._cannot_create(refusal, image) from None

    async def _create(self, name: str, asked: confinement.Config, order: ports.ContainerOrder) -> bool:
        """Whether it was made now; False when there is one of this name. Nothing may change `asked` behind this."""
        self._inspect_settings(asked, order)
        try:
            await self._containers.create(name, asked)
        except calls.Refusal as refusal:
            if refusal.status == containers.CONFLICT:
                return False
            if order.secrets is not None and f"does not exist: {order.secrets}" in refusal.reason:
                raise refusals.cannot_see(order.secrets.parent) from None
            raise self._cannot_create(refusal, order.image) from None
        return True

    def _inspect_settings(self, asked: confinement.Config, order: ports.ContainerOrder) -> None:
        wrong = inspection.objections(asked, reference=order.reference, uses=order.uses, bounds=self._bounds)
        if order.reference and not self._images.named(order.reference, order.image):
            wrong.append(f"{order.image} is not the image that {order.reference} names")
        if wrong:
            raise errors.ContainerRefused(reason=f"it may not be made so: {'; '.join(wrong)}")

    def _cannot_create(self, refusal: calls.Refusal, image: str) -> errors.PuploadError:
        if refusal.status == containers.NOT_FOUND and "image" in refusal.reason.lower():
            return errors.ImageMissing(image=image, reason="it was removed after it had been found")
        return refusals.meaning(refusal)

    async def _whose_to_start(self, name: str, asked: confinement.Config, order: ports.ContainerOrder) -> _Whose:
        """There is a container of that name afterwards; a maker that is about to start it is waited for."""
        with self._events.watch(name) as watch:
            patience, makers_turn = _Patience(_VANISHING_SECONDS), _Patience(_MAKERS_TURN_SECONDS)
            while not await self._create(name, asked, order):
                # The name is taken from the moment when another begins to make it until its removal is done.
                while (found := await self._inspect(name)) is not None:
                    if self._names.attempt(found["Config"].get("Labels") or {}) != order.attempt:
                        raise errors.ContainerRefused(reason=f"there is another container named {name}")
                    if arming.never_ran(found):
                        if patience.over:
                            raise self._calls.unavailable(f"container {name} does not go away")
                        if containers.has_ended(found) or makers_turn.over:
                            await self._armory.replace(found)
                        await watch.changed(within_seconds=_GLANCE_SECONDS)
                        continue
                    if containers.status(found) != "created":
                        return _Whose.ANOTHERS
                    if makers_turn.over:
                        return _Whose.NOBODYS
                    await watch.changed(within_seconds=makers_turn.left)
                if patience.over:
                    raise self._calls.unavailable(f"the name {name} is taken and there is no such container")
                await watch.changed(within_seconds=_GLANCE_SECONDS)
            return _Whose.OURS

    async def _check(self, name: str, asked: confinement.Config) -> str:
        """A second look at what the engine made of the order: its id. Removes it where that is less confined."""
        found = await self._inspect(name)
        if found is None:
            raise errors.ContainerRefused(reason="it was removed before it could start")
        if wrong := [*confinement.differences(asked, found), *inspection.additions(found)]:
            await self._discard(name)
            reason = f"the engine would not confine it as ordered: {'; '.join(wrong)}"
            raise errors.ContainerRefused(reason=reason)
        self._made[name] = str(found["Id"])
        return self._made[name]

    async def _start(self, name: str) -> None:
        made = self._made.pop(name, "")
        try:
            await self._containers.start(name)
            self._events.started(name, made)
        except calls.Refusal as refusal:
            await self._discard(name)
            raise refusals.meaning(refusal) from None

    async def _kill(self, name: str) -> None:
        """Nothing of it runs afterwards. What is frozen is not thawed before: it would go on for a moment."""
        with suppress(calls.Refusal):
            await self._calls.slow(lambda client: client.kill(name, "SIGKILL"))

    async def _discard(self, name: str) -> None:
        """Removes what must not stay; that it failed is no news beside the error that follows."""
        with suppress(errors.ExecutorUnavailable):
            await self._containers.remove(name, force=True)

    # ── arming ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def arm(self, order: ports.ContainerOrder) -> bool:
        """
        See `ports.Executor`.

        Not where the engine is on another machine, the image is for other processors than this machine's, or the order
        has secrets, GPUs, devices, presigned URLs or a runtime of its own.
        """
        if not self._calls.local or not self._armory.may_arm(order):
            return False
        async with self._alone_with(order.attempt):
            image = await self._facts(order.image)
            name = self._names.container(order.attempt)
            return await self._armory.arm(name, order, image, self._settings(order, image))

    # ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def ceased(self, attempt: run.AttemptRef) -> None:
        """See `ports.Executor`. Where the engine is on this machine the kernel tells, before the engine knows."""
        await self._watching.ceased(self._names.container(attempt))

    async def wait(self, attempt: run.AttemptRef) -> ports.Exit:
        """See `ports.Executor`. Who is created or armed and not let go for half a minute counts as lost."""
        return await self._watching.wait(self._names.container(attempt), attempt)

    def logs(self, attempt: run.AttemptRef, *, skip: int = 0) -> AsyncIterator[ports.LogLine]:
        """See `ports.Executor`, and `reading.Reading.lines` for how long `skip` counts exactly."""
        return self._reading.lines(self._names.container(attempt), skip)

    async def last_line(self, attempt: run.AttemptRef) -> ports.LogLine | None:
        """See `ports.Executor`."""
        return await self._reading.last_line(self._names.container(attempt))

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self, attempt: run.AttemptRef, *, grace_seconds: float) -> None:
        """See `ports.Executor`. A gate that waits for the attempt ends at once."""
        self._armory.drop(attempt)
        name = self._names.container(attempt)
        with self._events.watch(name) as watch:
            if await self._signal(name, "SIGTERM") and not await self._ended_within(name, watch, grace_seconds):
                for _ in range(_KILLS):
                    if not await self._signal(name, "SIGKILL"):
                        return
                    if await self._ended_within(name, watch, _DYING_SECONDS):
                        return
                raise self._calls.unavailable(f"container {name} does not die")

    async def _signal(self, name: str, signal: Literal["SIGTERM", "SIGKILL"]) -> bool:
        """Whether there was anything running to send it to. What is frozen is thawed, else it would not hear."""
        found = await self._inspect(name)
        if found is None or not found["State"].get("Running"):
            return False
        try:
            if found["State"].get("Paused"):
                await self._calls.slow(lambda client: client.unpause(name))
            await self._calls.slow(lambda client: client.kill(name, signal))
        except calls.Refusal:
            # It ended or went away in between, or was thawed by another: looking again tells.
            found = await self._inspect(name)
            if found is not None and found["State"].get("Running") and not found["State"].get("Paused"):
                raise
        return True

    async def _ended_within(self, name: str, watch: events.Watch, seconds: float) -> bool:
        patience = _Patience(seconds)
        while True:
            found = await self._inspect(name)
            if found is None or not found["State"].get("Running"):
                return True
            if patience.over:
                return False
            await watch.changed(within_seconds=min(patience.left, watching.LOOK_AGAIN_SECONDS))

    async def remove(self, attempt: run.AttemptRef) -> None:
        """See `ports.Executor`."""
        self._armory.drop(attempt)
        name = self._names.container(attempt)
        with self._events.watch(name) as watch:
            patience = _Patience(_DYING_SECONDS)
            while (refused := await self._try_remove(name)) is not None:
                if await self._inspect(name) is None:
                    return
                if patience.over:
                    raise refused
                # Another removal may be under way: its end wakes us.
                await watch.changed(within_seconds=min(patience.left, 1.0))

    async def _try_remove(self, name: str) -> calls.Refusal | None:
        """None when it is gone."""
        try:
            await self._containers.remove(name, force=True)
        except calls.Refusal as refusal:
            return None if refusal.status == containers.NOT_FOUND else refusal
        return None

    # ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────

    async def recover(self) -> Sequence[ports.LiveContainer]:
        """See `ports.Executor`. One that was created and not started is listed as not running."""
        listed = await self._calls.quick(
            lambda client: client.containers(all=True, filters={"label": [self._names.label]})
        )
        return [
            ports.LiveContainer(
                attempt=attempt,
                running=found["State"] in ("running", "paused", "restarting") and not arming.never_ran(found),
            )
            for found in listed
            if (attempt := self._names.attempt(found.get("Labels") or {})) is not None
        ]

    async def outputs(self, attempt: run.AttemptRef) -> Path | None:
        """See `ports.Executor`."""
        found = await self._inspect(self._names.container(attempt))
        mounted = found["Mounts"] if found is not None else ()
        sources = (mount["Source"] for mount in mounted if mount["Destination"] == confinement.OUTPUTS)
        return next((Path(source) for source in sources), None)

    async def identity(self) -> str:
        """See `ports.Executor`. Its own id and its machine's name: the id is copied with the machine."""
        info = await self._calls.quick(lambda client: client.info())
        return f"{info.get('ID', '')} on {info.get('Name', '')}"

    async def capacity(self) -> ports.Capacity:
        """See `ports.Executor`. The storage is that of the disk with the engine's data, 0 if it is elsewhere."""
        info = await self._calls.quick(lambda client: client.info())
        found = await gpus.found(info) if self._calls.local else ()
        by_vendor = {"nvidia": found} if found else {}
        return ports.Capacity(
            cpus=float(info["NCPU"]),
            memory_bytes=int(info["MemTotal"]),
            storage_bytes=_disk_bytes(Path(info["DockerRootDir"])) if self._calls.local else 0,
            gpus={vendor: len(memories) for vendor, memories in by_vendor.items()},
            gpu_memory_bytes={vendor: min(memories) for vendor, memories in by_vendor.items()},
        )

    async def data_folder(self) -> Path | None:
        """See `ports.Executor`."""
        info = await self._calls.quick(lambda client: client.info())
        folder = Path(info["DockerRootDir"]) if self._calls.local else None
        self._reading.files = folder and folder / "containers"
        return folder

    async def probe(self) -> Sequence[ports.ProbeLine]:
        """See `ports.Executor`. An engine that does not answer is a line, not an error."""
        try:
            version = await self._calls.quick(lambda client: client.version())
            info = await self._calls.quick(lambda client: client.info())
        except errors.ExecutorUnavailable as error:
            return probe.unreachable(error, self._calls.host)
        return [*probe.lines(version, info), *await self._probe_policy(info)]

    async def _probe_policy(self, info: Mapping[str, Any]) -> Sequence[ports.ProbeLine]:
        """What the policy names, and what nodes reach on the networks that it allows."""
        policy = self._bounds.policy
        known = {network["Name"] for network in await self._calls.quick(lambda client: client.networks())}
        told = [
            probe.of_metadata(network, await metadata.reached(self._calls, network))
            for network in policy.networks
            if network != "none" and network in known
        ]
        return [*probe.of_policy(policy, info, known), *told]

    async def close(self) -> None:
        """See `ports.Executor`."""
        self._armory.close()
        await self._images.close()
        await self._events.close()
        await self._asking.close()
        await self._calls.close()

    async def _inspect(self, name: str) -> Inspected | None:
        """The container as it is now; None when there is none, or it is just going away."""
        return await self._containers.inspect(name)


class _Patience:
    """A time that runs down while one waits for the engine; not a time-out, for a last look is due at its end."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = asyncio.get_running_loop().time() + seconds

    @property
    def left(self) -> float:
        return max(self._ends_at - asyncio.get_running_loop().time(), 0.0)

    @property
    def over(self) -> bool:
        return self.left <= 0


def _disk_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).total
    except OSError:
        return 0
