"""
What the node types share that run what somebody wrote: a program of its own, with an end, and what it says kept.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import node

MOST_BYTES = 64 << 20
"""Of what a program writes to its output."""

_LAST = 2000


def run(argv: list[str], given: bytes, output: Path, *, seconds: int, environment: dict[str, str]) -> int:
    """
    Runs the program with `given` on its input; what it writes is the output file, what it complains of the log.

    Returns how many bytes it wrote. Ends the node where the program fails, takes longer, or writes more than anybody
    reads.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/tmp",
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/tmp", "LC_ALL": "C.UTF-8", **environment},
        start_new_session=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: _stop(process, 143))
    timer = threading.Timer(seconds, lambda: os.killpg(process.pid, signal.SIGKILL))
    timer.start()
    said: list[bytes] = []
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    threads = [
        threading.Thread(target=_feed, args=(process.stdin, given), daemon=True),
        threading.Thread(target=_tell, args=(process.stderr, said), daemon=True),
    ]
    for thread in threads:
        thread.start()
    size = _keep(process.stdout, output)
    if size > MOST_BYTES:
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    late = not timer.is_alive()
    timer.cancel()
    threads[1].join(5)
    if size > MOST_BYTES:
        node.die(node.WRONG_INPUT, f"it wrote more than {MOST_BYTES} bytes")
    if late and code < 0:
        node.die(node.WRONG_INPUT, f"it took longer than {seconds} s; raise flag seconds")
    if code:
        last = b"".join(said)[-_LAST:].decode(errors="replace").strip().splitlines()[-1:]
        how = f"by signal {-code}" if code < 0 else f"with {code}"
        node.die(node.WRONG_INPUT, f"it ended {how}{': ' + last[0] if last else ''}")
    return size


def environment(*prefixes: str) -> dict[str, str]:
    """What of the environment names the node's inputs and outputs."""
    return {name: value for name, value in os.environ.items() if name.startswith(prefixes)}


def _stop(process: "subprocess.Popen[bytes]", code: int) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    os._exit(code)


def _feed(into: IO[bytes], given: bytes) -> None:
    try:
        into.write(given)
        into.close()
    except BrokenPipeError:
        pass  # it does not ask for more


def _tell(out_of: IO[bytes], said: list[bytes]) -> None:
    for line in out_of:
        said[:] = [*said[-20:], line]
        sys.stderr.buffer.write(line)
        sys.stderr.flush()


def _keep(out_of: IO[bytes], output: Path) -> int:
    size = 0
    with output.open("wb") as file:
        while size <= MOST_BYTES and (block := out_of.read1(1 << 16)):  # type: ignore[attr-defined]
            size += len(block)
            file.write(block)
    return size
