#!/usr/bin/python3
"""
Runs code that it is given, as a program of its own.

    FLAG_CODE       the code; where it is not set, what the input says     OUTPUT_OUTPUT   what the code writes
    FLAG_LANGUAGE   python or bash                                        INPUT_INPUT     the code, or what it reads

The code has this container to itself, and nothing beyond it: no network, no right, no file of anybody else.
"""

import sys
from pathlib import Path

import node
import passing
import running

PROGRAMS = {"python": ["/usr/bin/python3", "-I"], "bash": ["/bin/bash"], "sh": ["/bin/sh"]}


def main() -> None:
    """Does what the flags say."""
    program = PROGRAMS[node.choice("language", "python", *PROGRAMS)]
    seconds = node.number("seconds", 60, 1, 3600)
    code, given = node.flag("code"), b""
    if passing.bound("input"):
        if code:
            given = passing.source("input").read_bytes()
        else:
            said = passing.value("input")
            code = passing.as_text(said.get("code", "") if isinstance(said, dict) else said)
    if not code.strip():
        node.die(node.WRONG_FLAG, "there is no code: set flag code, or give some on input")
    place = Path("/tmp/code")
    place.write_text(code)
    known = running.environment("INPUT_")
    size = running.run([*program, str(place)], given, node.place("OUTPUT_OUTPUT"), seconds=seconds, environment=known)
    node.say(f"{size} bytes", 1)


if __name__ == "__main__":
    sys.exit(main())
