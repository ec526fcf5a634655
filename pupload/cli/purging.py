"""The command `pup purge`: runs that have ended, named or by their age, deleted with all they own."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pupload import errors
from pupload.cli import failures, logins, output
from pupload.cli.output import Output
from pupload.cli.runs import moment
from pupload.client import Answer, Client
from pupload.domain import duration

ENDED = ("COMPLETE", "ERROR", "STOPPED")

_PAGE = 1000
_DAYS = re.compile(r"(\d+)d(.*)", re.DOTALL).fullmatch


def purge(out: Output, url: str, run_ids: Sequence[str], *, older_than: str, status: str, dry_run: bool) -> int:
    """
    Purges the runs of these ids, or all that ended so long ago; with `dry_run` it only tells which.

    One that cannot be purged keeps none of the others, and is told. Raises `failures.Usage`.
    """
    age = _age(older_than, status, run_ids)
    return asyncio.run(_purge(out, url, run_ids, age, status.upper(), dry_run=dry_run))


def _age(older_than: str, status: str, run_ids: Sequence[str]) -> float:
    """Seconds; nothing where runs are named."""
    if bool(older_than) == bool(run_ids):
        raise failures.Usage(reason="name the runs to purge, or say --older-than 30d; not both")
    if status and not older_than:
        raise failures.Usage(reason="--status goes with --older-than")
    if status and status.upper() not in ENDED:
        raise failures.Usage(reason=f"--status is one of {', '.join(ENDED)}: only runs that have ended can be purged")
    try:
        return seconds_of(older_than) if older_than else 0.0
    except ValueError as error:
        raise failures.Usage(reason=f"--older-than {older_than}: {error}") from error


def seconds_of(text: str) -> float:
    """A duration that may begin with days, such as `30d` or `1d12h`. Raises ValueError."""
    found = _DAYS(text)
    if not found:
        return duration.positive(text)
    return int(found[1]) * 86400.0 + (duration.positive(found[2]) if found[2] else 0.0)


async def _purge(out: Output, url: str, run_ids: Sequence[str], age: float, status: str, *, dry_run: bool) -> int:
    purged, failed = list[str](), dict[str, str]()
    async with logins.client(url) as client:
        found = [await client.status(run_id) for run_id in run_ids] if dry_run else []
        if age:
            found = await _older(client, age, status)
        if dry_run:
            _show(out, found)
            return failures.OK
        for run_id in [run["ID"] for run in found] or run_ids:
            try:
                await client.purge(run_id)
                purged.append(run_id)
            except errors.Refused as error:
                failed[run_id] = error.message
    if out.as_json:
        out.json({"Purged": purged, "Failed": failed})
    out.say(f"purged {len(purged)} {'run' if len(purged) == 1 else 'runs'}")
    for run_id, reason in failed.items():
        out.note(f"{run_id}: {reason}")
    return failures.FAILED if failed else failures.OK


async def _older(client: Client, age: float, status: str) -> list[Answer]:
    """The runs that ended so many seconds ago, or earlier, oldest last. All are found before the first is purged."""
    before = datetime.now(UTC) - timedelta(seconds=age)  # noqa: TID251 - the age is meant from where the command is given
    found: list[Answer] = []
    offset = 0
    while True:
        page = await client.list(status=status, limit=_PAGE, offset=offset)
        runs = page["Runs"]
        found += [run for run in runs if run["FinishedAt"] and datetime.fromisoformat(run["FinishedAt"]) <= before]
        offset += len(runs)
        if not runs or offset >= page["Total"]:
            return found


def _show(out: Output, runs: Sequence[Answer]) -> None:
    if out.as_json:
        out.json({"Runs": [{name: run.get(name) for name in ("ID", "Status", "FinishedAt")} for run in runs]})
        return
    rows = [(run["ID"], output.status(run["Status"]), moment(run["FinishedAt"] or "")) for run in runs]
    out.table(("RUN", "STATUS", "ENDED"), rows)
    out.note(f"{len(runs)} runs would be purged")
