"""Runs with nodes for items: what is saved of them is all there is to know."""

from dataclasses import replace

from pupload.domain import events, run
from pupload.domain.decide import begin, decide, outstanding
from tests.builders import NOON
from tests.contracts.states import Bench, state
from tests.domain.test_foreach import a_packing_plan, an_artifact, items_of

__all__ = ["state"]


async def test_nodes_for_items_and_their_counts_come_back_at_every_step(state: Bench) -> None:
    known = await state.runs.create(begin("run_a", a_packing_plan(concurrency=2), now=NOON))
    reports: list[events.Report] = [
        events.NodeAdmitted(node="split", attempt=1),
        events.NodeSucceeded(node="split", attempt=1, exit_code=0, artifacts=items_of("photos", 3, empty=(1,))),
    ]
    for place in (2, 0):
        made = (replace(an_artifact(f"small.{place}"), file_name=f"{place}.png"),)
        reports.append(events.NodeAdmitted(node=f"shrink.{place}", attempt=1))
        reports.append(events.NodeSucceeded(node=f"shrink.{place}", attempt=1, exit_code=0, artifacts=made))
    for report in reports:
        known = await state.runs.save(decide(known, report, now=NOON), if_version=known.version)
        await state.again()
        found = await state.runs.load("run_a")
        assert found == known
        assert outstanding(found) == outstanding(known)
        known = found
    assert known.nodes["shrink"].items == run.Items(total=3, begun=3, complete=2, empty=1, begun_at=NOON, ended_at=NOON)
    assert known.nodes["shrink"].status is run.NodeStatus.COMPLETE
    assert sorted(known.nodes) == ["pack", "shrink", "shrink.0", "shrink.2", "split"]
