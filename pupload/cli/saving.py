# ruff: noqa: PLC0415 - see `pupload.cli.main`
"""The words of `pup flow`: saved flows, their versions, and running them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pupload.cli import words
from pupload.cli.words import Json, Memoize, Params, Priority, Url

flows = typer.Typer(help="Flows that a server keeps, with every version they had.", no_args_is_help=True)

SavedFlow = Annotated[
    str, typer.Argument(metavar="FLOW", help="The flow: NAMESPACE/NAME, NAME, or its id.", show_default=False)
]


@flows.command("save")
def flow_save(
    flow: Annotated[str, typer.Argument(help="The name of a flow of the project.", show_default=False)],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="NAMESPACE/NAME to save it as; else its own name.")
    ] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="What changed.")] = "",
    label: Annotated[str | None, typer.Option("--label", help="What the version is called, such as 2.0.0.")] = None,
    description: Annotated[str | None, typer.Option("--description", help="What the flow is for.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="To be found by. Once for each.")] = None,
    if_version: Annotated[
        int | None, typer.Option("--if-version", help="Only where this is the latest version; 0: where there is none.")
    ] = None,
    public: Annotated[
        bool | None, typer.Option("--public/--private", help="Whether other accounts see and run it.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Save a flow of the project: a new one, or a new version where it is another than the latest."""
    from pupload.cli import saved

    draft: dict[str, Any] = {"Message": message, "Label": label, "Description": description, "Tags": tags}
    draft |= {"IfVersion": if_version, "Public": public}
    return saved.save(words.out(as_json), words.url(url).url, flow, name=name, draft=draft, start=Path.cwd())


@flows.command("list")
def flow_list(
    text: Annotated[str, typer.Argument(help="Only flows with this text.", show_default=False)] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only flows in this namespace.")] = "",
    source: Annotated[str, typer.Option("--source", help="Only flows of this source.")] = "",
    limit: Annotated[int, typer.Option("--limit", help="So many at most.")] = 100,
    offset: Annotated[int, typer.Option("--offset", help="So many are passed over.")] = 0,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """List saved flows."""
    from pupload.cli import saved

    query = {"q": text, "namespace": namespace, "source": source, "limit": str(limit), "offset": str(offset)}
    return saved.listing(words.out(as_json), words.url(url).url, query)


@flows.command("show")
def flow_show(
    flow: SavedFlow,
    version: Annotated[int, typer.Option("--version", help="This version in place of the latest.")] = 0,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Show a saved flow: what it takes, and its nodes."""
    from pupload.cli import saved

    return saved.show(words.out(as_json), words.url(url).url, flow, version)


@flows.command("versions")
def flow_versions(flow: SavedFlow, url: Url = "", as_json: Json = False) -> int:
    """List the versions of a saved flow, the latest first."""
    from pupload.cli import saved

    return saved.versions(words.out(as_json), words.url(url).url, flow)


@flows.command("diff")
def flow_diff(
    flow: SavedFlow,
    old: Annotated[int, typer.Argument(metavar="FROM", help="A version; else the one before.")] = 0,
    new: Annotated[int, typer.Argument(metavar="TO", help="A version; else the latest.")] = 0,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Show what is otherwise in a version of a saved flow."""
    from pupload.cli import saved

    return saved.diff(words.out(as_json), words.url(url).url, flow, old, new)


@flows.command("rollback")
def flow_rollback(
    flow: SavedFlow,
    version: Annotated[int, typer.Argument(help="The version to go back to.", show_default=False)],
    message: Annotated[str, typer.Option("--message", "-m", help="Why.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Make the content of an earlier version the latest again, as a version of its own."""
    from pupload.cli import saved

    return saved.rollback(words.out(as_json), words.url(url).url, flow, version, message)


@flows.command("run")
def flow_run(
    flow: SavedFlow,
    params: Params = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="What to know the run by. Once for each."),
    ] = None,
    version: Annotated[int, typer.Option("--version", help="This version in place of the latest.")] = 0,
    priority: Priority = None,
    memoize: Memoize = True,
    key: Annotated[str, typer.Option("--key", help="Asked again with this key, it is the same run.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Start a run of a saved flow."""
    from pupload.cli import saved

    return saved.run(
        words.out(as_json),
        words.url(url).url,
        flow,
        params=params or [],
        labels=labels or [],
        version=version,
        priority=priority,
        memoize=memoize,
        key=key,
    )


@flows.command("enable")
def flow_enable(flow: SavedFlow, url: Url = "", as_json: Json = False) -> int:
    """Let runs of a saved flow be started."""
    from pupload.cli import saved

    return saved.enable(words.out(as_json), words.url(url).url, flow, enabled=True)


@flows.command("disable")
def flow_disable(flow: SavedFlow, url: Url = "", as_json: Json = False) -> int:
    """Let no more runs of a saved flow be started; those that are there go on."""
    from pupload.cli import saved

    return saved.enable(words.out(as_json), words.url(url).url, flow, enabled=False)


@flows.command("rm")
def flow_remove(flow: SavedFlow, url: Url = "", as_json: Json = False) -> int:
    """Remove a saved flow with its versions. Runs of it go on."""
    from pupload.cli import saved

    return saved.remove(words.out(as_json), words.url(url).url, flow)
