# ruff: noqa: PLC0415 - a command's module is imported when the command is given, so that `pup --help` is there at once
"""The words of the commands about the queue of runs: `pup queue`, and `pup priority`."""

from typing import Annotated

import typer

from pupload.cli import words
from pupload.cli.words import Json, Url


def queue(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many of each kind at most.")] = 100,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Show which runs have something under way, and which wait for a slot, in their order."""
    from pupload.cli import queue

    return queue.show(words.out(as_json), words.url(url).url, limit)


def priority(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)],
    value: Annotated[
        int, typer.Argument(metavar="PRIORITY", min=-100, max=100, help="-100 to 100; higher ones go first.")
    ],
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Let a run go before others, or after them, from now on."""
    from pupload.cli import queue

    return queue.prioritize(words.out(as_json), words.url(url).url, run_id, value)
