"""
Two runs of a flow side by side: what the nodes of the new one made anew, beside what the old one had.

Of each artifact the sizes, the times of its node and whether it is the same, byte by byte. What is not is fetched,
within bounds, and compared as what it is: text by lines, JSON by its places, pictures by how much they look alike
(`pupload.cli.likeness`), collections item by item. The report is plain JSON; `pupload.cli.replaying` prints it.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pupload import errors
from pupload.cli import differences, gathering
from pupload.cli.likeness import Likeness, Pair
from pupload.client import Answer, Client
from pupload.domain import mime

MOST_BYTES = 4 << 20
"""Of a text that is laid beside another."""

MOST_PLACES = 20
"""Of a collection whose items are compared beyond their bytes."""

MOST_RUNS = 20
"""How many runs back it is looked for a node's time, where each took it over from the one before."""

Told = dict[str, Any]


@dataclass
class Comparison:
    """Of an old run and a new one of the same nodes, both as the server shows them."""

    client: Client
    old: Answer
    new: Answer
    folder: Path
    """For what is fetched."""
    brief: bool = False
    """Whether nothing is fetched."""
    _runs: dict[str, Answer] = field(default_factory=dict)
    _fetched: int = 0

    async def report(self) -> list[Told]:
        """A line for each artifact that nodes made anew, or should have, in the new run's order."""
        likeness = Likeness(self.client)
        lines = [await self._line(edge, likeness) for edge in self._edges()]
        await likeness.measure(self.folder)
        return lines

    def _edges(self) -> Iterator[str]:
        """Those that belong to nodes which ran in the new run, or were to."""
        for edge, artifact in {**self.old["Artifacts"], **self.new["Artifacts"]}.items():
            state = self.new["NodeState"].get(artifact.get("Node", ""))
            if state is not None and not state.get("Reused"):
                yield edge

    async def _line(self, edge: str, likeness: Likeness) -> Told:
        old, new = self.old["Artifacts"].get(edge), self.new["Artifacts"].get(edge)
        node = (new or old)["Node"]
        line = {
            "Edge": edge,
            "Node": node,
            "Old": _side(old, await self._seconds(self.old, node)),
            "New": _side(new, await self._seconds(self.new, node)),
        }
        if old is not None and new is not None and "Items" in old and "Items" in new:
            return line | await self._collections(old, new, likeness)
        return line | {"Difference": await self._difference(old, new, likeness)}

    async def _seconds(self, run: Answer, node: str) -> float | None:
        """From the node's start to its end, in the run in which it ran."""
        for _ in range(MOST_RUNS):
            state = run["NodeState"].get(node)
            before = run.get("ReplayOf") or run.get("ResumedFrom")
            if state is None or not state.get("Reused") or before is None:
                return _seconds(state)
            try:
                run = self._runs.get(before) or self._runs.setdefault(before, await self.client.status(before))
            except errors.UnknownRun:
                return None
        return None

    # ── Two artifacts ────────────────────────────────────────────────────────────────────────────────────────────

    async def _difference(self, old: Answer | None, new: Answer | None, likeness: Likeness) -> Told:
        if old is None or new is None:
            return {"Kind": "added" if old is None else "missing"}
        if (old["SHA256"], old["Size"]) == (new["SHA256"], new["Size"]):
            return {"Kind": "same"}
        if self.brief:
            return {"Kind": "bytes"}
        if not (old["GetURL"] and new["GetURL"]):
            return {"Kind": "bytes", "Note": "one of them is not kept any more"}
        types = old["ContentType"], new["ContentType"]
        if all(each.startswith("image/") and not mime.readable(each) for each in types):
            told: Told = {"Kind": "picture"}
            likeness.ask(Pair(old=old, new=new, told=told))
            return told
        if not all(mime.readable(each) for each in types):
            return {"Kind": "bytes"}
        if max(old["Size"], new["Size"]) > MOST_BYTES:
            return {"Kind": "bytes", "Note": f"of more than {MOST_BYTES >> 20} MiB the text is not compared"}
        try:
            texts = await self._text(old), await self._text(new)
        except errors.PuploadError as error:
            return {"Kind": "bytes", "Note": error.message}
        return await asyncio.to_thread(_of_texts, *texts, as_json=all(map(_is_json, types)))

    async def _text(self, artifact: Answer) -> bytes:
        self._fetched += 1
        path = await self.client.download(artifact, self.folder / f"text-{self._fetched}")
        try:
            return await asyncio.to_thread(path.read_bytes)
        finally:
            path.unlink()

    # ── Collections ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _collections(self, old: Answer, new: Answer, likeness: Likeness) -> Told:
        """Item by item, by their places."""
        before = await gathering.items(self.client, self.old, old)
        after = await gathering.items(self.client, self.new, new)
        places = sorted({*before, *after})
        other = [place for place in places if not _is_same(before.get(place), after.get(place))]
        lines = []
        for place in other[:MOST_PLACES]:
            here, there = before.get(place), after.get(place)
            told = await self._difference(here, there, likeness)
            lines.append({"Place": place, "Old": _side(here), "New": _side(there), "Difference": told})
        counts = {"Same": len(places) - len(other), "Different": len(other)}
        return {
            "Difference": {"Kind": "collection" if other else "same", **counts},
            "Items": lines,
            "MoreItems": len(other) - len(lines),
        }


def _is_same(old: Answer | None, new: Answer | None) -> bool:
    return (old and (old["SHA256"], old["Size"])) == (new and (new["SHA256"], new["Size"]))


def _side(artifact: Answer | None, seconds: float | None = None) -> Told | None:
    if artifact is None:
        return None
    told = {name: artifact[name] for name in ("Size", "ContentType", "SHA256")}
    if "Items" in artifact:
        told["Items"] = artifact["Items"]
    return told | ({} if seconds is None else {"Seconds": seconds})


def _seconds(state: Answer | None) -> float | None:
    if state is None or not state["StartedAt"] or not state["FinishedAt"]:
        return None
    took = datetime.fromisoformat(state["FinishedAt"]) - datetime.fromisoformat(state["StartedAt"])
    return round(took.total_seconds(), 3)


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


def _of_texts(old: bytes, new: bytes, *, as_json: bool) -> Told:
    if as_json:
        try:
            found = differences.of_json(json.loads(old), json.loads(new))
        except (ValueError, RecursionError):
            pass  # it is text all the same
        else:
            changes = [{"Path": each.path, "Old": each.old, "New": each.new} for each in found.changes]
            return {"Kind": "json", "Changes": changes, "More": found.more, "Uncounted": found.uncounted}
    text = differences.of_texts(old.decode(errors="replace"), new.decode(errors="replace"))
    return {"Kind": "text", **{name.capitalize(): value for name, value in asdict(text).items()}}
