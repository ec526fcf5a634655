# ruff: noqa: PLC0415 - see `pupload.cli.main`
"""Words that many commands have in common: where the server is, and how is answered."""

from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
Url = Annotated[
    str,
    typer.Option(
        "--url",
        help="The server: an address or a controller's name. Else PUPLOAD_URL, the project's first, or port 1234.",
    ),
]
Priority = Annotated[
    int | None,
    typer.Option("--priority", min=-100, max=100, help="-100 to 100, higher ones go first. [default: the flow's]"),
]
Memoize = Annotated[
    bool, typer.Option("--memoize/--no-memoize", help="Use work again that was done before, or do all of it anew.")
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param", "-p", metavar="NAME=VALUE", help="A value for a parameter. Once for each.", show_default=False
    ),
]


def out(as_json: bool) -> Any:
    """Where the command prints."""
    from pupload.cli.output import Output

    return Output(as_json=as_json)


def url(option: str) -> Any:
    """The server's address, by the option, the environment or the project."""
    import os

    from pupload.cli import servers

    variable = os.environ.get("PUPLOAD_URL", "")  # noqa: TID251 - where the command line is, so is its environment
    return servers.resolve(option, variable, start=Path.cwd())
