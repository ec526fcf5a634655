"""`pup node test`: run the samples of node types as flows, and compare what comes of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pupload import building, errors
from pupload.api.flow import wire
from pupload.cli import cases, failures, gathering, logins, nodetypes, project, trial
from pupload.cli.board import Board
from pupload.cli.borrowing import a_server
from pupload.cli.cases import Case
from pupload.cli.failures import Usage
from pupload.cli.nodetypes import Home
from pupload.cli.output import Output
from pupload.cli.servers import Address
from pupload.client import Answer, Client

NODE = "tested"
"""The node's id in the flow that a case is run as; its edges are named after its ports."""

REFUSED_BETTER = frozenset({"NODE_005", "NODE_015"})
"""A flag that must be set, a value that it cannot have: what a program would refuse, told before it runs."""


def test(out: Output, names: Sequence[str], *, every: bool, address: Address, start: Path) -> int:
    """Runs the samples of node types as flows, and compares what comes of them; fails where something is not so."""
    if bool(names) == every:
        raise Usage(reason="name node types to test, or say --all")
    there = {name: folder for name, folder in nodetypes.folders(start).items() if (folder / cases.FILE).is_file()}
    homes = nodetypes.chosen(names, there, str(cases.FILE))
    return asyncio.run(_test(out, homes, address, start))


async def _test(out: Output, homes: Sequence[Home], address: Address, start: Path) -> int:
    for home in homes:
        if (home.folder / "Dockerfile").is_file() and not await building.is_there(home.image):
            out.note(f"building {home.image}, which is not there yet")
            await nodetypes.build_one(out, home)
    told: list[Answer] = []
    # A server that is there for this alone runs what its user names; one that others have keeps to its policy.
    serving = a_server(out, address, project=project.find_root(start), every_type=True)
    async with serving as url, logins.client(url) as client:
        for home in homes:
            told += [await _try(out, client, home, case) for case in cases.read(home.folder)]
    bad = [each for each in told if each["Objections"]]
    if out.as_json:
        out.json(told)
    out.say(f"{len(told) - len(bad)} of {len(told)} cases are as expected")
    return failures.FAILED if bad else failures.OK


async def _try(out: Output, client: Client, home: Home, case: Case) -> Answer:
    """Runs one case and says how it went."""
    uses, began = home.definition.uses, time.monotonic()
    for name, value in case.secrets.items():
        await client.put_secret(name, value)
    try:
        objections = await _run(client, home, case)
    finally:
        for name in case.secrets:
            await client.remove_secret(name)
    seconds = time.monotonic() - began
    mark, style = ("✗", "red") if objections else ("✓", "green")
    out.say(f"{mark} {uses} {case.name} ({seconds:.1f} s)", style=style)
    for sentence in objections:
        out.say(f"    {sentence}")
    return {"Node": uses, "Case": case.name, "Seconds": round(seconds, 3), "Objections": objections}


async def _run(client: Client, home: Home, case: Case) -> list[str]:
    try:
        run = await client.start(_order(home, case))
    except errors.Invalid as error:
        wrong = [finding for finding in error.findings if finding.is_error]
        if case.fails is not None and all(finding.code in REFUSED_BETTER for finding in wrong):
            return []
        return [f"is refused: {finding.code} {finding.description}" for finding in wrong]
    files = {
        edge: path
        for port, paths in case.inputs.items()
        for edge, path in (_parts(port, paths).items() if _is_many(home, port) else [(_edge_in(port), paths[0])])
    }
    with Board(Output(as_json=True), run["NodeState"]) as board:  # says nothing: a line for each case is enough
        run = await trial.see_through(client, run, files, board, secrets={})
    if case.fails is not None:
        state = run["NodeState"][NODE]
        logs = await client.logs(run["ID"], node=NODE)
        said = "\n".join(str(record["message"]) for record in logs["Logs"])
        return list(cases.failure_objections(case.fails, state, f"{run['Error']}\n{said}"))
    if run["Status"] != "COMPLETE":
        return [f"ended {run['Status']}: {run['Error']}"]
    found: list[str] = []
    with TemporaryDirectory(prefix="pup-test-") as folder:
        for port, expected in case.outputs.items():
            artifact = run["Artifacts"].get(_edge_out(port))
            if artifact is None:
                found.append(f"{port} was not made")
                continue
            if "Items" in artifact:
                found += [f"{port} {sentence}" async for sentence in _of_items(client, run, artifact, expected, folder)]
                continue
            path = await client.download(artifact, Path(folder, port))
            content = await asyncio.to_thread(path.read_bytes)
            found += [f"{port} {sentence}" for sentence in cases.objections(expected, artifact, content)]
    return found


