"""
Notices when the event loop stands still, and where.

Everything in the server takes turns in one loop; whoever keeps it (a computation, a call that blocks) keeps everybody.
The loop's heart beats several times a second; a thread listens, and when it hears nothing for a while it writes down
what the loop's thread is doing at that moment. Nobody is taken for dead meanwhile: containers are the engine's,
deadlines are looked at when the loop goes on, and what came in is read then.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.25
BLOCKED_SECONDS = 2.0
"""So long without a beat is a standstill: a slow disk or a large flow takes less."""
REMEMBERED_SECONDS = 30.0
"""How long afterwards it is a complaint."""
_QUOTED_FRAMES = 8
_PATIENCE_SECONDS = 1.0


class Watchdog:
    """`ports.Pulse` of the running loop, from `start` to `close`."""

    def __init__(self) -> None:
        self.standstills = 0
        self.seconds = 0.0
        self._longest = 0.0
        self._ended_at = float("-inf")
        self._beat_at = time.monotonic()
        self._told = False
        self._over = threading.Event()
        self._loop_thread = threading.get_ident()
        self._beating: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._listen, name="watchdog", daemon=True)

    def start(self) -> None:
        """The heart beats, and somebody listens."""
        self._loop_thread = threading.get_ident()
        self._beat_at = time.monotonic()
        self._beat()
        self._thread.start()

    async def close(self) -> None:
        """Nobody listens any more."""
        if self._beating is not None:
            self._beating.cancel()
        self._over.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, _PATIENCE_SECONDS)

    def complaint(self) -> str:
        """See `ports.Pulse`."""
        if time.monotonic() - self._ended_at > REMEMBERED_SECONDS:
            return ""
        return (
            f"the server stood still for {self._longest:.1f} s a moment ago, and answered nobody; its log says where. "
            "If that comes again, report it, or give the machine more room"
        )

    # ── In the loop ──────────────────────────────────────────────────────────────────────────────────────────────

    def _beat(self) -> None:
        now = time.monotonic()
        late = now - self._beat_at
        if late > BLOCKED_SECONDS:
            self._note(late, now)
        self._beat_at, self._told = now, False
        self._beating = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)

    def _note(self, seconds: float, now: float) -> None:
        if now - self._ended_at > REMEMBERED_SECONDS:
            self._longest = 0.0
        self.standstills += 1
        self.seconds += seconds
        self._longest, self._ended_at = max(self._longest, seconds), now
        log.warning("the event loop goes on after standing still for %.1f s", seconds)

    # ── In the thread ────────────────────────────────────────────────────────────────────────────────────────────

    def _listen(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            if time.monotonic() - self._beat_at > BLOCKED_SECONDS and not self._told:
                self._told = True
                log.warning("the event loop stands still; it is here:\n%s", self._where())

    def _where(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return "  (not to be seen)"
        return "".join(traceback.format_stack(frame)[-_QUOTED_FRAMES:]).rstrip()
