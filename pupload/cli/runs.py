"""Commands about runs on a server: status, logs, cancel, resume, callbacks, list."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pupload.cli import failures, logins, output
from pupload.cli.output import Output
from pupload.client import Answer, Client

T = TypeVar("T")


def with_client(url: str, work: Callable[[Client], Awaitable[T]]) -> T:
    """What `work` comes to with a client of the server."""

    async def main() -> T:
        async with logins.client(url) as client:
            return await work(client)

    return asyncio.run(main())


def status(out: Output, url: str, run_id: str) -> int:
    """Shows a run."""
    run = with_client(url, lambda client: client.status(run_id))
    show(out, run)
    return failures.OK


def cancel(out: Output, url: str, run_id: str, *, drain: bool) -> int:
    """Stops a run."""
    run = with_client(url, lambda client: client.cancel(run_id, mode="drain" if drain else "kill"))
    if out.as_json:
        out.json(run)
    elif run["FinishedAt"]:
        out.say(f"{run['ID']} has ended: {run['Status']}")
    else:
        out.say(f"{run['ID']} is being stopped")
    return failures.OK


def resume(out: Output, url: str, run_id: str, *, from_node: str | None) -> int:
    """Goes on where a run ended."""
    run = with_client(url, lambda client: client.resume(run_id, from_node=from_node))
    if out.as_json:
        out.json(run)
    else:
        out.say(f"{run['ID']} goes on where {run_id} ended: {run['Status']}")
    return failures.OK


def why(out: Output, url: str, run_id: str, node: str) -> int:
    """Shows why a node ran, or did not."""
    found = with_client(url, lambda client: client.why(run_id, node))
    if out.as_json:
        out.json(found)
        return failures.OK
    out.say(f"{node}: {found['Sentence']}")
    if found["Differences"]:
        out.say()
        rows = [(each["Component"], each["Now"] or "-", each["Was"] or "-") for each in found["Differences"]]
        out.table(("COMPONENT", "NOW", "WAS"), rows)
    if found["MoreDifferences"]:
        out.note(f"and {found['MoreDifferences']} more")
    return failures.OK


def callbacks(out: Output, url: str, run_id: str) -> int:
    """Shows who was told of a run."""
    found = with_client(url, lambda client: client.callbacks(run_id))
    if out.as_json:
        out.json(found)
        return failures.OK
    rows = [_delivery_row(each) for each in found["Deliveries"]]
    out.table(("CALLBACK", "STATE", "TRIES", "NEXT", "URL", "ERROR"), rows)
    return failures.OK


def _delivery_row(this: Answer) -> tuple[Any, ...]:
    last = this["Tries"][-1]["Error"] if this["Tries"] else ""
    coming = moment(this["NextTryAt"]) if this["NextTryAt"] else ""
    return this["ID"], output.status(this["State"]), str(len(this["Tries"])), coming, this["URL"], last


def resend(out: Output, url: str, run_id: str, delivery: str) -> int:
    """Sends a callback again."""
    this = with_client(url, lambda client: client.send_callback_again(run_id, delivery))
    if out.as_json:
        out.json(this)
    else:
        out.say(f"{this['ID']} is being sent again")
    return failures.OK


def listing(out: Output, url: str, **which: Any) -> int:
    """Lists runs, those that `Client.list` gives."""
    page = with_client(url, lambda client: client.list(**which))
    if out.as_json:
        out.json(page)
        return failures.OK
    rows = [
        (run["ID"], run["Flow"], output.status(run["Status"]), moment(run["StartedAt"]), run["Error"])
        for run in page["Runs"]
    ]
    out.table(("RUN", "FLOW", "STATUS", "STARTED", "ERROR"), rows)
    if len(rows) < page["Total"]:
        out.note(f"{len(rows)} of {page['Total']} runs; --limit and --offset show others")
    return failures.OK


def logs(out: Output, url: str, run_id: str, *, node: str, attempt: int, since: int, follow: bool) -> int:
    """Prints what a run's nodes wrote, a line each."""

    async def work(client: Client) -> None:
        if not follow:
            for record in (await client.logs(run_id, node=node, attempt=attempt, since=since))["Logs"]:
                show_log(out, record)
            return
        async for event in client.follow_logs(run_id, node=node, attempt=attempt, since=since):
            show_log(out, event.data)

    with_client(url, work)
    return failures.OK


def show_log(out: Output, record: Answer) -> None:
    """One line of a log."""
    if out.as_json:
        out.json(record)
        return
    style = {"ERROR": "red", "WARN": "yellow"}.get(record["level"], "dim" if record["stream"] == "pupload" else None)
    out.say(f"{moment(record['timestamp'])} {record['node']}: {record['message']}", style=style)


def show(out: Output, run: Answer) -> None:
    """A run, for people or machines."""
    if out.as_json:
        out.json(run)
        return
    out.console.print(output.plain(run["ID"]), output.status(run["Status"]))
    ended = f", ended {moment(run['FinishedAt'])}" if run["FinishedAt"] else ""
    out.say(f"started {moment(run['StartedAt'])}{ended}")
    if queued := run.get("Queued"):
        out.say(f"waits for a slot since {moment(queued['Since'])}{place(queued)}")
    if run["Error"]:
        out.say(run["Error"], style="red")
    out.say()
    out.table(("NODE", "STATUS", "ATTEMPT", "EXIT", "ERROR"), [_node_row(*item) for item in run["NodeState"].items()])
    if run["Artifacts"]:
        out.say()
        rows = [(edge, output.size(each["Size"]), each["ContentType"]) for edge, each in run["Artifacts"].items()]
        out.table(("ARTIFACT", "SIZE", "TYPE"), rows)
    for waiting in run["WaitingURLs"]:
        out.say(f"\nwaits for {waiting['Artifact']['EdgeName']}: {waiting.get('Method', 'PUT')} {waiting['PutURL']}")
    for asked in run.get("AwaitedApprovals", ()):
        out.say(f"\nasks for a yes or no on {asked['Edge']}: pup approve {run['ID']} {asked['Edge']}")
    for other in run.get("AwaitedRuns", ()):
        out.say(f"\nwaits for {other['Edge']}: run {other.get('ID', '(not begun)')} of flow {other['Flow']}")
    for warning in run["Warnings"]:
        out.note(f"warning: {warning}")


def _node_row(node: str, state: Answer) -> tuple[Any, ...]:
    attempt = f"{state['Attempt']} of {state['MaxAttempts']}" if state["Attempt"] else ""
    code = "" if state["ExitCode"] is None else str(state["ExitCode"])
    if "Items" in state:
        items = state["Items"]
        attempt = f"{items['Complete']} of {items['Total']} items"
    return node, output.status(progress(state)), attempt, code, state["Error"]


def place(queued: Answer) -> str:
    """Which of those that wait for a slot a run is, where the server knows."""
    return "" if queued["Position"] is None else f", number {queued['Position']} of those that do"


def progress(state: Answer) -> str:
    """The node's status, with how far it is where it tells."""
    if state["Progress"] is not None and state["Status"] == "RUNNING":
        return f"RUNNING {state['Progress']:.0%}"
    return str(state["Status"])


def moment(text: str) -> str:
    """A time of the wire, to the second."""
    return text[:19].replace("T", " ")
