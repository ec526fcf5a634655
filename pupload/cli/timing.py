# ruff: noqa: PLC0415 - see `pupload.cli.main`
"""The words of `pup schedule` and `pup backfill`: when runs of saved flows are started, and for which dates."""

from typing import Annotated

import typer

from pupload.cli import words
from pupload.cli.saving import SavedFlow
from pupload.cli.words import Json, Params, Priority, Url

schedules = typer.Typer(help="When a server starts runs of saved flows.", no_args_is_help=True)

Schedule = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's id.", show_default=False)]
Cron = Annotated[
    str,
    typer.Option("--cron", metavar="FIELDS", help="Minute, hour, day of month, month, day of week: '0 6 * * MON-FRI'."),
]
Every = Annotated[str, typer.Option("--every", metavar="DURATION", help="At an interval, such as 15m.")]
Timezone = Annotated[
    str, typer.Option("--timezone", "-z", metavar="ZONE", help="In which the fields are meant. [default: UTC]")
]
CatchUp = Annotated[
    str,
    typer.Option(
        "--catch-up",
        metavar="none|one|all",
        help="What becomes of moments that were missed while there was no server. [default: one]",
    ),
]
Window = Annotated[
    str, typer.Option("--window", metavar="DURATION", help="What is caught up is no older. [default: 24h]")
]
Overlap = Annotated[
    str,
    typer.Option(
        "--overlap",
        metavar="skip|queue|allow",
        help="What is done while the run before is under way. [default: skip]",
    ),
]


@schedules.command("add")
def schedule_add(
    flow: SavedFlow,
    cron: Cron = "",
    every: Every = "",
    timezone: Timezone = "",
    catch_up: CatchUp = "",
    window: Window = "",
    overlap: Overlap = "",
    params: Params = None,
    priority: Priority = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Start runs of a saved flow from now on."""
    from pupload.cli import schedules

    asked = schedules.asked(
        cron=cron,
        every=every,
        timezone=timezone,
        catch_up=catch_up,
        window=window,
        overlap=overlap,
        priority=priority,
    )
    return schedules.add(words.out(as_json), words.url(url).url, flow, asked, params or [])


@schedules.command("set")
def schedule_set(
    schedule: Schedule,
    cron: Cron = "",
    every: Every = "",
    timezone: Timezone = "",
    catch_up: CatchUp = "",
    window: Window = "",
    overlap: Overlap = "",
    params: Params = None,
    priority: Priority = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Let a schedule be otherwise; what is not given stays as it is."""
    from pupload.cli import schedules

    asked = schedules.asked(
        cron=cron,
        every=every,
        timezone=timezone,
        catch_up=catch_up,
        window=window,
        overlap=overlap,
        priority=priority,
    )
    return schedules.change(words.out(as_json), words.url(url).url, schedule, asked, params)


@schedules.command("list")
def schedule_list(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="Only those of this flow.", show_default=False)] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """List schedules: when they start a run next, and what came of the last moment."""
    from pupload.cli import schedules

    return schedules.listing(words.out(as_json), words.url(url).url, flow)


@schedules.command("show")
def schedule_show(
    schedule: Schedule,
    count: Annotated[int, typer.Option("--count", help="So many of the next moments.")] = 5,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Show a schedule and its next moments."""
    from pupload.cli import schedules

    return schedules.show(words.out(as_json), words.url(url).url, schedule, count)


@schedules.command("pause")
def schedule_pause(
    schedule: Schedule,
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="A time with its zone: 2026-03-01T06:00:00Z.")
    ] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Start no runs until then, or until it is resumed; none is caught up."""
    from pupload.cli import schedules

    return schedules.pause(words.out(as_json), words.url(url).url, schedule, until)


@schedules.command("resume")
def schedule_resume(schedule: Schedule, url: Url = "", as_json: Json = False) -> int:
    """Start runs again, from the next moment on."""
    from pupload.cli import schedules

    return schedules.resume(words.out(as_json), words.url(url).url, schedule)


@schedules.command("remove")
def schedule_remove(schedule: Schedule, url: Url = "", as_json: Json = False) -> int:
    """Remove a schedule; the runs that it started stay as they are."""
    from pupload.cli import schedules

    return schedules.remove(words.out(as_json), words.url(url).url, schedule)


@schedules.command("preview")
def schedule_preview(
    cron: Cron = "",
    every: Every = "",
    timezone: Timezone = "",
    count: Annotated[int, typer.Option("--count", help="So many moments.")] = 10,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Tell the next moments of a schedule that there need not be."""
    from pupload.cli import schedules

    asked = schedules.asked(cron=cron, every=every, timezone=timezone)
    return schedules.preview(words.out(as_json), words.url(url).url, asked, count)


def backfill(
    flow: SavedFlow,
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A date: YYYY-MM-DD.", show_default=False)],
    last: Annotated[str, typer.Argument(metavar="LAST", help="Another, included.", show_default=False)],
    params: Params = None,
    priority: Priority = None,
    key: Annotated[
        str, typer.Option("--key", help="Asked again with the same key, no date is run twice.", show_default=False)
    ] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Run a saved flow once for each of many dates, given to it as the parameter `date`."""
    from pupload.cli import schedules

    return schedules.backfill(
        words.out(as_json), words.url(url).url, flow, first, last, params=params or [], priority=priority, key=key
    )
