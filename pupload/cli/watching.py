"""The command `pup events`: what happens in all runs, a line each."""

from pupload.cli import failures, runs
from pupload.cli.output import Output
from pupload.client import Client, Event

_TOLD = ("Node", "Edge", "Attempt", "Flow", "Reason", "Error")
"""Facts of an event that a line shows, where they are there."""


def events(out: Output, url: str, *, flow: str, run: str, logs: bool, after: str) -> int:
    """Prints until it is interrupted, or the server ends the stream."""

    async def work(client: Client) -> None:
        which = {"flow": flow, "run": run, "logs": "true" if logs else "", "after": after}
        async for event in client.all_events(**which):
            show(out, event)

    runs.with_client(url, work)
    return failures.OK


def show(out: Output, event: Event) -> None:
    """One line."""
    data = event.data
    if out.as_json:
        out.json({"ID": event.id, "Event": event.kind, "Data": data})
        return
    if event.kind == "log":
        out.say(f"{runs.moment(data['timestamp'])} {data['Run']} {data['node']}: {data['message']}", style="dim")
        return
    told = " ".join(f"{name.lower()}={data['Data'][name]}" for name in _TOLD if data["Data"].get(name))
    out.say(f"{runs.moment(data['At'])} {data['Run']} {event.kind} {told}".rstrip())
