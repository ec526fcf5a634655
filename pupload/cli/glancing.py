# ruff: noqa: PLC0415 - as in `main`
"""The words of `pup` for all runs and flows at once, and of `pup purge`."""

from typing import Annotated

import typer

from pupload.cli.words import Json, Url, out, url

Days = Annotated[int, typer.Option("--days", min=1, max=365, help="So many days, today at the end.")]


def calendar(days: Days = 30, server: Url = "", as_json: Json = False) -> int:
    """Show how many runs started on each day, and what they came to."""
    from pupload.cli import overview

    return overview.calendar(out(as_json), url(server).url, days)


def dashboard(server: Url = "", as_json: Json = False) -> int:
    """Show everything at a glance: what happened in seven days, what fails, what runs."""
    from pupload.cli import overview

    return overview.dashboard(out(as_json), url(server).url)


def search(
    text: Annotated[str, typer.Argument(help="In whatever case.", show_default=False)],
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="So many at most.")] = 30,
    server: Url = "",
    as_json: Json = False,
) -> int:
    """Find saved flows, stores, parameters and secrets by a part of their name or description."""
    from pupload.cli import overview

    return overview.search(out(as_json), url(server).url, text, limit)


def system(server: Url = "", as_json: Json = False) -> int:
    """Show the server's version, the size of its database, and how many flows and runs there are."""
    from pupload.cli import overview

    return overview.system(out(as_json), url(server).url)


def lineage(
    run_id: Annotated[
        str, typer.Argument(metavar="[RUN]", help="A run, to trace one of its artifacts.", show_default=False)
    ] = "",
    edge: Annotated[str, typer.Argument(metavar="[EDGE]", help="The edge it lies on.", show_default=False)] = "",
    flow: Annotated[str, typer.Option("--flow", help="Only this saved flow, and who else touches its objects.")] = "",
    server: Url = "",
    as_json: Json = False,
) -> int:
    """Show what saved flows read and write, and where they meet; or where an artifact came from, and what used it."""
    from pupload.cli import failures, overview

    if bool(run_id) != bool(edge) or (run_id and flow):
        raise failures.Usage(reason="name a run and an edge of it, or a --flow, or nothing")
    if run_id:
        return overview.trace(out(as_json), url(server).url, run_id, edge)
    return overview.lineage(out(as_json), url(server).url, flow)


def purge(
    run_ids: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="The runs' ids.", show_default=False)
    ] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="All that ended so long ago, such as 30d or 12h.")
    ] = "",
    status: Annotated[str, typer.Option("--status", help="Of these only COMPLETE, ERROR or STOPPED ones.")] = "",
    days: Annotated[
        int | None,
        typer.Option(
            "--days", min=1, max=36_500, help="All that started more than so many days ago.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
    server: Url = "",
    as_json: Json = False,
) -> int:
    """Delete runs that have ended, with their objects and logs."""
    from pupload.cli import failures, overview, purging

    if days is None:
        which = {"older_than": older_than, "status": status}
        return purging.purge(out(as_json), url(server).url, run_ids or (), dry_run=dry_run, **which)
    if run_ids or older_than or status or dry_run:
        raise failures.Usage(reason="--days goes alone; --older-than takes --status and --dry-run")
    return overview.purge(out(as_json), url(server).url, days)


COMMANDS = (calendar, dashboard, search, lineage, system, purge)
