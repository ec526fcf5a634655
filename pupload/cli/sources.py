"""Commands about sources of saved flows."""

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

from pupload import errors
from pupload.cli import failures, logins, runs
from pupload.cli.output import Output
from pupload.client import Answer

_SOURCES = "/api/v1/flow/sources"

_SHOWN = 12
"""Digits of a commit in a table."""


def listing(out: Output, url: str) -> int:
    """Lists sources."""
    answer = _ask(url, "GET", _SOURCES)
    if out.as_json:
        out.json(answer)
        return failures.OK
    rows = [
        (
            *(each["Name"], each["Type"], each["Path"], each["Commit"][:_SHOWN] or each["Ref"]),
            *(runs.moment(each["SyncedAt"]) if each["SyncedAt"] else "", str(each["Flows"] or "")),
        )
        for each in answer["Sources"]
    ]
    out.table(("SOURCE", "TYPE", "PATH", "AT", "LOOKED AT", "FLOWS"), rows)
    for each in answer["Sources"]:
        if each["Error"]:
            out.note(each["Error"])
        _tell(out, each["Name"], each["Problems"])
    return failures.OK


def sync(out: Output, url: str, source: str) -> int:
    """Lets sources be looked at now."""
    listed = _ask(url, "GET", _SOURCES)["Sources"]
    names = [source] if source else [each["Name"] for each in listed if each["Type"] != "api"]
    if not names:
        out.note("the server has no sources; the setting `sources` names them")
    reports: list[Answer] = []
    code = failures.OK
    for name in names:
        try:
            report = _ask(url, "POST", f"{_SOURCES}/{quote(name, safe='')}/sync")
        except errors.TryLater as error:
            if source or isinstance(error, errors.ServerUnreachable):
                raise
            out.fail(error.message)
            code = failures.UNREACHABLE
            continue
        reports.append(report)
        if report["Problems"]:
            code = code or failures.FAILED
        if not out.as_json:
            _show(out, report)
    if out.as_json:
        out.json({"Reports": reports})
    return code


def _show(out: Output, report: Answer) -> None:
    commit = f" at {report['Commit'][:_SHOWN]}" if report["Commit"] else ""
    changes = [f"{len(report[what])} {word}" for what, word in _WORDS if report[what]]
    out.say(f"{report['Source']}{commit}: {report['Flows']} flows, {', '.join(changes) or 'nothing new'}")
    for what, word in _WORDS:
        for name in report[what]:
            out.say(f"  {word:<8} {name}")
    _tell(out, report["Source"], report["Problems"])
    for each in report["Warnings"]:
        out.note(f"warning: {_place(each)}: {each['Problem']}")


_WORDS = (("Created", "new"), ("Changed", "changed"), ("Gone", "gone"))


def _tell(out: Output, source: str, problems: Sequence[Answer]) -> None:
    for each in problems:
        out.note(f"{source}: {_place(each)}: {each['Problem']}")


def _place(problem: Answer) -> str:
    return f"{problem['Path'] or '.'}{':' + str(problem['Line']) if problem['Line'] else ''}"


def _ask(url: str, method: str, path: str) -> Answer:
    async def main() -> Answer:
        async with logins.client(url) as client:
            return await client.ask(method, path)

    return asyncio.run(main())
