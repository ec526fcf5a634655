"""
A clock that runs evenly while somebody sets the wall clock.

Runs have deadlines in wall-clock time: they must hold across restarts, and people read them. But a wall clock that is
set forward by an hour would make an hour of every deadline pass at once. So the time that runs are told is what the
wall clock said once and the seconds that really passed since. Where the two differ it follows, by one second in twenty,
so that a right correction is taken in and no duration is off by more than that.

What it said is kept in a small file: a server that restarts after the wall clock was set goes on where it was, as long
as the machine was not restarted, too. Signatures, which other machines check, need the wall clock itself.
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pupload.domain import skew

log = logging.getLogger(__name__)

FOLLOWING = 0.05
"""Seconds by which it may go fast or slow in one, to follow the wall clock."""

MEANT_SECONDS = 86_400.0
"""A difference larger than this at a start is taken in at once: the wall clock was far off before, and is right now."""

_LOOK_SECONDS = 10.0
_NAP_SECONDS = 60.0


def since_boot() -> float:
    """Seconds that the machine is up, asleep or awake, where the system counts them so; else seconds that go on."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def boot_id() -> str:
    """Another one for each start of the machine; empty where it is not told."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


class SteadyClock:
    """`ports.Clock` that no setting of the wall clock moves at once."""

    def __init__(
        self,
        kept: Path | None = None,
        *,
        wall: Callable[[], float] = time.time,  # noqa: TID251 - here is where time comes from
        passed: Callable[[], float] = since_boot,
        boot: str | None = None,
    ) -> None:
        """
        `kept` is the file that tells the next start how this clock stood; read here.

        `wall` gives the wall clock's seconds since 1970, `passed` seconds that go on evenly through a boot of the
        machine, `boot` names that.
        """
        self._kept = kept
        self._wall = wall
        self._passed = passed
        self._boot = boot_id() if boot is None else boot
        self._lock = threading.Lock()
        self._last = passed()
        self._offset = wall() - self._last
        self._warned = False
        earlier = self._read()
        if earlier is not None and abs(earlier - self._offset) < MEANT_SECONDS:
            self._offset = earlier

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.fromtimestamp(self._now(), UTC)

    def skew(self) -> timedelta:
        """See `ports.Clock`."""
        return timedelta(seconds=self._wall() - self._now())

    def monotonic(self) -> float:
        """See `ports.Clock`."""
        return time.monotonic()

    async def sleep_until(self, when: datetime) -> None:
        """See `ports.Clock`."""
        while (left := (when - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - nothing tells that time went by
            # In pieces, for it runs a little faster or slower than the loop's own clock while it follows.
            await asyncio.sleep(min(left, _NAP_SECONDS))

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        await asyncio.sleep(seconds)

    def _now(self) -> float:
        with self._lock:
            passed = self._passed()
            most = max(passed - self._last, 0.0) * FOLLOWING
            behind = self._wall() - passed - self._offset
            self._offset += min(max(behind, -most), most)
            self._last = passed
            return self._offset + passed

    # ── From one start to the next ───────────────────────────────────────────────────────────────────────────────

    async def keep(self) -> None:
        """Writes down how it stands, again and again, and says when the wall clock was set. Ends by being cancelled."""
        while True:
            await asyncio.to_thread(self.save)
            self._tell()
            await asyncio.sleep(_LOOK_SECONDS)

    def save(self) -> None:
        """Writes down how it stands. A disk that does not take it costs continuity, and nothing else."""
        if self._kept is None or not self._boot:
            return
        self._now()
        new = self._kept.with_suffix(".new")
        try:
            new.write_text(json.dumps({"boot": self._boot, "offset": self._offset}), encoding="utf-8")
            new.replace(self._kept)
        except OSError as error:
            log.warning("the clock's file cannot be written: %s", error.strerror)

    def _read(self) -> float | None:
        try:
            told = json.loads(self._kept.read_bytes()) if self._kept is not None else {}
            if self._boot and told.get("boot") == self._boot:
                return float(told["offset"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            log.warning("the clock's file cannot be read: time begins at what the wall clock says")
        return None

    def _tell(self) -> None:
        said = skew.complaint(self.skew())
        if said and not self._warned:
            log.warning("%s", said)
        elif self._warned and not said:
            log.info("the wall clock and the time that runs have agree again")
        self._warned = bool(said)
