#!/usr/bin/python3
"""
Decrypts a file that age has encrypted, with a key or with a passphrase.

    INPUT_ENCRYPTED   the file to read            OUTPUT_FILE     the file to write
    FLAG_PASSPHRASE   the path of a secret        FLAG_IDENTITY   likewise
"""

import os
import pty
import re
import select
import sys
import time
from pathlib import Path

import node

PROMPT = b"passphrase"
MARKS = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")


def main() -> None:
    """Does what the flags say."""
    secret, identity = node.flag("passphrase"), node.flag("identity")
    if bool(secret) == bool(identity):
        node.die(node.WRONG_FLAG, "set either flag identity or flag passphrase, and not both")
    source, output = node.source("INPUT_ENCRYPTED"), node.place("OUTPUT_FILE")
    with source.open("rb") as file:
        head = file.read(1000)
    if not head.lstrip().startswith(MARKS):
        node.die(node.WRONG_INPUT, "the input is no file that age has encrypted")
    if bool(secret) != (b"-> scrypt " in head) and not head.startswith(b"-----"):
        other = "a passphrase; set flag passphrase" if identity else "keys; set flag identity"
        node.die(node.WRONG_INPUT, f"the input is encrypted for {other}")
    command = ["age", "--decrypt", "--output", str(output)]
    if identity:
        code, words = answered([*command, "--identity", checked(identity), "--", str(source)], b"", source)
    else:
        code, words = answered([*command, "--", str(source)], passphrase(secret), source)
    if code != 0:
        output.unlink(missing_ok=True)
        node.die(node.WRONG_INPUT, f"the file cannot be decrypted: {words}")
    if not output.exists():
        # age makes no file of nothing.
        output.touch()
    node.say(f"Decrypted {source.stat().st_size} bytes to {output.stat().st_size}", 1)


def checked(identity: str) -> str:
    """The path of a secret that looks like a key."""
    try:
        text = Path(identity).read_text()
    except (OSError, UnicodeDecodeError):
        node.die(node.WRONG_FLAG, "flag identity must be a secret, such as ${secret.NAME}")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not all(line.startswith("AGE-SECRET-KEY-1") for line in lines) and not text.startswith("-----BEGIN OPENSSH"):
        node.die(
            node.WRONG_FLAG, "flag identity must be a secret key that begins with AGE-SECRET-KEY-1, or one of OpenSSH"
        )
    return identity


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
    The exit code of a program that is given `text` whenever it asks on its terminal, and its last words.

    age takes a passphrase from a terminal and nowhere else, so that it stands in no variable and no list of processes.
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
            tell(child, source)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    lines = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", said).decode("utf-8", "replace").splitlines()
    errors = [line.removeprefix("age: ").removeprefix("error: ") for line in lines if line.startswith("age: ")]
    return code, next(
        (line for line in errors if line and not line.startswith("report ")), f"age ended with code {code}"
    )


def tell(child: int, source: Path) -> None:
    """Says how far the program has read the file, as the kernel tells it."""
    for file in Path(f"/proc/{child}/fd").glob("*"):
        try:
            if file.readlink() == source:
                at = re.search(r"^pos:\s*(\d+)", Path(f"/proc/{child}/fdinfo/{file.name}").read_text(), re.MULTILINE)
                node.say("Reading", int(at[1]) / max(source.stat().st_size, 1) if at else None)
                return
        except OSError:
            continue


if __name__ == "__main__":
    sys.exit(main())
