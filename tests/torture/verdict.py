"""
Whether everything was kept that was promised: the checker's invariants, and what only those know who ordered the runs.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pupload import errors
from pupload.domain import events
from pupload.domain.run import NodeStatus, Run
from tests import check
from tests.checker import Violation
from tests.torture import flows
from tests.torture.users import Told

GRACE_SECONDS = 30.0
"""How long after its end something of a run may be left."""


@dataclass(slots=True)
class Verdict:
    """What came of it."""

    broken: list[Violation]
    statuses: Counter[str]
    """How the runs ended."""
    attempts: Counter[str]
    """How the attempts ended: `ok`, or why not."""


async def judge(where: check.Where, told: Told, *, ended: bool, output: Sequence[str] = ()) -> Verdict:
    """Looks until there is nothing left over, at most for the grace."""
    until = time.monotonic() + GRACE_SECONDS
    while True:
        found = await _judge(where, told, ended=ended, output=output)
        if time.monotonic() > until or not any(one.invariant == "I8" for one in found.broken):
            return found
        await asyncio.sleep(1.0)


async def _judge(where: check.Where, told: Told, *, ended: bool, output: Sequence[str]) -> Verdict:
    async with check.opened(where) as left:
        runs, missing = await _load(left, told)
        broken = [*missing, *(each for run in runs for each in _held(run, told))]
        broken += await left.judge(ended=ended, said=_said(runs, told), output=output)
        broken += await _unknown(left, told)
    attempts = Counter(
        attempt.failure or ("ok" if attempt.exit_code == 0 else "open")
        for run in runs
        for node in run.nodes.values()
        for attempt in node.attempts
    )
    return Verdict(broken, Counter(str(run.status) for run in runs), attempts)


async def _load(left: check.Left, told: Told) -> tuple[list[Run], list[Violation]]:
    """The runs that were accepted; every one must be there."""
    runs, missing = [], []
    for run_id in told.cases:
        try:
            runs.append(await left.runs.load(run_id))
        except errors.UnknownRun:
            missing.append(Violation(invariant="I1", run=run_id, sentence="it was accepted and is not there"))
    return runs, missing


async def _unknown(left: check.Left, told: Told) -> list[Violation]:
    """Nothing runs that nobody ordered: but a run may have been resumed whose user did not get to hear of it."""
    broken, offset = [], 0
    while page := (await left.runs.list(limit=1000, offset=offset)).runs:
        offset += len(page)
        for found in page:
            if found.id in told.cases:
                continue
            first = await left.journal.read(found.id, limit=1)
            made = first[0].event if first else None
            if not isinstance(made, events.RunCreated) or made.resumed_from not in told.cases:
                sentence = "nobody was told that it was accepted, however often they asked"
                broken.append(Violation(invariant="KEY", run=found.id, sentence=sentence))
    return broken


def _said(runs: Iterable[Run], told: Told) -> Mapping[str, Sequence[str]]:
    """What the container of each attempt says, by the attempt's id."""
    said = {}
    for run in runs:
        steps = {step.id: step for step in told.cases[run.id].steps}
        for name, node in run.nodes.items():
            for attempt in node.attempts:
                lines, attempt_id = steps[name].says(attempt.number), f"{run.id}.{name}.{attempt.number}"
                if lines is not None and attempt_id not in told.removed:
                    said[attempt_id] = lines
    return said


def _held(run: Run, told: Told) -> Iterable[Violation]:
    """I6, I12: the run came to what it had to come to."""
    case, seen = told.cases[run.id], told.ended.get(run.id)
    if seen is not None and seen != run.status:
        yield Violation(invariant="I6", run=run.id, sentence=f"it was seen as {seen} and is {run.status}")
    if run.status.terminal and run.status not in case.statuses and not _resumed_well(run, case):
        wanted = " or ".join(sorted(case.statuses))
        evidence = f"{case.name}: {run.error or 'no error'}"
        yield Violation(invariant="I12", run=run.id, sentence=f"it is {run.status}, not {wanted}", evidence=evidence)
    found = {edge: artifact.sha256 for edge, artifact in run.artifacts.items()}
    if not any(found.items() <= way.items() for way in case.contents):
        wrong = {edge for edge, digest in found.items() if all(way.get(edge) != digest for way in case.contents)}
        sentence = f"artifacts hold what they should not: {', '.join(sorted(wrong or found))}"
        yield Violation(invariant="I12", run=run.id, sentence=sentence, evidence=case.name)
    if case.steady and run.status.terminal:
        open_ = sorted(name for name, node in run.nodes.items() if node.status is not NodeStatus.COMPLETE)
        if open_:
            yield Violation(invariant="I12", run=run.id, sentence=f"nodes did not complete: {', '.join(open_)}")


def _resumed_well(run: Run, case: flows.Case) -> bool:
    return case.resumed and run.status == "COMPLETE" and case.name == "cancelled"


# ── What the server logged ───────────────────────────────────────────────────────────────────────────────────────

_HEAD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


def tracebacks(lines: Iterable[str]) -> list[Violation]:
    """Errors that nobody expected, each kind once: what is expected is told in a sentence."""
    found: dict[str, tuple[str, int]] = {}
    head, inside = "", False
    for line in lines:
        if _HEAD.match(line):
            head, inside = line, False
        elif line.startswith("Traceback"):
            inside = True
        elif inside and line and not line.startswith((" ", "\t", "During", "The above")):
            inside = False
            what = re.sub(r"run_\w+(\.[\w-]+)*|0x[0-9a-f]+|\d+", "…", line)
            found[what] = (head or line, found.get(what, ("", 0))[1] + 1)
    return [
        Violation(invariant="LOG", run="", sentence=f"{count} times: {what}", evidence=head)
        for what, (head, count) in found.items()
    ]
