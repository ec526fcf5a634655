#!/usr/bin/python3
"""
Decrypts a file that age has encrypted, with a key or with a passphrase.

    INPUT_ENCRYPTED   the file to read            OUTPUT_FILE     the file to write
    FLAG_PASSPHRASE   the path of a secret        FLAG_IDENTITY   likewise
"""

import sys
from pathlib import Path

import age
import node

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
        code, words = age.answered([*command, "--identity", checked(identity), "--", str(source)], b"", source)
    else:
        code, words = age.answered([*command, "--", str(source)], age.passphrase(secret), source)
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


if __name__ == "__main__":
    sys.exit(main())
