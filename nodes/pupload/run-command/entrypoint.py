#!/usr/bin/python3
"""
Runs a line of shell.

    FLAG_COMMAND   the line, for /bin/sh; where it is not set, what the input says     OUTPUT_OUTPUT   what it writes
    INPUT_INPUT    the line, or what it reads

The line has this container to itself, and nothing beyond it: no network, no right, no file of anybody else.
"""

import sys

import node
import passing
import running


def main() -> None:
    """Does what the flags say."""
    seconds = node.number("seconds", 300, 1, 86_400)
    line, given = node.flag("command"), b""
    if passing.bound("input"):
        if line:
            given = passing.source("input").read_bytes()
        else:
            said = passing.value("input")
            line = passing.as_text(said.get("command", "") if isinstance(said, dict) else said)
    if not line.strip() or "\0" in line:
        node.die(node.WRONG_FLAG, "there is no command: set flag command, or give a line of shell on input")
    argv = ["/bin/sh", "-eu", "-c", line, "run"]
    known = running.environment("INPUT_")
    size = running.run(argv, given, node.place("OUTPUT_OUTPUT"), seconds=seconds, environment=known)
    node.say(f"{size} bytes", 1)


if __name__ == "__main__":
    sys.exit(main())
