"""
How much pictures look alike: SSIM and PSNR, measured by the node type `pupload/compare` in a run of its own.

What decodes pictures belongs in a container, and not in the command line: the pictures are given to the server, as
anybody's are. Where it does not know that node type, that is said instead.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pupload import errors
from pupload.client import Answer, Client
from pupload.domain import mime

USES = "pupload/compare"

MOST_PAIRS = 20
"""Pairs that are measured; of the others only the bytes are told."""

MOST_BYTES = 100 << 20
"""Of a picture that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two artifacts that are pictures."""

    old: Answer
    new: Answer
    told: dict[str, Any]
    """Is told `SSIM`, `PSNR` (null: no difference) and `Fitted`, or in a `Note` why not."""


@dataclass
class Likeness:
    """Collects pairs of pictures, and measures them all at once."""

    client: Client
    _pairs: list[Pair] = field(default_factory=list)

    def ask(self, pair: Pair) -> None:
        """The pair is to be measured."""
        self._pairs.append(pair)

    async def measure(self, folder: Path) -> None:
        """All of them are told what there is to tell. Their files pass through `folder`."""
        pairs = await self._measurable()
        if not pairs:
            return
        try:
            run = await self._run(pairs, folder)
        except errors.PuploadError as error:
            _note(pairs, f"{USES}: {error.message}")
            return
        for number, pair in enumerate(pairs):
            await self._tell(pair, number, run, folder)
        if run["Status"] == "COMPLETE":
            await self.client.purge(run["ID"])  # it was ours alone

    async def _measurable(self) -> list[Pair]:
        """Those that the node type takes; the others are told why not."""
        if not self._pairs:
            return []
        known = (await self.client.nodes())["NodeDefs"]
        found = [each for each in known if f"{each['Publisher']}/{each['Name']}" == USES]
        if not found:
            _note(self._pairs, f"the server does not know {USES}, which measures how much pictures look alike")
            return []
        types = [*{name for port in found[0]["Inputs"] for name in port["Type"]}]
        taken = [pair for pair in self._pairs if _takes(types, pair)]
        _note((pair for pair in self._pairs if pair not in taken), f"{USES} does not take such pictures")
        _note(taken[MOST_PAIRS:], f"only the first {MOST_PAIRS} pairs of pictures are measured")
        return taken[:MOST_PAIRS]

    async def _run(self, pairs: Sequence[Pair], folder: Path) -> Answer:
        """The run that measures them, ended."""
        nodes = [_node(number) for number in range(len(pairs))]
        run = await self.client.start({"Flow": {"Name": "compare", "Nodes": nodes}, "NodeDefs": []})
        try:
            for number, pair in enumerate(pairs):
                for edge, artifact in ((f"old-{number}", pair.old), (f"new-{number}", pair.new)):
                    path = await self.client.download(artifact, folder / edge)
                    try:
                        await self.client.upload(run["ID"], edge, path)
                    finally:
                        path.unlink()
            return await self.client.wait(run["ID"])
        except BaseException:
            await self.client.cancel(run["ID"])
            raise

    async def _tell(self, pair: Pair, number: int, run: Answer, folder: Path) -> None:
        artifact = run["Artifacts"].get(f"report-{number}")
        if artifact is None:
            pair.told["Note"] = f"{USES}: {run['NodeState'][f'pair-{number}']['Error'] or run['Error']}"
            return
        try:
            path = await self.client.download(artifact, folder / f"report-{number}")
            report = json.loads(path.read_bytes())
            measured = {name: report[name] for name in ("SSIM", "PSNR")}
        except (errors.PuploadError, ValueError, LookupError, TypeError) as error:
            pair.told["Note"] = f"{USES}: its report cannot be read: {error}"
            return
        pair.told.update(measured, Fitted=_size(pair.old) != _size(pair.new))


def _node(number: int) -> Answer:
    """The smaller of two pictures is a picture of the same: the new one is first made as large as the old."""
    return {
        "ID": f"pair-{number}",
        "Uses": USES,
        "Inputs": [{"Name": "first", "Edge": f"old-{number}"}, {"Name": "second", "Edge": f"new-{number}"}],
        "Outputs": [{"Name": "report", "Edge": f"report-{number}"}],
        "Flags": [{"Name": "fit", "Value": "true"}],
    }


def _takes(types: Sequence[str], pair: Pair) -> bool:
    both = pair.old, pair.new
    return all(mime.accepts(types, each["ContentType"]) and each["Size"] <= MOST_BYTES for each in both)


def _size(artifact: Answer) -> tuple[Any, Any]:
    facts = artifact.get("Facts", {})
    return facts.get("Width"), facts.get("Height")


def _note(pairs: Iterable[Pair], note: str) -> None:
    for pair in pairs:
        pair.told["Note"] = note
