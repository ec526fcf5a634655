"""What a new run takes over from one that has ended."""

from dataclasses import replace

from pupload.domain import resuming
from pupload.domain.run import NodeRun, NodeStatus, Run, Status
from tests.builders import NOON, RUN_ID, a_chain, a_flow, a_node, a_plan, an_artifact

OTHER_ID = "run_01HZX3K9T8Q2B7M4N6P5R1S0VX"


def an_ended_run(**statuses: NodeStatus) -> Run:
    """A chain n0 → n1 → n2 with a branch beside it, from e0."""
    plan = a_plan(a_flow(*a_chain(3), a_node("side", inputs={"image": "e0"}, outputs={"resized": "beside"})))
    nodes = {node: NodeRun(id=node, status=statuses.get(node, NodeStatus.COMPLETE)) for node in plan.nodes}
    edges = [
        "e0",
        *(p.edge for n in plan.nodes.values() for p in n.outputs if nodes[n.id].status is NodeStatus.COMPLETE),
    ]
    return Run(
        id=RUN_ID,
        plan=plan,
        status=Status.ERROR,
        created_at=NOON,
        nodes=nodes,
        artifacts={edge: an_artifact(edge) for edge in edges},
    )


def test_what_failed_and_all_behind_it_runs_again() -> None:
    kept = resuming.kept(an_ended_run(n1=NodeStatus.ERROR, n2=NodeStatus.SKIPPED))
    assert set(kept.left) == {"n1", "n2"}
    assert set(kept.nodes) == {"n0", "side"}
    assert [artifact.edge for artifact in kept.nodes["n0"]] == ["e1"]
    assert set(kept.inputs) == {"e0"}


def test_a_node_that_is_named_runs_again_with_all_behind_it() -> None:
    kept = resuming.kept(an_ended_run(), from_nodes={"n1"})
    assert set(kept.left) == {"n1", "n2"}


def test_a_complete_run_leaves_nothing_to_do() -> None:
    assert resuming.kept(an_ended_run()).left == ()


def test_a_resumed_run_writes_under_its_own_keys() -> None:
    plan = an_ended_run().plan
    moved = resuming.replanned(plan, old_run=RUN_ID, new_run=OTHER_ID, tokens=lambda: "secret")
    assert moved.edges["e1"].key == plan.edges["e1"].key.replace(RUN_ID, OTHER_ID)
    assert moved.edges["e0"].upload_key == f"uploads/{OTHER_ID}/e0/secret"
    assert replace(moved, edges=plan.edges) == plan
