"""Commands about the queue of runs."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pupload.cli import failures, logins, runs
from pupload.cli.output import Output
from pupload.client import Answer


def show(out: Output, url: str, limit: int) -> int:
    """Shows the queue."""
    found = _ask(url, "GET", "/api/v1/flow/queue", query={"limit": str(limit)})
    if out.as_json:
        out.json(found)
        return failures.OK
    lines = [*found["Running"], *found["Queued"]]
    out.table(("PLACE", "RUN", "FLOW", "PRIORITY", "CREATED"), [_row(each) for each in lines])
    slots = "any number of slots" if found["Slots"] is None else f"{found['Slots']} slots"
    more = found["RunningTotal"] + found["QueuedTotal"] - len(lines)
    left_out = f"; {more} are not shown" if more else ""
    out.note(f"{found['RunningTotal']} runs under way, {found['QueuedTotal']} wait; {slots}{left_out}")
    return failures.OK


def prioritize(out: Output, url: str, run_id: str, value: int) -> int:
    """Gives a run another priority."""
    found = _ask(url, "POST", f"/api/v1/flow/priority/{quote(run_id, safe='')}", {"Priority": value})
    if out.as_json:
        out.json(found)
        return failures.OK
    waits = f"; it waits for a slot{runs.place(found['Queued'])}" if "Queued" in found else ""
    out.say(f"run {found['ID']} has priority {found.get('Priority', 0)}{waits}")
    return failures.OK


def _row(line: Answer) -> tuple[str, ...]:
    place = str(line["Position"]) if "Position" in line else "under way"
    return place, line["ID"], line["Flow"], str(line["Priority"]), runs.moment(line["CreatedAt"])


def _ask(
    url: str, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
) -> Answer:
    async def main() -> Answer:
        async with logins.client(url) as client:
            return await client.ask(method, path, body, query=query or {})

    return asyncio.run(main())
