"""
Why a container ended: of itself, or because somebody or something else ended it. Pure.

An exit code does not tell. A node that killed itself, one that was killed by hand and one that went down with its
engine all end with 137, and one that handles TERM ends as it likes. What tells is the engine: its events name every
signal that it was asked to send, and its times say whether it was restarted about when the container ended.
"""

import signal
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pupload import ports

_RESTART_WINDOW = timedelta(seconds=30)
"""
An engine that goes down ends its containers within seconds; one that was killed ends them when it comes up again. A
node that failed of itself so shortly before a restart is tried once more than it need be, at nobody's cost.
"""
_ENDING = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM})
"""Who sends one of these wants an end. Others may mean something to the node, and only count when it died of them."""


def exit_of(
    state: Mapping[str, Any],
    *,
    oom: bool,
    peak_memory_bytes: int | None,
    sent: int | None,
    engine_since: datetime | None,
) -> ports.Exit:
    """
    How a container ended, from the engine's description of its state.

    `sent` is the last signal that the engine was asked to send to it, `engine_since` when the engine was started.
    """
    code = int(state["ExitCode"])
    started_at, finished_at = moment(state.get("StartedAt")), moment(state.get("FinishedAt"))
    if started_at and finished_at:
        # The engine notes the start when it has heard of it: a short command is over by then.
        finished_at = max(started_at, finished_at)
    return ports.Exit(
        code=code,
        oom=oom,
        started_at=started_at,
        finished_at=finished_at,
        peak_memory_bytes=peak_memory_bytes,
        error=str(state.get("Error") or ""),
        signalled=_name(sent) if sent is not None and (sent in _ENDING or code == 128 + sent) else "",
        engine_restarted=code != 0 and _went_with(engine_since, started_at, finished_at),
    )


def good(*, started_ns: int, died_ns: int, peak_memory_bytes: int | None) -> ports.Exit:
    """How a container ended of which the engine's events told all, and nothing but good."""
    died_at = _at(died_ns)
    started_at = min(_at(started_ns), died_at) if started_ns else None
    return ports.Exit(
        code=0, oom=False, started_at=started_at, finished_at=died_at, peak_memory_bytes=peak_memory_bytes
    )


def _at(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _went_with(engine_since: datetime | None, started_at: datetime | None, finished_at: datetime | None) -> bool:
    """Whether the container was started by an earlier life of the engine and ended about when this one began."""
    if engine_since is None or started_at is None or started_at >= engine_since:
        return False
    return finished_at is None or abs(finished_at - engine_since) <= _RESTART_WINDOW


def signal_of(event: Mapping[str, Any]) -> int | None:
    """The signal that the engine was asked to send; None for an event of another kind."""
    if event.get("Action") != "kill":
        return None
    return number_of(str((event.get("Actor") or {}).get("Attributes", {}).get("signal", "")))


def number_of(told: str) -> int | None:
    """A signal's number, as events write it."""
    return int(told) if told.isdecimal() else None


def last_signal(happened: Iterable[Mapping[str, Any]]) -> int | None:
    """The last signal since the container's last start, from its events in their order."""
    found = None
    for event in happened:
        sent = signal_of(event)
        if sent is not None:
            found = sent
        elif event.get("Action") == "start":
            found = None
    return found


def since(networks: Iterable[Mapping[str, Any]]) -> datetime | None:
    """
    When the engine was started; None where that cannot be told.

    It does not say so itself, but makes its default bridge anew whenever it starts without live containers on it.
    """
    for network in networks:
        if network.get("Name") == "bridge":
            return moment(network.get("Created"))
    return None


def moment(told: Any) -> datetime | None:
    """A time as the engine writes it, where the year 1 means "never"."""
    if not told or str(told).startswith("0001-"):
        return None
    return datetime.fromisoformat(str(told))


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
