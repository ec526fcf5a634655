"""`pup test`: run one of the project's flows on real files, and bring the results here."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from pupload import errors
from pupload.api.flow import wire
from pupload.cli import authoring, failures, gathering, logins, output, project, runs
from pupload.cli.board import Board
from pupload.cli.borrowing import a_server
from pupload.cli.failures import Usage
from pupload.cli.output import Output
from pupload.cli.project import Loaded, Project
from pupload.cli.servers import Address
from pupload.client import Answer, Client, file_name
from pupload.domain import flow

UPLOADS_AT_ONCE = 2

STOPPING_SECONDS = 20.0
"""How long a run that is cancelled by Ctrl-C gets to stop."""

LAST_LINES = 15
"""Of a failed node's log."""


def test(
    out: Output,
    name: str,
    *,
    inputs: Sequence[str],
    params: Sequence[str],
    into: Path,
    every: bool,
    address: Address,
    start: Path,
) -> int:
    """Runs the flow; fails unless it completes."""
    loaded = project.load(start)
    asked = loaded.find_flow(name)
    files, known = read_inputs(inputs, asked.value), read_params(params)
    return asyncio.run(_test(out, loaded, asked, files, params=known, into=into, every=every, address=address))


def read_params(given: Sequence[str], option: str = "--param") -> Mapping[str, str]:
    """Values by name, of `name=value` each. Raises `Usage`; whether the flow takes them is the server's to say."""
    known: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Usage(reason=f"{option} {text} should read name=value")
        if name in known:
            raise Usage(reason=f"{option} for {name} is given twice")
        known[name] = value
    return known


def read_inputs(inputs: Sequence[str], asked: flow.Flow) -> Mapping[str, Path]:
    """Files by edge, of `edge=path` each. Raises `Usage` unless they are just what the flow takes, and there."""
    taken = taken_edges(asked)
    files: dict[str, Path] = {}
    for text in inputs:
        edge, equals, path = text.partition("=")
        if not equals or not path:
            raise Usage(reason=f"--input {text} should read edge=path")
        if edge not in taken:
            raise Usage(reason=f"the flow takes no upload on edge {edge}; it takes: {', '.join(taken) or 'none'}")
        if edge in files:
            raise Usage(reason=f"--input for edge {edge} is given twice")
        files[edge] = Path(path).expanduser()
        if not files[edge].is_file():
            raise Usage(reason=f"there is no file {path} (for edge {edge})")
    missing = [edge for edge in taken if edge not in files]
    if missing:
        raise Usage(reason=f"give a file for {', '.join(missing)}: --input {missing[0]}=PATH")
    return files


def taken_edges(asked: flow.Flow) -> Sequence[str]:
    """The edges that wait for a file, to be uploaded or POSTed to a webhook, in the flow's order."""
    produced = {port.edge for node in asked.nodes for port in node.outputs}
    otherwise = {well.edge for well in asked.wells if well.source not in (None, "upload", "webhook")}
    used = (port.edge for node in asked.nodes for port in node.inputs)
    return list(dict.fromkeys(edge for edge in used if edge not in produced and edge not in otherwise))


def result_edges(asked: flow.Flow, *, every: bool) -> Sequence[str]:
    """The edges whose artifacts are results: what nodes make and no node takes, or a well keeps; or all they make."""
    taken = {port.edge for node in asked.nodes for port in node.inputs}
    kept = {well.edge for well in asked.wells}
    made = (port.edge for node in asked.nodes for port in node.outputs)
    return list(dict.fromkeys(edge for edge in made if every or edge not in taken or edge in kept))


async def _test(
    out: Output,
    loaded: Project,
    asked: Loaded[flow.Flow],
    files: Mapping[str, Path],
    *,
    params: Mapping[str, str],
    into: Path,
    every: bool,
    address: Address,
) -> int:
    term_is_interrupt()
    secrets = {well.edge: well.secret or "" for well in asked.value.wells if well.source == "webhook"}
    definitions = loaded.used_by(asked.value)
    order = wire.write_order(asked.value, [each.value for each in definitions], params)
    async with a_server(out, address, project=loaded.root) as url, logins.client(url) as client:
        try:
            run = await client.start(order)
        except errors.Invalid as error:
            places = [project.place(finding, asked, definitions) for finding in error.findings]
            authoring.show_findings(out, error.findings, places)
            raise
        saved: dict[str, Path] = {}
        try:
            with Board(out, run["NodeState"]) as board:
                run = await see_through(client, run, files, board, secrets=secrets)
                if run["Status"] == "COMPLETE":
                    saved = await _download(client, run, result_edges(asked.value, every=every), into, board)
        except (asyncio.CancelledError, errors.PuploadError, OSError):
            # Nobody will look after this run any more.
            await stop(client, run["ID"])
            raise
        return await _report(out, client, run, saved)


