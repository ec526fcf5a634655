#!/usr/bin/python3
"""
Encrypts a file with age: for those who have a key, or for those who know a passphrase.

    INPUT_FILE        the file to read           OUTPUT_ENCRYPTED   the file to write
    FLAG_PASSPHRASE   the path of a secret       FLAG_RECIPIENTS    public keys
"""

import re
import sys
from pathlib import Path

import age
import node

RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}|ssh-(ed25519|rsa) [A-Za-z0-9+/=]{40,2000}( [\w.@-]{1,100})?")


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
        code, words = age.answered([*command, "--recipients-file", "/tmp/recipients", "--", str(source)], b"", source)
    else:
        code, words = age.answered([*command, "--passphrase", "--", str(source)], age.passphrase(secret), source)
    if code != 0:
        output.unlink(missing_ok=True)
        node.die(node.FAILED, f"the file could not be encrypted: {words}")
    node.say(f"Encrypted {source.stat().st_size} bytes to {output.stat().st_size}", 1)


if __name__ == "__main__":
    sys.exit(main())
