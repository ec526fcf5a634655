"""
What a node's work is known by, so that it need not be done twice.

Everything that the outcome can depend on is a component: the bytes that go in, the image, what is run and with which
values, what the container may use, and what its outputs are held to. Work with the same components is the same work;
where one differs, `differences` says which. What names the run, the attempt or an item's place is no component.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pupload.domain import values
from pupload.domain.artifact import Artifact
from pupload.domain.plan import NodePlan, Plan

SHOWN = 120
"""Characters of a component that are shown."""

MOST_TOLD = 12
"""Differences that are told; how many more there are is counted."""

MOST_OUTPUTS = 1000
"""Artifacts of one node that are remembered: more take longer to copy than they save."""

FOLLOWING = ("argv", "environment")
"""Components that follow from others as a rule: told only where nothing else differs."""

NO_OUTPUTS = "it has no outputs that could be used again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One of the things that the outcome depends on."""

    name: str
    """Such as `image`, `flag width`, `input photo`."""
    text: str
    """What it is, for a person, as far as that is short."""
    sha256: str
    """Of all of it, lower-case hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A component that is not what it was."""

    component: str
    now: str
    """Empty where there is none now."""
    was: str
    """Empty where there was none."""

    def __str__(self) -> str:
        if not self.was:
            return f"{self.component}: {self.now}, was not there"
        return f"{self.component}: {self.now}, was {self.was}" if self.now else f"{self.component}: gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Whose work is used again."""

    run: str
    """Where it was done, and where its log is."""
    node: str
    at: datetime
    """When it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Nothing could be used again: what came nearest to it."""

    nearest: Source | None = None
    """None: no node of this type was done before."""
    differences: tuple[Difference, ...] = ()
    """What was otherwise there; empty: it was the same, and what it made is not there any more."""
    more: int = 0
    """Differences that are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An artifact that is remembered."""

    port: str
    place: int | None = None
    """Of an item of the port's collection; None for what the port gave itself."""
    artifact: Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A node's work, done and remembered."""

    key: str
    uses: str
    """The node's type."""
    run: str
    """Whose objects the artifacts are: when it goes, so does this."""
    source: Source
    components: tuple[Component, ...]
    made: tuple[Made, ...]
    at: datetime
    """When it was remembered, or last used."""


def component(name: str, value: Any, *, text: str | None = None) -> Component:
    """The component; `value` is anything that JSON can tell, and its own text where none is given."""
    written = value if isinstance(value, str) else _canonical(value)
    shown = written if text is None else text
    if len(shown) > SHOWN:
        shown = f"{shown[: SHOWN - 1]}…"
    kind = "text" if isinstance(value, str) else "json"  # the text "1" is not the number 1
    digest = hashlib.sha256(f"{kind} {written}".encode("utf-8", "surrogatepass")).hexdigest()
    return Component(name=name, text=shown, sha256=digest)


def ordered(components: Iterable[Component]) -> tuple[Component, ...]:
    """The components in the one order that counts: by their names."""
    return tuple(sorted(components, key=lambda one: (one.name, one.sha256)))


def key(components: Iterable[Component], *, account: int | None = None) -> str:
    """
    What the work is known by, lower-case hex: the same whatever order the components come in.

    Behind that of an account stands its number, for nobody uses what was done for another.
    """
    named = [[one.name, one.sha256] for one in ordered(components)]
    digest = hashlib.sha256(_canonical(named).encode()).hexdigest()
    return digest if account is None else f"{digest}{_OF}{account}"


def scope(key: str) -> str:
    """In which scope the work of this key is remembered (`ports.Memo`): its account's; empty where it is nobody's."""
    return key.partition(_OF)[2]


_OF = "@"


def differences(now: Iterable[Component], was: Iterable[Component]) -> tuple[Difference, ...]:
    """The components that differ, by their names; those that only follow are left out where there are others."""
    here, there = _by_name(now), _by_name(was)
    found = [
        Difference(component=name, now=_shown(here.get(name)), was=_shown(there.get(name)))
        for name in sorted({*here, *there})
        if _sums(here.get(name)) != _sums(there.get(name))
    ]
    return tuple([one for one in found if one.component not in FOLLOWING] or found)


def missed(components: Iterable[Component], kin: Sequence[Entry]) -> Missed:
    """Which of the earlier ones, latest first, came nearest, and what is otherwise."""
    if not kin:
        return Missed()
    components = tuple(components)
    here = frozenset((one.name, one.sha256) for one in components)
    # Only the nearest is looked at closely: they are many, and this is asked of every node that has work to do.
    nearest = min(kin, key=lambda one: len(here.symmetric_difference((it.name, it.sha256) for it in one.components)))
    found = differences(components, nearest.components)
    return Missed(nearest=nearest.source, differences=found[:MOST_TOLD], more=max(len(found) - MOST_TOLD, 0))


def forgetful(plan: Plan) -> Plan:
    """The plan in which every node does its work, and none of it is remembered."""
    return replace(plan, nodes={name: values.replace(node, memoize=False) for name, node in plan.nodes.items()})


def objection(node: NodePlan) -> str:
    """Why the node's work is never used again, in words; empty where it may be."""
    if not node.memoize:
        return "the node, its definition or the run says Memoize: false"
    if node.network not in ("", "none"):
        return f"it uses the network {node.network}: what comes from there may be otherwise each time"
    if node.runs:
        return f"it is a handler (Runs: {node.runs})"
    if node.secrets:
        return "it is given secrets"
    if node.devices or node.tier.gpus:
        return "it uses devices of the machine"
    if node.transfer == "urls":
        return "it moves its bytes itself (Transfer: urls)"
    if not node.outputs:
        return NO_OUTPUTS
    return ""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is nothing that a component can be")


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain).encode
"""The one text of a value, whatever order its mappings have."""


def _by_name(components: Iterable[Component]) -> dict[str, list[Component]]:
    found: dict[str, list[Component]] = {}
    for one in ordered(components):
        found.setdefault(one.name, []).append(one)
    return found


def _sums(found: list[Component] | None) -> list[str]:
    return [one.sha256 for one in found or ()]


def _shown(found: list[Component] | None) -> str:
    """An empty text is shown as such: no text at all says that there is none."""
    return ", ".join(one.text or '""' for one in found or ())