def term_is_interrupt() -> None:
    """TERM ends the command like Ctrl-C does, so that the run is cancelled."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def see_through(
    client: Client, run: Answer, files: Mapping[str, Path], board: Board, *, secrets: Mapping[str, str]
) -> Answer:
    """Uploads the files, those of webhooks with their `secrets`, and returns the run when it has ended."""
    hooks = {each["Artifact"]["EdgeName"]: each["PutURL"] for each in run["WaitingURLs"] if "Method" in each}
    gate = asyncio.Semaphore(UPLOADS_AT_ONCE)
    sizes = {edge: await asyncio.to_thread(os.path.getsize, path) for edge, path in files.items()}

    async def upload(edge: str, path: Path) -> None:
        async with gate:
            tell = board.transfer(f"uploading {edge}", sizes[edge])
            # A run that has ended by itself takes no more uploads: its own error tells more.
            with contextlib.suppress(errors.Conflict):
                if edge in hooks:
                    await client.deliver(hooks[edge], path, secret=secrets.get(edge, ""), on_progress=tell)
                else:
                    await client.upload(run["ID"], edge, path, on_progress=tell)

    waiting = asyncio.ensure_future(client.wait(run["ID"], on_event=board.see))
    uploads = [asyncio.ensure_future(upload(edge, path)) for edge, path in files.items()]
    try:
        await asyncio.gather(*uploads)
        return await waiting
    finally:
        for task in (*uploads, waiting):
            task.cancel()
        await asyncio.gather(*uploads, waiting, return_exceptions=True)


async def _download(client: Client, run: Answer, edges: Sequence[str], into: Path, board: Board) -> dict[str, Path]:
    saved: dict[str, Path] = {}
    for edge in edges:
        artifact = run["Artifacts"].get(edge)
        if artifact is None:
            continue
        name = file_name(artifact) if "Items" not in artifact else file_name({**artifact, "ContentType": ""})
        if into / name in saved.values():
            name = f"{len(saved)}-{name}"
        tell = board.transfer(f"downloading {edge}", artifact["Size"])
        if "Items" in artifact:
            saved[edge] = await gathering.download(client, run, artifact, into / name, on_progress=tell)
            continue
        saved[edge] = await client.download(artifact, into / name, on_progress=tell)
    return saved


async def stop(client: Client, run_id: str) -> None:
    """Cancels the run and waits a little until it has stopped."""
    with contextlib.suppress(errors.PuploadError, TimeoutError):
        async with asyncio.timeout(STOPPING_SECONDS):
            await client.cancel(run_id)
            await client.wait(run_id)


async def _report(out: Output, client: Client, run: Answer, saved: Mapping[str, Path]) -> int:
    if out.as_json:
        out.json({"Run": run, "Files": {edge: str(path) for edge, path in saved.items()}})
    for edge, path in saved.items():
        artifact = run["Artifacts"][edge]
        what = f"{artifact['Items']} items" if "Items" in artifact else artifact["ContentType"]
        out.say(f"{edge}: {path} ({what}, {output.size(artifact['Size'])})")
    for warning in run["Warnings"]:
        out.note(f"warning: {warning}")
    if run["Status"] == "COMPLETE":
        out.say(f"{run['ID']} COMPLETE", style="green")
        return failures.OK
    for node, state in run["NodeState"].items():
        if state["Status"] == "ERROR" and not out.as_json:
            for record in (await client.logs(run["ID"], node=node))["Logs"][-LAST_LINES:]:
                runs.show_log(out, record)
    raise failures.Failed(reason=": ".join(filter(None, (f"{run['ID']} {run['Status']}", run["Error"]))))
