"""
What the commands print: results on stdout, everything else on stderr.

With `--json` stdout has JSON and nothing else; without it words for people, in colour where they look.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {
    "COMPLETE": "green",
    "RUNNING": "cyan",
    "READY": "cyan",
    "RETRYING": "yellow",
    "WAITING": "yellow",
    "ERROR": "red",
    "STOPPED": "magenta",
    "SKIPPED": "magenta",
    "IDLE": "dim",
}


class Output:
    """Prints for one command."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = _console(sys.stdout)
        self.errors = _console(sys.stderr)

    @property
    def live(self) -> bool:
        """Whether somebody looks at a terminal that can be drawn on."""
        return not self.as_json and self.console.is_terminal

    def json(self, value: Any) -> None:
        """The machine's result."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def say(self, text: str = "", style: str | None = None) -> None:
        """A line of the result, for people; nothing with `--json`."""
        if not self.as_json:
            self.console.print(plain(text), style=style)

    def note(self, text: str) -> None:
        """A line beside the result: on stderr."""
        self.errors.print(plain(text))

    def fail(self, text: str) -> None:
        """The one line that says what went wrong."""
        self.errors.print(Text("pup: ", style="bold red") + Text(one_line(text)))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
        """A table without lines; nothing with `--json`."""
        if self.as_json:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column in ("ID", "RUN"))
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
        self.console.print(table)


def _console(file: TextIO) -> Console:
    """A console that breaks lines only where there is a terminal to break them for."""
    return Console(file=file, highlight=False, soft_wrap=True, width=None if file.isatty() else 1000)


def plain(text: str) -> Text:
    """The text as it is: no markup is read in it, no control character reaches the terminal."""
    return Text("".join(character if character == "\t" or character.isprintable() else " " for character in text))


def status(text: str) -> Text:
    """A status in its colour."""
    return Text(text, style=COLOURS.get(text, ""))


def one_line(text: str) -> str:
    """The text without line ends and control characters."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def size(count: int) -> str:
    """Bytes as people say them."""
    if count < 1024:
        return f"{count} bytes"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1024:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"
