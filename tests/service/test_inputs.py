"""Values in, values out: what is given becomes what a run waits for."""

import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.domain.run import Run, Status
from pupload.service.inputs import MOST_BYTES, Inputs, shared_out
from pupload.service.results import Kind, Results
from tests.bench import Bench, a_bench, copies
from tests.builders import a_flow, a_node

IMAGE = "pupload/resize:latest"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


def inputs_of(bench: Bench) -> Inputs:
    return Inputs(engine=bench.engine, runs=bench.runs, uploads=bench.uploads)


async def after(bench: Bench, value: Any, *nodes: Any) -> Run:
    """The run when it is over that was given the value."""
    run = await bench.start(a_flow(*(nodes or (a_node(),))))
    await inputs_of(bench).give(run.id, value)
    return await bench.ended(run, step=1)


@pytest.mark.parametrize("said", ["Classify this document", "ä\n", '{"not": "JSON, but a text"}'])
async def test_a_text_goes_in_and_comes_out(bench: Bench, said: str) -> None:
    run = await after(bench, said)
    assert run.status is Status.COMPLETE
    assert await bench.download(run, "resize-in") == said.encode()
    assert await bench.download(run, "resize-out") == said.encode()


@pytest.mark.parametrize("said", [{"query": "x", "n": [1, 2.5, None]}, [1], {}, 5, True])
async def test_json_goes_in_and_comes_out(bench: Bench, said: Any) -> None:
    run = await after(bench, said)
    assert run.status is Status.COMPLETE
    assert json.loads(await bench.download(run, "resize-out")) == said


async def test_json_comes_out_as_a_value(bench: Bench) -> None:
    said = {"query": "x", "n": [1, 2.5, None]}
    run = await after(bench, said, a_node(outputs={"resized": "result"}))
    found = await Results(engine=bench.engine, runs=bench.runs).of(run.id)
    assert (found.kind, found.value) == (Kind.JSON, said)


async def test_an_object_is_shared_out_by_its_keys(bench: Bench) -> None:
    run = await after(bench, {"left-in": "one", "right-in": "two"}, a_node("left"), a_node("right"))
    assert await bench.download(run, "left-out") == b"one"
    assert await bench.download(run, "right-out") == b"two"


@pytest.mark.parametrize("value", ["one", {"left-in": "one"}, {"left-in": 1, "right-in": 2, "more": 3}, None])
async def test_what_is_for_no_edge_in_particular_is_refused_whole(bench: Bench, value: Any) -> None:
    run = await bench.start(a_flow(a_node("left"), a_node("right")))
    with pytest.raises(errors.Malformed, match="left-in, right-in"):
        await inputs_of(bench).give(run.id, value)
    assert {each.edge for each in (await bench.view(run)).waiting} == {"left-in", "right-in"}


async def test_what_cannot_be_written_is_refused_before_anything_is_put(bench: Bench) -> None:
    run = await bench.start(a_flow(a_node("left"), a_node("right")))
    for wrong in (math.nan, "\ud800", {1, 2}):
        with pytest.raises(errors.Malformed):
            await inputs_of(bench).give(run.id, {"left-in": "fine", "right-in": wrong})
    with pytest.raises(errors.TooLarge):
        await inputs_of(bench).give(run.id, {"left-in": "fine", "right-in": "x" * (MOST_BYTES + 1)})
    assert len((await bench.view(run)).waiting) == 2


async def test_a_value_that_nobody_waits_for_is_refused_and_none_is_fine(bench: Bench) -> None:
    run = await after(bench, "once")
    assert (await inputs_of(bench).give(run.id, None)).run.status is Status.COMPLETE
    with pytest.raises(errors.Malformed):
        await inputs_of(bench).give(run.id, "twice")
    with pytest.raises(errors.UnknownRun):
        await inputs_of(bench).give("run_01HX0000000000000000000000", "x")


def test_an_edge_alone_takes_an_object_whole_but_for_one_of_its_own_name() -> None:
    assert shared_out({"a": 1}, ["input"]) == {"input": {"a": 1}}
    assert shared_out({"input": {"a": 1}}, ["input"]) == {"input": {"a": 1}}
    assert shared_out(None, ["input"]) == {"input": None}
