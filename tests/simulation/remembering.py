"""Whether work that was used again was ever done: a container of the same node was given the same bytes."""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from pupload.domain import collection
from pupload.domain.run import Run
from tests.checker import Violation

Worked = dict[tuple[str, str], set[tuple[str, ...]]]
"""What containers were given, as hashes in order, by image and node."""


def note(worked: Worked, image: str, node: str, given: Iterable[bytes]) -> None:
    """A container of this image is at work."""
    sums = sorted(sha256(data).hexdigest() for data in given)
    worked.setdefault((image, _whole(node)), set()).add(tuple(sums))


def false_hits(worked: Worked, runs: Mapping[str, Run]) -> Iterator[Violation]:
    """Nodes that were spared work which nobody had done."""
    for run in runs.values():
        for name, node in run.nodes.items():
            if not node.reused or not node.attempts:
                continue  # it ran; or the run was begun with it
            plan = run.plan.nodes[name]
            there = [found for port in plan.inputs if (found := run.artifacts.get(port.edge)) is not None]
            sums = sorted(one.sha256 for found in there for one in collection.items(found, run.artifacts))
            if tuple(sums) not in worked.get((plan.image, _whole(name)), set()):
                sentence = f"node {name} was spared work that nobody had done"
                yield Violation(invariant="I13", run=run.id, sentence=sentence, evidence=", ".join(sums))


def _whole(node: str) -> str:
    """Items are the same work at whatever place."""
    part = collection.part_of(node)
    return part[0] if part else node
