#!/usr/bin/python3
"""
Runs lines of Python on what the inputs say.

    FLAG_CODE   the lines, as if they were the body of a function     OUTPUT_OUTPUT   what they return

The lines see `input`, what the first bound input says, `inputs`, all of them by name, and `files`, their paths. What
they return, or leave in `output` or `result`, is the output; where that is nothing, what they print. They run in this
container and can do what it can: there is no network, no right and no file of anybody else in it.
"""

import ast
import contextlib
import io
import signal
import sys
import traceback
from typing import Any

import node
import passing

MOST_PRINTED = 16 << 20
NAME = "code"


def main() -> None:
    """Does what the flag says."""
    code = node.flag("code")
    if not code.strip():
        node.die(node.WRONG_FLAG, "flag code must be lines of Python")
    ports = passing.eight()
    inputs = {port: said(port) for port in ports}
    files = {port: str(passing.source(port)) for port in ports}
    function = compiled(code)
    printed = Printed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with contextlib.redirect_stdout(printed):
            found = function(next(iter(inputs.values()), None), inputs, files)
    except SystemExit as error:
        if error.code not in (None, 0):
            node.die(node.WRONG_INPUT, f"the code ended with {error.code}")
        found = None
    except MemoryError:
        node.die(node.TOO_LARGE, "the code needs more memory than this tier has; try a larger one")
    except BaseException as error:  # noqa: BLE001 (whatever the code does wrong is told the same way)
        node.die(node.WRONG_INPUT, f"the code fails at line {line_of(error)}: {told(error)}")
    if found is None and printed.tell():
        found = printed.getvalue()
    size = passing.write("output", found)
    node.say(f"{size} bytes", 1)


def said(port: str) -> Any:
    """What an input says; of what is no text the path."""
    path = passing.source(port)
    return passing.value_of(path, port) if passing.is_text(path) else str(path)


def compiled(code: str) -> Any:
    """The function whose body the lines are; ends the node where they are none."""
    head = f"def {NAME}(input, inputs, files): pass\n"
    try:
        function: Any = ast.parse(head).body[0]
        body = ast.parse(code, "<code>")
        left = ast.parse("return locals().get('output', locals().get('result'))").body
        function.body = [*body.body, *left]
        module = ast.fix_missing_locations(ast.Module(body=[function], type_ignores=[]))
        space: dict[str, Any] = {"__name__": "__code__"}
        exec(compile(module, "<code>", "exec"), space)  # noqa: S102 (it is what the node is for)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = getattr(error, "lineno", None)
        node.die(
            node.WRONG_FLAG, f"flag code is not Python: {getattr(error, 'msg', error)}{f' (line {at})' if at else ''}"
        )
    return space[NAME]


def line_of(error: BaseException) -> int | str:
    """The line of the code in which it happened."""
    places = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == "<code>"]
    return places[-1] if places and places[-1] is not None else "?"


def told(error: BaseException) -> str:
    """What happened."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class Printed(io.StringIO):
    """What the code prints, which is log as well."""

    def write(self, text: str) -> int:
        """Keeps the text; what is too much is an error of the code."""
        if self.tell() + len(text) > MOST_PRINTED:
            raise OverflowError(f"more than {MOST_PRINTED} characters were printed")
        sys.__stdout__.write(text)  # type: ignore[union-attr]
        return super().write(text)


if __name__ == "__main__":
    sys.exit(main())
