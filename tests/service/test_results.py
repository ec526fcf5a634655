"""What counts as a run's result, and what is told of collections."""

from dataclasses import replace
from typing import Any

import pytest

from pupload.domain import plan, run
from pupload.domain.artifact import Artifact
from pupload.service import artifacts, results
from tests.builders import NOON, RUN_ID
from tests.contracts.states import a_plan


def made(edge: str, content_type: str = "text/plain", **fields: Any) -> Artifact:
    """What node `resize` made."""
    return Artifact(
        **{
            "edge": edge,
            "store": "default",
            "key": edge,
            "size": 3,
            "content_type": content_type,
            "sha256": "ab" * 32,
            "etag": "e",
            "created_at": NOON,
            "node": "resize",
            **fields,
        }
    )


def a_run(*found: Artifact, taken: tuple[str, ...] = (), **fields: Any) -> run.Run:
    """A run with these artifacts, those on `taken` edges taken by a node."""
    edges = {
        one.edge: plan.EdgePlan(
            name=one.edge,
            origin=plan.Origin.UPLOAD if one.node is None else plan.Origin.NODE,
            store="default",
            key=one.edge,
            producer=one.node,
            consumers=("label",) if one.edge in taken else (),
        )
        for one in found
    }
    planned = replace(a_plan(), edges=edges, handlers=fields.pop("handlers", ()))
    return run.Run(
        id=RUN_ID,
        plan=planned,
        status=run.Status.COMPLETE,
        created_at=NOON,
        artifacts={one.edge: one for one in found},
        **fields,
    )


JSON = "application/json"


@pytest.mark.parametrize(
    ("this", "edge"),
    [
        (a_run(made("result"), made("a", JSON)), "result"),
        (a_run(made("result", "image/png"), made("a", JSON)), "result"),
        (a_run(made("result"), taken=("result",)), "result"),
        (a_run(made("a", JSON), made("b"), made("c", "image/png")), "a"),
        (a_run(made("a", "application/geo+json"), made("b")), "a"),
        (a_run(made("a"), made("c", "image/png")), "a"),
        (a_run(made("a", JSON), made("b", JSON), taken=("b",)), "a"),
        (a_run(made("a", JSON), made("b", JSON, node="tell"), handlers=("tell",)), "a"),
        (a_run(made("a", JSON), made("b", JSON), gone={"b": NOON}), "a"),
        (a_run(made("a", JSON), made("b", JSON)), None),
        (a_run(made("a"), made("b")), None),
        (a_run(made("c", "image/png")), None),
        (a_run(made("a", JSON, node=None)), None),
        (a_run(made("result", node=None)), None),
        (a_run(made("result"), made("a", JSON), gone={"result": NOON}), None),
        (a_run(), None),
    ],
)
def test_the_result_is_what_is_called_so_or_the_only_one_of_its_kind(this: run.Run, edge: str | None) -> None:
    found = results.chosen(this)
    assert (found and found.edge) == edge


def test_a_collection_is_told_by_its_items_that_are_there() -> None:
    whole = made("photos", items=4)
    items = [made(f"photos.{place}", file_name=f"{place}.txt") for place in (0, 1, 3)]
    this = a_run(whole, *items, gone={"photos.1": NOON})
    assert [(each["place"], each["name"]) for each in artifacts.items(this, whole)] == [(0, "0.txt"), (3, "3.txt")]
    assert [one.edge for one in results.terminal(this)] == ["photos"]
    assert results.chosen(this) is None


def test_facts_are_no_result() -> None:
    this = a_run(made("answer", JSON), made("facts", JSON))
    port = plan.PortPlan(port="facts", edge="facts", types=("application/vnd.pupload.facts+jsonl",))
    nodes = {**this.plan.nodes, "resize": replace(this.plan.nodes["resize"], outputs=(port,))}
    remembering = replace(this, plan=replace(this.plan, nodes=nodes))
    found = results.chosen(remembering)
    assert found is not None
    assert found.edge == "answer"
