"""Who is told that a run is over, and in what words."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pupload.domain import callbacks, ids
from pupload.domain.artifact import Artifact
from pupload.domain.flow import Callback, Flow, Node
from pupload.domain.run import Run, Status
from tests import builders

NOON = datetime(2026, 3, 3, 12, 0, 0, 5000, tzinfo=UTC)
HOOK = Callback(url="https://hooks.example/in", secrets=("a secret of 16 bytes",))


def a_run(*given: Callback, status: Status = Status.COMPLETE, artifacts: int = 1) -> Run:
    """A run that is over."""
    flow = Flow(name="shrink", nodes=(Node(id="resize", uses="pupload/resize"),), callbacks=given)
    made = {f"out{number}": an_artifact(f"out{number}") for number in range(artifacts)}
    return Run(
        id=builders.RUN_ID,
        plan=replace(builders.a_plan(builders.a_flow()), flow=flow),
        status=status,
        created_at=NOON,
        finished_at=NOON + timedelta(seconds=7),
        error="it broke" if status is Status.ERROR else "",
        artifacts=made,
    )


def an_artifact(edge: str) -> Artifact:
    return Artifact(
        edge=edge,
        store="default",
        key=f"runs/x/{edge}",
        size=3,
        content_type="image/png",
        sha256="ab" * 32,
        etag="e",
        created_at=NOON,
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [(Status.COMPLETE, "run.completed"), (Status.ERROR, "run.failed"), (Status.STOPPED, "run.stopped")],
)
def test_whoever_wants_to_know_is_told_how_it_ended(status: Status, kind: str) -> None:
    (made,) = callbacks.made(a_run(HOOK, status=status))
    assert (made.kind, made.url, made.place) == (kind, HOOK.url, 0)
    assert made.due_at == made.created_at == NOON + timedelta(seconds=7)


def test_nobody_is_told_of_a_run_that_goes_on() -> None:
    assert callbacks.made(a_run(HOOK, status=Status.RUNNING), operator_url="https://own.example") == ()


def test_only_those_are_told_who_want_to_know_of_such_an_end() -> None:
    given = [replace(HOOK, on=on) for on in (("complete",), ("ERROR", "stopped"), ())]
    assert [one.place for one in callbacks.made(a_run(*given, status=Status.ERROR))] == [1, 2]


def test_the_operator_is_told_of_all() -> None:
    made = callbacks.made(a_run(replace(HOOK, on=("error",))), operator_url="https://own.example/all")
    assert [(one.place, one.url) for one in made] == [(None, "https://own.example/all")]


def test_the_same_run_makes_the_same_deliveries_and_another_run_others() -> None:
    run = a_run(HOOK, HOOK)
    made = callbacks.made(run, operator_url="https://own.example")
    assert made == callbacks.made(run, operator_url="https://own.example")
    others = callbacks.made(replace(run, id=ids.run_id(12345)), operator_url="https://own.example")
    assert len({one.id for one in (*made, *others)}) == 6
    assert all(one.id.startswith("msg_") and "." not in one.id for one in made)


def test_a_message_names_the_run_and_holds_no_url() -> None:
    told = json.loads(callbacks.message(a_run(HOOK, status=Status.ERROR)))
    assert told == {
        "type": "run.failed",
        "timestamp": "2026-03-03T12:00:07.005000Z",
        "data": {
            "ID": builders.RUN_ID,
            "Flow": "shrink",
            "Status": "ERROR",
            "Error": "it broke",
            "StartedAt": "2026-03-03T12:00:00.005000Z",
            "FinishedAt": "2026-03-03T12:00:07.005000Z",
            "Artifacts": {
                "out0": {
                    "StoreName": "default",
                    "ObjectName": "runs/x/out0",
                    "EdgeName": "out0",
                    "Size": 3,
                    "ContentType": "image/png",
                    "SHA256": "ab" * 32,
                }
            },
        },
    }


def test_a_message_stays_small() -> None:
    told = json.loads(callbacks.message(a_run(artifacts=250)))["data"]
    assert (len(told["Artifacts"]), told["MoreArtifacts"]) == (100, 150)
