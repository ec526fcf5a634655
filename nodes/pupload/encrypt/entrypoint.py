#!/usr/bin/python3
"""
Encrypts a file with age: for those who have a key, or for those who know a passphrase.

    INPUT_FILE        the file to read           OUTPUT_ENCRYPTED   the file to write
    FLAG_PASSPHRASE   the path of a secret       FLAG_RECIPIENTS    public keys
"""

import os
import pty
import re
import select
import sys
import time
from pathlib import Path

import node

RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}|ssh-(ed25519|rsa) [A-Za-z0-9+/=]{40,2000}( [\w.@-]{1,100})?")
PROMPT = b"passphrase"


def main() -> None:
    """Does what the flags say."""
    given = [each.strip() for each in re.split(r"[,\n]", node.flag("recipients")) if each.strip()]
    for each in given:
        if not RECIPIENT.fullmatch(each):
            node.die(
                node.WRONG_FLAG, f"flag recipients must be keys that begin with age1 or ssh-, and '{each}' is none"
            )
    secret = node.flag("passphrase")
    if bool(given) == bool(secret):
        node.die(node.WRONG_FLAG, "set either flag recipients or flag passphrase, and not both")
    source, output = node.source("INPUT_FILE"), node.place("OUTPUT_ENCRYPTED")
    command = ["age", *(["--armor"] if node.boolean("armor") else []), "--output", str(output)]
    if given:
        Path("/tmp/recipients").write_text("\n".join(given) + "\n")
        code, words = answered([*command, "--recipients-file", "/tmp/recipients", "--", str(source)], b"", source)
    else:
        code, words = answered([*command, "--passphrase", "--", str(source)], passphrase(secret), source)
    if code != 0:
        output.unlink(missing_ok=True)
        node.die(node.FAILED, f"the file could not be encrypted: {words}")
    node.say(f"Encrypted {source.stat().st_size} bytes to {output.stat().st_size}", 1)


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
