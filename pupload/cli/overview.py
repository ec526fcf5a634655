"""Commands about all runs and flows at once."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

from rich.text import Text

from pupload.cli import failures, logins, output, runs
from pupload.cli.output import Output
from pupload.client import Answer

_FLOW = "/api/v1/flow"

_WIDEST = 40
"""Marks in the longest bar."""

_SHOWN = 10
"""Runs and flows of each kind that a dashboard shows."""


def calendar(out: Output, url: str, days: int) -> int:
    """Shows what happened on each day."""
    found = _ask(url, "GET", f"{_FLOW}/calendar", query={"days": str(days)})
    if out.as_json:
        out.json(found)
        return failures.OK
    _show_days(out, found["Days"])
    return failures.OK


def dashboard(out: Output, url: str) -> int:
    """Shows everything at a glance."""
    found = _ask(url, "GET", f"{_FLOW}/dashboard")
    if out.as_json:
        out.json(found)
        return failures.OK
    last = found["LastDay"]
    out.say(
        f"24 hours: {_runs(last['Total'])}, {last['Success']} succeeded, {last['Failed']} failed; "
        f"{len(found['Running'])} running now; {_counted(found['FlowsTotal'], 'saved flow')}"
    )
    out.say()
    _show_days(out, found["Trends"])
    if found["Failing"]:
        out.say()
        out.table(("FAILS MOST", "FAILED"), [(each["Name"], str(each["Failed"])) for each in found["Failing"]])
    if found["Recent"]:
        out.say()
        out.table(
            ("RUN", "STATUS", "FLOW", "STARTED"),
            [
                (each["ID"], output.status(each["Status"]), each["Flow"], runs.moment(each["StartedAt"]))
                for each in found["Recent"][:_SHOWN]
            ],
        )
    if found["Flows"]:
        out.say()
        latest = sorted(found["Flows"], key=lambda each: str(each["UpdatedAt"]), reverse=True)[:_SHOWN]
        out.table(
            ("SAVED LAST", "NODES", "EDGES", "LABEL", "CHANGED"),
            [
                (
                    *(f"{each['Namespace']}/{each['Name']}", str(each["Nodes"]), str(each["Edges"]), each["Label"]),
                    runs.moment(each["UpdatedAt"]),
                )
                for each in latest
            ],
        )
    return failures.OK


def search(out: Output, url: str, text: str, limit: int) -> int:
    """Shows what has the text in it."""
    found = _ask(url, "GET", f"{_FLOW}/search", query={"q": text, "limit": str(limit)})
    if out.as_json:
        out.json(found)
        return failures.OK
    rows = [
        (each["Kind"], each["Name"], each["ID"], _counted(len(each["Flows"]), "flow"), each["Description"])
        for each in found["Hits"]
    ]
    if rows:
        out.table(("KIND", "NAME", "ID", "IN", "DESCRIPTION"), rows)
    else:
        out.note(f"nothing has {text!r} in its name or description")
    return failures.OK


def system(out: Output, url: str) -> int:
    """Shows how much there is."""
    found = _ask(url, "GET", f"{_FLOW}/system")
    if out.as_json:
        out.json(found)
        return failures.OK
    out.say(f"version    {found['Version']}")
    out.say(f"database   {output.size(found['DatabaseBytes'])}")
    out.say(f"flows      {found['Flows']}")
    out.say(f"active     {_runs(found['ActiveRuns'])}, {found['MaxConcurrentRuns']} at most")
    out.say(f"queued     {_runs(found['QueuedRuns'])}")
    return failures.OK


def purge(out: Output, url: str, days: int) -> int:
    """Purges what is so old."""
    found = _ask(url, "POST", f"{_FLOW}/purge", {"Days": days})
    if out.as_json:
        out.json(found)
    else:
        out.say(f"purged {_runs(found['Purged'])} that started more than {_counted(days, 'day')} ago")
    return failures.OK


# ── Lineage ──────────────────────────────────────────────────────────────────────────────────────────────────────


def lineage(out: Output, url: str, flow: str) -> int:
    """Shows what flows read and write, an object at a time."""
    found = _ask(url, "GET", f"{_FLOW}/lineage", query={"flow": flow} if flow else {})
    if out.as_json:
        out.json(found)
        return failures.OK
    assets = {each["ID"]: each for each in found["Nodes"]}
    objects = [each for each in found["Nodes"] if each["Kind"] == "object"]
    if not objects:
        out.note("no object that a data well names")
    names = _names(url, {each["Flow"] for each in found["Edges"]}) if objects else {}
    links = _by_object(found["Edges"])
    for each in sorted(objects, key=lambda asset: (asset["Store"], asset["Name"])):
        out.say(f"{each['Store']}  {each['Name']}", style="bold")
        for link in links.get(each["ID"], ()):
            here, there = ("Source", "Target") if link["Source"] == each["ID"] else ("Target", "Source")
            other = assets[link[there]]
            whose = f"{names.get(link['Flow'], link['Flow'])}: " if link["Flow"] else "such as "
            if here == "Target" and not link["Flow"]:
                whose = "one of "
            out.say(f"  {'->' if here == 'Source' else '<-'} {whose}{other['Name']}")
    used = [each for each in found["Nodes"] if each["Kind"] == "variable"]
    if used:
        out.say()
        out.say("uses " + ", ".join(sorted({f"${{{each['Name']}}}" for each in used})))
    return failures.OK


def trace(out: Output, url: str, run_id: str, edge: str) -> int:
    """Shows the way of an artifact."""
    found = _ask(url, "GET", f"{_FLOW}/lineage/{quote(run_id, safe='')}/{quote(edge, safe='')}")
    if out.as_json:
        out.json(found)
        return failures.OK
    out.say("came from", style="bold")
    for step in found["Upstream"]:
        out.say(f"  {step['Edge']}: {_origin(step)}")
    if found["Downstream"]:
        out.say("went to", style="bold")
        for use in found["Downstream"]:
            made = f", made {', '.join(use['Outputs'])}" if use["Outputs"] else ""
            out.say(f"  {use['Node']} ({use['Uses']}, {use['Status']}): took {', '.join(use['Inputs'])}{made}")
    if found["Shared"]:
        out.say("is in", style="bold")
        for taker in found["Shared"]:
            how = f", which {'replays' if taker['Replays'] else 'resumes'} {taker['ResumedFrom']}"
            out.say(f"  {taker['Run']}{how if taker.get('ResumedFrom') else ''}")
    return failures.OK


def _origin(step: Answer) -> str:
    if "Node" in step:
        said = f"made by {step['Node']} ({step['Uses']}, {step['Status']})"
        if source := step.get("Source"):
            said += f", whose work {source['Node']} of {source['Run']} did {runs.moment(source['At'])}"
        said += f", of {', '.join(step['Inputs'])}" if step["Inputs"] else ""
    else:
        said = {"static": "was there before", "webhook": "came by a webhook"}.get(step["Origin"], "was uploaded")
    if "Key" not in step:
        return f"{said}; nothing lies there"
    deleted = ", deleted since" if step.get("Deleted") else ""
    return f"{said}; {step['Store']}/{step['Key']}, {output.size(step['Size'])}, {step['SHA256'][:12]}{deleted}"


def _by_object(edges: Sequence[Answer]) -> Mapping[str, Sequence[Answer]]:
    """The links of each object: who writes it, then who reads it."""
    found: dict[str, list[Answer]] = {}
    for link in edges:
        if link["Kind"] == "writes" or not link["Flow"]:
            found.setdefault(link["Target"], []).append(link)
    for link in edges:
        if link["Kind"] == "reads" or not link["Flow"]:
            found.setdefault(link["Source"], []).append(link)
    return found


def _names(url: str, flows: set[str]) -> Mapping[str, str]:
    """The full names of these flows, by their ids; of very many, of some."""
    page = _ask(url, "GET", f"{_FLOW}/saved", query={"limit": "1000"})
    return {each["ID"]: f"{each['Namespace']}/{each['Name']}" for each in page["Flows"] if each["ID"] in flows}


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_days(out: Output, days: Sequence[Answer]) -> None:
    most = max([each["Total"] for each in days], default=0)
    rows: list[tuple[str | Text, ...]] = []
    for each in days:
        weekday = date.fromisoformat(each["Date"]).strftime("%a")
        counts = [str(each[name]) if each[name] else "-" for name in ("Success", "Failed", "Cancelled", "Running")]
        rows.append((f"{each['Date']} {weekday}", str(each["Total"] or "-"), *counts, _bar(each, most)))
    out.table(("DAY (UTC)", "RUNS", "SUCCESS", "FAILED", "CANCELLED", "RUNNING", ""), rows)


def _bar(day: Answer, most: int) -> Text:
    """As long as there were runs; whatever there was at all has a mark."""
    bar = Text()
    for name, colour in (("Success", "green"), ("Failed", "red"), ("Cancelled", "magenta"), ("Running", "cyan")):
        if day[name]:
            bar.append(_MARKS[name] * max(round(day[name] / most * _WIDEST), 1), style=colour)
    return bar


_MARKS = {"Success": "=", "Failed": "x", "Cancelled": "/", "Running": ">"}
"""Of each kind of run, for those who see no colours."""


def _runs(count: int) -> str:
    return _counted(count, "run")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _ask(url: str, method: str, path: str, body: Mapping[str, Any] | None = None, **more: Mapping[str, str]) -> Answer:
    async def main() -> Answer:
        async with logins.client(url) as client:
            return await client.ask(method, path, body, **more)

    return asyncio.run(main())
