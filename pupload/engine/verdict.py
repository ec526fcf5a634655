"""What an attempt's end means, in a sentence that a person can act on."""

import asyncio
from dataclasses import replace

from pupload import errors
from pupload.domain import tiers
from pupload.domain.events import AttemptFailed
from pupload.domain.run import AttemptRef, Failure
from pupload.domain.tiers import Tier
from pupload.ports import Exit

MIB = 1024 * 1024

SIGNALS = {
    129: "SIGHUP",
    130: "SIGINT",
    131: "SIGQUIT",
    132: "SIGILL",
    134: "SIGABRT",
    135: "SIGBUS",
    136: "SIGFPE",
} | {
    137: "SIGKILL",
    139: "SIGSEGV",
    141: "SIGPIPE",
    143: "SIGTERM",
    153: "SIGXFSZ",
}
"""Exit codes from 128 up mean a signal; these are worth a name."""

QUOTED = 300
"""Characters of a node's last words that an error quotes."""


def of_end(
    ref: AttemptRef, ended: Exit, tier: Tier, last_line: str, too_much: str, shortage: str, *, stopped: bool
) -> AttemptFailed | None:
    """The failure that an attempt's end is, with what it wrote too much and what disks lack; None for a good one."""
    failed = of_footprint(ref, ended, tier, too_much) or of_exit(ref, ended, tier, last_line, stopped=stopped)
    return of_disk(failed, shortage) if failed is not None and failed.failure == Failure.EXIT else failed


def of_exit(ref: AttemptRef, ended: Exit, tier: Tier, last_line: str, *, stopped: bool = False) -> AttemptFailed | None:
    """
    The failure that this exit is; None for a good end.

    `stopped` says that we told it to stop. What ends after it was told to did not end of itself, whatever its code:
    what it wrote may be cut off.
    """
    if ended.engine_restarted:
        return _failed(ref, Failure.RUNTIME, "ended by a restart of the container engine", ended)
    if ended.signalled and not stopped:
        return _failed(ref, Failure.RUNTIME, f"stopped from outside ({ended.signalled}), not by itself", ended)
    if ended.signalled and ended.code == 0:
        return _failed(ref, Failure.CANCELLED, "stopped", ended)
    if ended.code == 0:
        return None
    if ended.oom:
        return _failed(ref, Failure.OOM, _out_of_memory(ended, tier), ended)
    if ended.error:
        return _failed(ref, Failure.NOT_STARTABLE, f"the command could not be started: {ended.error}", ended)
    if ended.code == 153:
        limit = f"the limit of {tier.storage_bytes // MIB} MiB ({tier.name})"
        return _failed(ref, Failure.STORAGE, f"wrote a file larger than {limit}{_more_storage(tier)}", ended)
    signal = f" ({SIGNALS[ended.code]})" if ended.code in SIGNALS else ""
    words = f": {last_line[:QUOTED]}" if last_line else ""
    return _failed(ref, Failure.EXIT, f"exit code {ended.code}{signal}{words}", ended)


def of_footprint(ref: AttemptRef, ended: Exit, tier: Tier, too_much: str) -> AttemptFailed | None:
    """The failure of an attempt that wrote too much, however it ended; None where `too_much` says nothing."""
    if not too_much:
        return None
    advice = _more_storage(tier) if too_much.startswith("wrote") else ""
    return _failed(ref, Failure.STORAGE, f"killed: {too_much}{advice}", ended)


def of_disk(failed: AttemptFailed, shortage: str) -> AttemptFailed:
    """The same, but not the node's fault where it ended when the disk was full; `shortage` says so, or is empty."""
    if not shortage:
        return failed
    return replace(failed, failure=Failure.DISK_FULL, reason=f"the disk was full: {shortage}; {failed.reason}")


def of_error(ref: AttemptRef, error: BaseException) -> AttemptFailed:
    """The failure that this error is."""
    failure = Failure.RUNTIME
    if isinstance(error, errors.AttemptFailed):
        failure = Failure(error.failure)
    elif isinstance(error, errors.DiskFull):
        failure = Failure.DISK_FULL
    elif isinstance(
        error, errors.StoreUnavailable | errors.StoreRefused | errors.ObjectForbidden | errors.ObjectAbsent
    ):
        failure = Failure.STORE
    reason = str(error) if isinstance(error, errors.PuploadError) else f"internal error: {type(error).__name__}"
    if isinstance(error, asyncio.CancelledError):
        failure, reason = Failure.CANCELLED, "stopped before it was started"
    return AttemptFailed(node=ref.node, attempt=ref.number, failure=failure, reason=reason)


def _more_storage(tier: Tier) -> str:
    """What to do about it, where there is a tier of the family with more."""
    larger = next((one for one in tiers.larger(tier) if one.storage_bytes > tier.storage_bytes), None)
    return f"; try {larger.name}" if larger is not None else ""


def _out_of_memory(ended: Exit, tier: Tier) -> str:
    limit = tier.memory_bytes // MIB
    used = f"used {min(ended.peak_memory_bytes or tier.memory_bytes, tier.memory_bytes) // MIB} MiB"
    larger = tiers.next_larger(tier)
    advice = f"; try {larger.name}" if larger is not None else ""
    return f"killed: {used}, the limit of {tier.name} is {limit} MiB{advice}"


def _failed(ref: AttemptRef, failure: Failure, reason: str, ended: Exit) -> AttemptFailed:
    return AttemptFailed(
        node=ref.node,
        attempt=ref.number,
        failure=failure,
        reason=reason,
        exit_code=ended.code,
        peak_memory_bytes=ended.peak_memory_bytes,
    )
