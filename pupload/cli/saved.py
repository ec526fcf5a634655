"""Commands about flows that a server keeps."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pupload import errors
from pupload.api.flow import wire
from pupload.cli import authoring, failures, logins, project, runs, trial
from pupload.cli.output import Output
from pupload.client import Answer, Client
from pupload.domain.flow import with_stores
from pupload.domain.validation.findings import Finding

T = TypeVar("T")

_ANYBODY = "00000000-0000-0000-0000-000000000000"


def save(out: Output, url: str, flow: str, *, name: str, draft: Mapping[str, Any], start: Path) -> int:
    """Saves a flow of the project around `start`."""
    loaded = project.load(start)
    asked = loaded.find_flow(flow)
    shared = wire.read_project({"GlobalStores": loaded.settings.get("GlobalStores")}, project_id=_ANYBODY)
    body = {
        "Flow": wire.write_flow(with_stores(asked.value, shared.stores)),
        "NodeDefs": [wire.write_definition(each.value) for each in loaded.used_by(asked.value)],
        **{name: value for name, value in draft.items() if value not in (None, "", [])},
    }
    definitions = loaded.used_by(asked.value)
    with _told(out, lambda finding: project.place(finding, asked, definitions)):
        return _saved(out, _ask(url, "PUT", _place(name or asked.value.name or asked.path.stem), body))


def _saved(out: Output, saved: Answer) -> int:
    if out.as_json:
        out.json(saved)
    else:
        out.say(f"{_name(saved)} is at version {saved['Version']} ({saved['Label']}), {saved['ID']}")
    for warning in saved.get("Warnings", ()):
        out.note(f"warning: {warning}")
    return failures.OK


def listing(out: Output, url: str, query: Mapping[str, str]) -> int:
    """Lists those that match."""
    page = _ask(url, "GET", _SAVED, query={name: text for name, text in query.items() if text})
    if out.as_json:
        out.json(page)
        return failures.OK
    out.table(
        ("FLOW", "VERSION", "LABEL", "SOURCE", "CHANGED", "DESCRIPTION"),
        [
            (
                *(_name(each), str(each["Version"]), each["Label"], each["Source"], runs.moment(each["UpdatedAt"])),
                f"{_state(each)}{each['Description']}",
            )
            for each in page["Flows"]
        ],
    )
    if len(page["Flows"]) < page["Total"]:
        out.note(f"{len(page['Flows'])} of {page['Total']} flows; --limit and --offset show others")
    return failures.OK


def _state(flow: Answer) -> str:
    """What keeps it from being run, if anything."""
    if flow["Gone"]:
        return f"(gone from {flow['Source']}) "
    return "" if flow["Enabled"] else "(not enabled) "


def show(out: Output, url: str, flow: str, version: int) -> int:
    """Shows a flow in one of its versions."""
    found = _ask(url, "GET", _place(flow), query={"version": str(version)} if version else {})
    if out.as_json:
        out.json(found)
        return failures.OK
    this = found["FlowVersion"]
    out.say(f"{_name(found)}  {found['ID']}  {_state(found)}".rstrip())
    if found["Description"]:
        out.say(found["Description"])
    out.say(f"version {this['Number']} ({this['Label']}) of {found['Version']}, saved {runs.moment(this['At'])}")
    args = found["Args"]
    if args["properties"]:
        out.say()
        rows = [
            (name, each["type"], _default(name, each, args["required"]), each.get("description", ""))
            for name, each in args["properties"].items()
        ]
        out.table(("PARAM", "TYPE", "DEFAULT", "DESCRIPTION"), rows)
    out.say()
    out.table(("NODE", "USES"), [(node["ID"], node["Uses"]) for node in found["Flow"]["Nodes"]])
    return failures.OK


def _default(name: str, param: Answer, required: Sequence[str]) -> str:
    return "(required)" if name in required else str(param.get("default", ""))


def versions(out: Output, url: str, flow: str) -> int:
    """Lists the versions of a flow."""
    found = _ask(url, "GET", f"{_place(flow)}/versions", query={"limit": "1000"})
    if out.as_json:
        out.json(found)
        return failures.OK
    rows = [
        (str(each["Number"]), each["Label"], runs.moment(each["At"]), each["Message"], each["Origin"])
        for each in found["Versions"]
    ]
    out.table(("VERSION", "LABEL", "SAVED", "MESSAGE", "ORIGIN"), rows)
    return failures.OK


def diff(out: Output, url: str, flow: str, old: int, new: int) -> int:
    """Shows what is otherwise between two versions."""
    query = {name: str(number) for name, number in (("from", old), ("to", new)) if number}
    found = _ask(url, "GET", f"{_place(flow)}/diff", query=query)
    if out.as_json:
        out.json(found)
        return failures.OK
    if not found["Changes"]:
        out.say(f"versions {found['From']} and {found['To']} are the same")
        return failures.OK
    rows = [
        (f"{each['Kind']} {each['Name']}".strip(), each["Field"] or each["How"], each["Was"] or "-", each["Now"] or "-")
        for each in found["Changes"]
    ]
    out.table(("PART", "CHANGE", f"VERSION {found['From']}", f"VERSION {found['To']}"), rows)
    return failures.OK


def rollback(out: Output, url: str, flow: str, version: int, message: str) -> int:
    """Goes back to a version."""
    with _told(out, lambda finding: finding.path):
        return _saved(out, _ask(url, "POST", f"{_place(flow)}/rollback", {"Version": version, "Message": message}))


def enable(out: Output, url: str, flow: str, *, enabled: bool) -> int:
    """Lets runs be started, or not."""
    found = _ask(url, "POST", f"{_place(flow)}/enable", {"Enabled": enabled})
    if out.as_json:
        out.json(found)
    else:
        out.say(f"{_name(found)} is {'enabled' if enabled else 'not enabled any more'}")
    return failures.OK


def remove(out: Output, url: str, flow: str) -> int:
    """Removes a flow."""
    _ask(url, "DELETE", _place(flow))
    if out.as_json:
        out.json({"Flow": flow})
    else:
        out.say(f"{flow} is removed")
    return failures.OK


def run(
    out: Output,
    url: str,
    flow: str,
    *,
    params: Sequence[str],
    labels: Sequence[str],
    version: int,
    priority: int | None = None,
    memoize: bool = True,
    key: str,
) -> int:
    """Starts a run."""
    body: dict[str, Any] = {"Params": trial.read_params(params), "Labels": trial.read_params(labels, "--label")}
    headers = {"Idempotency-Key": key} if key else {}
    body |= {"Version": version} if version else {}
    body |= {} if priority is None else {"Priority": priority}
    body |= {} if memoize else {"Memoize": False}
    with _told(out, lambda finding: finding.path):
        started = _ask(url, "POST", f"{_place(flow)}/run", body, headers=headers)
    runs.show(out, started)
    return failures.OK


_SAVED = "/api/v1/flow/saved"


def _place(flow: str) -> str:
    return f"{_SAVED}/{quote(flow.strip('/'), safe='')}"


def _name(flow: Answer) -> str:
    return f"{flow['Namespace']}/{flow['Name']}"


def _ask(url: str, method: str, path: str, body: Mapping[str, Any] | None = None, **more: Any) -> Answer:
    return _with_client(url, lambda client: client.ask(method, path, body, **more))


@contextmanager
def _told(out: Output, place: Callable[[Finding], str]) -> Iterator[None]:
    """Prints what is wrong with a flow, each with its place, before it is said that something is."""
    try:
        yield
    except errors.Invalid as error:
        authoring.show_findings(out, error.findings, [place(finding) for finding in error.findings])
        raise


def _with_client(url: str, work: Callable[[Client], Awaitable[T]]) -> T:
    async def main() -> T:
        async with logins.client(url) as client:
            return await work(client)

    return asyncio.run(main())
