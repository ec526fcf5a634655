"""Containers, and the engine that runs them."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pupload.domain import events, run, tiers
from pupload.ports.objects import ProbeLine
from pupload.ports.runs import LogLine


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOrder:
    """Everything about the container of one attempt. Nothing in it is a secret but what is in `secrets`."""

    attempt: run.AttemptRef
    image: str
    """As `resolve_image` returned it: an immutable id, never a tag."""
    reference: str = ""
    """The name that `resolve_image` was given: what the operator's policy judges."""
    uses: str = ""
    """The node type, which it judges as well."""
    argv: tuple[str, ...] | None
    """Arguments after the image's own entry point; None: the image's own command."""
    entrypoint: bool = True
    """Whether the image's entry point runs them; if not, the first of them is the program."""
    environment: Mapping[str, str]
    inputs: Path
    """A directory of this machine, mounted read-only at /pupload/in."""
    outputs: Path
    """A directory of this machine, mounted at /pupload/out."""
    secrets: Path | None = None
    """A directory of this machine, in memory, mounted read-only at /run/secrets; None: nothing is."""
    user: str
    """`uid:gid`."""
    network: str
    """`none`, `bridge`, or a network of the engine's by name."""
    memory_bytes: int
    """Memory and swap together."""
    cpus: float
    pids: int
    tmp_bytes: int
    """The size of the tmpfs at /tmp."""
    file_bytes: int
    """No file may grow larger."""
    log_bytes: int
    """What is read of the log at most: so much of its beginning the engine must keep until the attempt ends."""
    gpus: int = 0
    gpu_vendor: str = ""
    capabilities: tuple[str, ...] = ()
    """Added back, without `CAP_`; all others are dropped."""
    devices: tuple[str, ...] = ()
    """Paths of device files."""
    runtime: str = ""
    """The engine's runtime by name; empty: its own choice."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Beside those that every container of an attempt carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a container ended, as its engine tells."""

    code: int
    oom: bool
    """The kernel killed it (or a process in it) for memory."""
    started_at: datetime | None
    finished_at: datetime | None
    peak_memory_bytes: int | None = None
    """None where the engine's host does not tell."""
    error: str = ""
    """What the engine says when the command could not even be started."""
    signalled: str = ""
    """The signal that it was sent through the engine, such as `SIGTERM`: by `Executor.stop`, or by anybody else."""
    engine_restarted: bool = False
    """It ended with the engine, which went down or came back: by the engine's own times, not by the code alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContainer:
    """A container of ours that exists, running or not."""

    attempt: run.AttemptRef
    running: bool


Capacity = tiers.Capacity
"""What the engine's machine has in all."""


class Executor(Protocol):
    """
    Runs containers, one per attempt, idempotent by the attempt's id.

    Every method raises `errors.ExecutorUnavailable` when the engine does not answer within its time limit. What an
    attempt came to is read from the engine, never remembered: any method may be called by a process that did not
    make the container.
    """

    @property
    def arms(self) -> bool:
        """Whether `arm` may say yes at all; where it cannot, nothing is got ready for it."""

    async def resolve_image(self, reference: str) -> str:
        """
        The immutable id of the image, pulled first when it is not on this machine.

        Many callers of one reference share one pull. Raises `errors.ImageMissing`, `errors.ImageRateLimited`,
        `errors.DiskFull`.
        """

    async def ensure_started(self, order: ContainerOrder) -> None:
        """
        The attempt's container exists and was started: made now, or found. Twice makes one container.

        Raises `errors.ContainerRefused` when the engine will never start it, `errors.ImageMissing`.
        """

    async def arm(self, order: ContainerOrder) -> bool:
        """
        The attempt's container is made and started ahead of time, and its command waits: `ensure_started` lets it go.

        That takes next to no time then. `argv` and `environment` mean nothing yet: those that `ensure_started` is given
        count. Returns whether one waits; False, and nothing is left, where engine, image or order do not allow it. A
        container that waits ends by itself when this process does, and never counts as one that ran; `remove` removes
        it, and `ensure_started` makes another in its place where it is not as the attempt is ordered by then. Raises as
        `ensure_started` does.
        """

    async def ceased(self, attempt: run.AttemptRef) -> None:
        """
        Returns when nothing of the attempt's container writes any more: `wait` knows how it ended a moment later.

        It may be as late as `wait` where the engine's host does not tell sooner. Returns at once where there is no
        container, and raises only `errors.ExecutorUnavailable`.
        """

    async def wait(self, attempt: run.AttemptRef) -> Exit:
        """
        Returns when the attempt's container has ended, at once when it has already.

        Raises `errors.ContainerLost` when there is none (any more). Never hangs on a container that is gone.
        """

    def logs(self, attempt: run.AttemptRef, *, skip: int = 0) -> AsyncIterator[LogLine]:
        """
        Every line of stdout and stderr with its time, live, until the container has ended; the first `skip` left out.

        A line longer than 16 KiB comes in pieces; bytes that are no UTF-8 are replaced. The order within a stream is
        the order of writing. Ends quietly when the container is gone.
        """

    async def last_line(self, attempt: run.AttemptRef) -> LogLine | None:
        """
        The last line of stdout and stderr, when the container has ended; None where there is none (any more).

        For a log that is read no further: what came between is not looked at.
        """

    async def stop(self, attempt: run.AttemptRef, *, grace_seconds: float) -> None:
        """TERM, `grace_seconds`, KILL. Returns when the engine says it does not run; at once when there is none."""

    async def remove(self, attempt: run.AttemptRef) -> None:
        """The container and all it made (volumes, networks) are gone afterwards; killed first if need be."""

    async def outputs(self, attempt: run.AttemptRef) -> Path | None:
        """
        The directory of this machine that the attempt's container has as `ContainerOrder.outputs`.

        It may lie with another controller, which made the container. None when there is no container.
        """

    async def recover(self) -> Sequence[LiveContainer]:
        """All containers of this instance that exist, by label."""

    async def identity(self) -> str:
        """Names the engine, the same for everybody who uses it: two with one engine share its room."""

    async def capacity(self) -> Capacity:
        """What there is in all, not what is free."""

    async def data_folder(self) -> Path | None:
        """Where the engine keeps its data; None when that is not on this machine."""

    async def probe(self) -> Sequence[ProbeLine]:
        """For `pup doctor`: versions, runtime, cgroups, user namespaces; each line ok or how to mend it."""

    async def close(self) -> None:
        """Gives up connections and threads. Containers go on."""


Report = Callable[[str, Iterable[events.Event]], None]
"""How adapters tell the engine: a run's id and what happened."""
