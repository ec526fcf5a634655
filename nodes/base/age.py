"""
What the node types share that have age work on a file: a passphrase, and how it comes to age.

age takes a passphrase from a terminal and nowhere else, so that it stands in no variable and no list of processes.
"""

import os
import pty
import re
import select
import time
from pathlib import Path

import node

PROMPT = b"passphrase"


def passphrase(secret: str) -> bytes:
    """What the secret's file holds, as it can be typed into one line."""
    try:
        text = Path(secret).read_bytes().removesuffix(b"\n")
    except OSError:
        node.die(node.WRONG_FLAG, "flag passphrase must be a secret, such as ${secret.NAME}")
    if not 1 <= len(text) <= 1000 or any(byte < 32 or byte == 127 for byte in text):
        node.die(node.WRONG_FLAG, "flag passphrase must be one line of at most 1000 bytes, without control characters")
    return text


def answered(command: list[str], text: bytes, source: Path) -> tuple[int, str]:
    """
    The exit code of age, which is given `text` whenever it asks on its terminal, and its last words.

    Tells every two seconds how much of `source` is read.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command[0], command, {"PATH": "/usr/bin:/bin", "HOME": "/tmp"})  # noqa: S606
    said, heard, told = b"", 0, time.monotonic()
    while True:
        if select.select([terminal], [], [], 2)[0]:
            try:
                more = os.read(terminal, 4096)
            except OSError:
                break
            if not more:
                break
            said = (said + more)[-20_000:]
            if said.lower().count(PROMPT) > heard and said.rstrip().endswith(b":"):
                heard = said.lower().count(PROMPT)
                os.write(terminal, text + b"\n")
        if time.monotonic() - told >= 2:
            told = time.monotonic()
            _tell(child, source)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    lines = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", said).decode("utf-8", "replace").splitlines()
    errors = [line.removeprefix("age: ").removeprefix("error: ") for line in lines if line.startswith("age: ")]
    return code, next(
        (line for line in errors if line and not line.startswith("report ")), f"age ended with code {code}"
    )


def _tell(child: int, source: Path) -> None:
    """Says how far the program has read the file, as the kernel tells it."""
    for file in Path(f"/proc/{child}/fd").glob("*"):
        try:
            if file.readlink() == source:
                at = re.search(r"^pos:\s*(\d+)", Path(f"/proc/{child}/fdinfo/{file.name}").read_text(), re.MULTILINE)
                node.say("Reading", int(at[1]) / max(source.stat().st_size, 1) if at else None)
                return
        except OSError:
            continue
