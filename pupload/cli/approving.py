# ruff: noqa: PLC0415 - a command's module is imported when the command is given, so that `pup --help` is there at once
"""The words of `pup approve` and `pup ask`: what is said to runs, and to flows."""

from typing import Annotated

import typer

from pupload.cli import words
from pupload.cli.words import Json, Url


def approve(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)],
    edge: Annotated[
        str, typer.Argument(metavar="[EDGE]", help="The edge, where it asks on several.", show_default=False)
    ] = "",
    no: Annotated[bool, typer.Option("--no", help="Say no: what waits for it fails.")] = False,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.", show_default=False)] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Say yes to a run that asks whether to go on, or no."""
    from pupload.cli import approvals

    return approvals.answer(words.out(as_json), words.url(url).url, run_id, edge, approve=not no, comment=comment)


def ask(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="The saved flow's name or id.", show_default=False)],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it is given; - reads stdin.")] = "-",
    as_value: Annotated[bool, typer.Option("--value", help="TEXT is JSON, and is given as that.")] = False,
    thread: Annotated[bool, typer.Option("--thread", help="Keep what is said in the thread with the flow.")] = False,
    wait: Annotated[int, typer.Option("--wait", min=1, max=600, help="For so many seconds at most.")] = 600,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Ask a saved flow: give it a text or JSON, and print what comes of it."""
    from pupload.cli import questions

    at, out = words.url(url).url, words.out(as_json)
    return questions.ask(out, at, flow, text, as_value=as_value, keep=thread, wait_seconds=wait)
