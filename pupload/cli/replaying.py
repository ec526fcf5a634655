"""`pup replay`: run a run's flow again with changes, and tell old beside new."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pupload import errors
from pupload.cli import failures, logins, output, trial
from pupload.cli.board import Board
from pupload.cli.comparing import Comparison, Told
from pupload.cli.failures import Usage
from pupload.cli.output import Output
from pupload.client import Answer

_MOST_NAMED = 20

COLUMNS = ("EDGE", "NODE", "OLD SIZE", "NEW SIZE", "OLD TIME", "NEW TIME", "DIFFERENCE")


def replay(
    out: Output,
    url: str,
    run_id: str,
    *,
    from_nodes: Sequence[str],
    flags: Sequence[str],
    parts: Sequence[str],
    brief: bool,
) -> int:
    """Replays the run, and reports; fails unless the new one completes."""
    return asyncio.run(replayed(out, url, run_id, from_nodes=from_nodes, flags=flags, parts=parts, brief=brief))


async def replayed(
    out: Output,
    url: str,
    run_id: str,
    *,
    from_nodes: Sequence[str] = (),
    flags: Sequence[str] = (),
    parts: Sequence[str] = (),
    brief: bool = False,
) -> int:
    """As `replay`. Raises `failures.Failed` when the new run did not complete."""
    trial.term_is_interrupt()
    async with logins.client(url) as client:
        old = await client.status(run_id)
        edits = read_edits(old["NodeState"], from_nodes=from_nodes, flags=flags, parts=parts)
        try:
            new = await client.replay(run_id, edits)
        except errors.Invalid as error:
            _show_findings(out, error)
            raise
        try:
            with Board(out, new["NodeState"]) as board:
                for waiting in new["WaitingURLs"]:
                    edge = waiting["Artifact"]["EdgeName"]
                    out.note(f"{edge} never came: the run waits for it; `pup status {new['ID']}` tells where to put it")
                new = await trial.see_through(client, new, {}, board, secrets={})
        except (asyncio.CancelledError, errors.PuploadError):
            # Nobody will look after this run any more.
            await trial.stop(client, new["ID"])
            raise
        with TemporaryDirectory(prefix="pup-replay-") as folder:
            lines = await Comparison(client, old, new, Path(folder), brief=brief).report()
    return _report(out, old, new, lines)


# ── What is asked ────────────────────────────────────────────────────────────────────────────────────────────────


def read_edits(
    nodes: Collection[str], *, from_nodes: Sequence[str], flags: Sequence[str], parts: Sequence[str]
) -> Answer:
    """What the server is asked, of `NODE.NAME=VALUE` each. Raises `Usage`."""
    for node in from_nodes:
        if node not in nodes:
            raise Usage(reason=f"the run has no node {node}; it has: {', '.join(nodes)}")
    return {
        "From": list(from_nodes),
        "Flags": [_setting(text, "--flag", nodes, "Name") for text in flags],
        "Set": [_setting(text, "--set", nodes, "Key") for text in parts],
    }


def _setting(text: str, option: str, nodes: Collection[str], name: str) -> Answer:
    path, equals, value = text.partition("=")
    # The id of a node may have dots in it, and so may a flag's name: the longest id that there is is meant.
    node = max((each for each in nodes if path.startswith(f"{each}.")), key=len, default="")
    if not node and name == "Key" and "/" in path:
        node = path.rpartition(".")[0]
    rest = path[len(node) + 1 :]
    if not equals or not node or not rest:
        example = "NODE.FLAG=VALUE" if name == "Name" else "NODE.Key=VALUE"
        raise Usage(reason=f"{option} {text} should read {example}; the run's nodes are: {', '.join(nodes)}")
    return {"Node": node, name: rest, "Value": value}


# ── What is told ─────────────────────────────────────────────────────────────────────────────────────────────────


def _show_findings(out: Output, error: errors.Invalid) -> None:
    for finding in error.findings:
        kind, style = ("ERROR", "red") if finding.is_error else ("WARNING", "yellow")
        out.say(f"  {finding.path}: {kind} [{finding.code}] {finding.name}: {finding.description}", style=style)


def _report(out: Output, old: Answer, new: Answer, lines: Sequence[Told]) -> int:
    if out.as_json:
        out.json({"Run": new, "ReplayOf": old["ID"], "Artifacts": list(lines)})
    ran = [node for node, state in new["NodeState"].items() if not state.get("Reused")]
    taken, every = len(new["NodeState"]) - len(ran), len(new["NodeState"])
    named = f"{', '.join(ran[:_MOST_NAMED])}{', ...' if len(ran) > _MOST_NAMED else ''}"
    out.say(f"{new['ID']} replays {old['ID']}: {named} ran anew, {taken} of {every} nodes were taken over")
    if lines:
        out.say()
        out.table(COLUMNS, [_row(line) for line in lines])
    for line in lines:
        details = list(_details(line))
        if details:
            out.say()
            out.say(line["Edge"])
            for text, style in details:
                out.say(f"  {text}", style=style)
    for warning in new["Warnings"]:
        out.note(f"warning: {warning}")
    if new["Status"] == "COMPLETE":
        out.say()
        out.say(f"{new['ID']} COMPLETE", style="green")
        return failures.OK
    raise failures.Failed(reason=": ".join(filter(None, (f"{new['ID']} {new['Status']}", new["Error"]))))


def _row(line: Told) -> tuple[str, ...]:
    old, new = line["Old"], line["New"]
    return (
        *(line["Edge"], line["Node"], _size(old), _size(new), _time(old), _time(new)),
        in_words(line["Difference"], old, new),
    )


def _size(side: Told | None) -> str:
    if side is None:
        return "-"
    items = f" ({side['Items']} items)" if "Items" in side else ""
    return f"{output.size(side['Size'])}{items}"


def _time(side: Told | None) -> str:
    return "-" if side is None or "Seconds" not in side else f"{side['Seconds']:.2f} s"


def in_words(difference: Told, old: Told | None, new: Told | None) -> str:
    """A few words about what is different between two artifacts."""
    note = f" ({difference['Note']})" if "Note" in difference else ""
    match difference["Kind"]:
        case "same":
            return "none"
        case "added":
            return "was not there"
        case "missing":
            return "is not there"
        case "picture" if "SSIM" in difference:
            said = "no difference to be seen" if difference["PSNR"] is None else f"PSNR {difference['PSNR']:.1f} dB"
            fitted = ", made as large as the old one" if difference["Fitted"] else ""
            return f"SSIM {difference['SSIM']:.4f}, {said}{fitted}"
        case "json":
            count = len(difference["Changes"]) + difference["More"]
            what = "the same values" if not count else "1 place" if count == 1 else f"{count} places"
            return f"{'more than ' if difference['Uncounted'] else ''}{what}"
        case "text":
            return f"{difference['Removed']} lines less, {difference['Added']} more"
        case "collection":
            return f"{difference['Different']} items of {difference['Different'] + difference['Same']}"
        case _:
            return f"other bytes: {_hash(old)} → {_hash(new)}{note}"


def _hash(side: Told | None) -> str:
    return side["SHA256"][:12] if side is not None else "-"


def _details(line: Told) -> Iterator[tuple[str, str | None]]:
    """Lines below the table, with their styles."""
    yield from _inside(line["Difference"])
    for item in line.get("Items", ()):
        old, new = item["Old"], item["New"]
        yield f"{item['Place']}: {_size(old)} → {_size(new)}, {in_words(item['Difference'], old, new)}", None
        for text, style in _inside(item["Difference"]):
            yield f"  {text}", style
    if line.get("MoreItems"):
        yield f"and {line['MoreItems']} more items", "dim"


def _inside(difference: Told) -> Iterator[tuple[str, str | None]]:
    styles = {"-": "red", "+": "green", "@": "cyan"}
    for text in difference.get("Lines", ()):
        yield text, styles.get(text[:1])
    for change in difference.get("Changes", ()):
        yield f"{change['Path'] or '/'}: {_value(change['Old'])} → {_value(change['New'])}", None
    if difference.get("More"):
        yield f"and {difference['More']} more", "dim"


def _value(text: Any) -> str:
    return "nothing" if text is None else str(text)