async def _of_items(
    client: Client, run: Answer, artifact: Answer, expected: Mapping[str, Any], folder: str
) -> AsyncIterator[str]:
    """What is not as expected of a collection: how many items there are, their names, and each for itself."""
    items = await gathering.items(client, run, artifact)
    for sentence in cases.item_objections(expected.get("Items", {}), [each["FileName"] for each in items.values()]):
        yield sentence
    for place, item in items.items():
        path = await client.download(item, Path(folder, f"{place}"))
        content = await asyncio.to_thread(path.read_bytes)
        for sentence in cases.objections(expected, item, content):
            yield f"item {item['FileName']} {sentence}"


def _order(home: Home, case: Case) -> Mapping[str, Any]:
    """The flow of one node that a case is."""
    many = [port for port in case.inputs if _is_many(home, port)]
    node = {
        "ID": NODE,
        "Memoize": False,  # what is tested has to run
        "Uses": home.definition.uses,
        "Inputs": [{"Name": port, "Edge": _edge_in(port)} for port in case.inputs],
        "Outputs": [{"Name": port, "Edge": _edge_out(port)} for port in _bound(home, case)],
        "Flags": [{"Name": name, "Value": value} for name, value in case.flags.items()],
    }
    collecting = [_collecting(port, case.inputs[port]) for port in many]
    flow = {"Name": f"test-{home.definition.name}", "Nodes": [*(each for each, _ in collecting), node]}
    return {"Flow": flow, "NodeDefs": [wire.write_definition(home.definition), *(each for _, each in collecting)]}


def _is_many(home: Home, port: str) -> bool:
    return any(one.many for one in home.definition.inputs if one.name == port)


def _parts(port: str, paths: Sequence[Path]) -> Mapping[str, Path]:
    """The files of a collection by the edges that they are uploaded to, one each."""
    return {f"{_edge_in(port)}-{number}": path for number, path in enumerate(paths)}


def _collecting(port: str, paths: Sequence[Path]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A node that makes one collection of files that are uploaded one by one, and its definition."""
    places = range(len(paths))
    copy = " && ".join(f'cp "$INPUT_FILE{place}" "$OUTPUT_FILES/$FLAG_NAME{place}"' for place in places)
    definition = {
        "Publisher": "pupload-test",
        "Name": f"collect-{port}",
        "Image": building.BASE,
        "Tier": "c-nano",
        "Inputs": [{"Name": f"file{place}", "Required": True} for place in places],
        "Outputs": [{"Name": "files", "Many": True, "Required": True}],
        "Flags": [{"Name": f"name{place}", "Type": "string", "Required": True} for place in places],
        "Command": {"Exec": ["sh", "-c", copy]},
    }
    node = {
        "ID": f"collect-{port}",
        "Uses": f"pupload-test/collect-{port}",
        "Inputs": [{"Name": f"file{place}", "Edge": edge} for place, edge in enumerate(_parts(port, paths))],
        "Outputs": [{"Name": "files", "Edge": _edge_in(port)}],
        "Flags": [{"Name": f"name{place}", "Value": path.name} for place, path in enumerate(paths)],
    }
    return node, definition


def _bound(home: Home, case: Case) -> Iterator[str]:
    """The outputs that a flow of the case binds: those it looks at, and those that must be."""
    for port in home.definition.outputs:
        if port.name in case.outputs or port.required or case.fails is not None:
            yield port.name


def _edge_in(port: str) -> str:
    return f"in-{port}"


def _edge_out(port: str) -> str:
    return f"out-{port}"
