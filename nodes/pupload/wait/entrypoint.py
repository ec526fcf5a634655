#!/usr/bin/python3
"""
Waits a while, and gives on what it was given.

    FLAG_SECONDS   how long     INPUT_INPUT   anything; may be missing     OUTPUT_OUTPUT   the same, or how long it was
"""

import signal
import sys
import time

import node
import passing

TELLING_SECONDS = 10


def main() -> None:
    """Does what the flag says."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seconds = node.decimal("seconds", 1, 0, 86_400)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        node.say(f"{left:.0f} s are left", 1 - left / seconds)
        time.sleep(min(left, TELLING_SECONDS))
    if passing.bound("input"):
        passing.hand_on("input", "output")
    else:
        passing.write("output", {"waited_seconds": seconds})
    node.say(f"waited {seconds:g} s", 1)


if __name__ == "__main__":
    sys.exit(main())
