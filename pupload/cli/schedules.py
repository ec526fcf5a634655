"""Commands about schedules and backfills."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pupload.cli import failures, logins, runs, trial
from pupload.cli.output import Output
from pupload.client import Answer

_SCHEDULES = "/api/v1/flow/schedules"

_KEPT = (
    *("Cron", "Interval", "Timezone", "Enabled", "CatchUp", "CatchUpWindow", "Overlap", "Params", "Priority"),
    "Input",
)
"""What a schedule goes on to say where it is not said anew."""

_MOST_SHOWN = 60
"""Letters of a mistake in a table."""


def asked(
    *,
    cron: str = "",
    every: str = "",
    timezone: str = "",
    catch_up: str = "",
    window: str = "",
    overlap: str = "",
    priority: int | None = None,
) -> Mapping[str, str | int]:
    """What is said of a schedule, as it goes over the wire."""
    said = {
        "Cron": cron,
        "Interval": every,
        "Timezone": timezone,
        "CatchUp": catch_up,
        "CatchUpWindow": window,
        "Overlap": overlap,
    }
    found: dict[str, str | int] = {name: text for name, text in said.items() if text}
    return found if priority is None else {**found, "Priority": priority}


def add(out: Output, url: str, flow: str, asked: Mapping[str, str | int], params: Sequence[str]) -> int:
    """Makes a schedule."""
    body = {"Flow": flow, **asked, "Params": trial.read_params(params)}
    return _shown(out, _ask(url, "POST", _SCHEDULES, body))


def change(out: Output, url: str, schedule: str, asked: Mapping[str, str | int], params: Sequence[str] | None) -> int:
    """Lets a schedule be otherwise."""
    found = _ask(url, "GET", _place(schedule))
    body = {"Flow": found["FlowID"], **{name: found[name] for name in _KEPT}, "PausedUntil": found["PausedUntil"] or ""}
    if "Cron" in asked or "Interval" in asked:
        body |= {"Cron": "", "Interval": ""}
    if params is not None:
        body["Params"] = trial.read_params(params)
    return _shown(out, _ask(url, "PUT", _place(schedule), {**body, **asked}))


def listing(out: Output, url: str, flow: str) -> int:
    """Lists schedules."""
    answer = _ask(url, "GET", _SCHEDULES, query={"flow": flow} if flow else {})
    if out.as_json:
        out.json(answer)
        return failures.OK
    rows = [
        (
            *(each["ID"], each["FlowID"], _when(each), _next(each), _moment(each["LastAt"])),
            each["LastError"][:_MOST_SHOWN] or each["LastRun"],
        )
        for each in answer["Schedules"]
    ]
    out.table(("SCHEDULE", "FLOW", "WHEN", "NEXT", "LAST", "CAME TO"), rows)
    return failures.OK


def show(out: Output, url: str, schedule: str, count: int) -> int:
    """Shows a schedule."""
    found = _ask(url, "GET", _place(schedule))
    fires = _ask(url, "GET", f"{_place(schedule)}/fires", query={"count": str(count)})["Fires"]
    if out.as_json:
        out.json({**found, "Fires": fires})
        return failures.OK
    _tell(out, found)
    for fire in fires:
        out.say(f"  {runs.moment(fire)} UTC")
    return failures.OK


def pause(out: Output, url: str, schedule: str, until: str) -> int:
    """Pauses a schedule."""
    return _shown(out, _ask(url, "POST", f"{_place(schedule)}/pause", {"Until": until}))


def resume(out: Output, url: str, schedule: str) -> int:
    """Resumes a schedule."""
    return _shown(out, _ask(url, "POST", f"{_place(schedule)}/resume"))


def remove(out: Output, url: str, schedule: str) -> int:
    """Removes a schedule."""
    _ask(url, "DELETE", _place(schedule))
    if out.as_json:
        out.json({"ID": schedule})
    else:
        out.say(f"schedule {schedule} is removed")
    return failures.OK


def preview(out: Output, url: str, asked: Mapping[str, str | int], count: int) -> int:
    """Tells moments."""
    answer = _ask(url, "POST", f"{_SCHEDULES}/preview", {**asked, "Count": count})
    if out.as_json:
        out.json(answer)
        return failures.OK
    for fire in answer["Fires"]:
        out.say(f"{runs.moment(fire)} UTC")
    return failures.OK


def backfill(
    out: Output,
    url: str,
    flow: str,
    first: str,
    last: str,
    *,
    params: Sequence[str],
    priority: int | None = None,
    key: str,
) -> int:
    """Starts a run for each date."""
    body: dict[str, Any] = {"StartDate": first, "EndDate": last, "Params": trial.read_params(params)}
    body |= {} if priority is None else {"Priority": priority}
    path = f"/api/v1/flow/saved/{quote(flow.strip('/'), safe='')}/backfill"
    answer = _ask(url, "POST", path, body, headers={"Idempotency-Key": key} if key else {})
    if out.as_json:
        out.json(answer)
        return failures.OK
    out.table(("DATE", "RUN"), list(zip(answer["Dates"], answer["Runs"], strict=True)))
    out.note(f"{len(answer['Runs'])} runs, labelled backfill={answer['ID']}")
    return failures.OK


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ask(url: str, method: str, path: str, body: Mapping[str, Any] | None = None, **more: Mapping[str, str]) -> Answer:
    async def main() -> Answer:
        async with logins.client(url) as client:
            return await client.ask(method, path, body, **more)

    return asyncio.run(main())


def _place(schedule: str) -> str:
    return f"{_SCHEDULES}/{quote(schedule, safe='')}"


def _shown(out: Output, found: Answer) -> int:
    if out.as_json:
        out.json(found)
    else:
        _tell(out, found)
    return failures.OK


def _tell(out: Output, found: Answer) -> None:
    out.say(f"{found['ID']}  runs of {found['FlowID']}: {_when(found)}; next: {_next(found)}")
    rules = f"missed: {found['CatchUp']}, within {found['CatchUpWindow']}; overlap: {found['Overlap']}"
    params = "".join(f"; {name}={value}" for name, value in found["Params"].items())
    out.say(rules + params)
    if found["LastAt"]:
        out.say(f"last: {_moment(found['LastAt'])} UTC, {found['LastError'] or found['LastRun']}")


def _when(found: Answer) -> str:
    return f"{found['Cron']} ({found['Timezone']})" if found["Cron"] else f"every {found['Interval']}"


def _next(found: Answer) -> str:
    return _moment(found["NextAt"]) if found["Enabled"] else "paused"


def _moment(text: str | None) -> str:
    return runs.moment(text) if text else ""
