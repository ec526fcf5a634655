# ruff: noqa: PLC0415 - a command's module is imported when the command is given, so that `pup --help` is there at once
"""The words of `pup approve`."""

from typing import Annotated

import typer

from pupload.cli import words
from pupload.cli.words import Json, Url


def approve(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)],
    edge: Annotated[str, typer.Argument(metavar="EDGE", help="The edge on which it asks.", show_default=False)],
    no: Annotated[bool, typer.Option("--no", help="Say no: what waits for it fails.")] = False,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.", show_default=False)] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Say yes to a run that asks whether to go on, or no."""
    from pupload.cli import approvals

    return approvals.answer(words.out(as_json), words.url(url).url, run_id, edge, approve=not no, comment=comment)
