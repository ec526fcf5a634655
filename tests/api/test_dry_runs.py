"""Flows tried out over the wire."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pupload.adapters.memory.containers import Outcome
from pupload.api.flow import wire
from tests.api.house import House, a_house
from tests.bench import copies
from tests.builders import a_definition, a_flow, a_node, a_port

TABLE = "id,name\n" + "".join(f"{n},name {n}\n" for n in range(60))
COPY = a_definition("pupload/copy", inputs=[a_port("image", "text/csv")], outputs=[a_port("resized", "text/csv")])
FLOW = a_flow(a_node(uses="pupload/copy", inputs={"image": "in"}, outputs={"resized": "out"}))
BODY: dict[str, Any] = {"Flow": wire.write_flow(FLOW), "NodeDefs": [wire.write_definition(COPY)]}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path) as made:
        made.bench.image("pupload/copy:latest", copies("image", "resized.csv"))
        yield made


async def test_a_flow_and_a_saved_one_are_tried(house: House) -> None:
    inputs = {"in": {"Text": TABLE}}
    status, told = await house.call("POST", "/api/v1/flow/dry-run", json={**BODY, "Inputs": inputs})
    assert status == 200, told
    (node,) = told["Nodes"]
    assert (node["Node"], node["Status"], node["Error"], node["Columns"]) == ("resize", "success", "", ["id", "name"])
    assert node["Rows"] == [{"id": str(n), "name": f"name {n}"} for n in range(10)]
    await house.call("PUT", "/api/v1/flow/saved/one", json=BODY)
    packed = {"in": {"Base64": base64.b64encode(TABLE.encode()).decode(), "ContentType": "text/csv"}}
    assert await house.call("POST", "/api/v1/flow/saved/one/dry-run", json={"Inputs": packed}) == (200, told)
    status, told = await house.call("POST", "/api/v1/flow/saved/one/dry-run")
    assert told["Nodes"][0]["Error"] == "waits for an upload of edge in"
    assert not house.bench.kept.shelf.books


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        ({"in": {}}, 400),
        ({"in": {"Text": "a", "Base64": ""}}, 400),
        ({"in": {"Base64": "?"}}, 400),
        ({"none": {"Text": "a"}}, 400),
        ({"in": {"Run": "run_none", "Edge": "in"}}, 400),
    ],
)
async def test_inputs_that_say_nothing_are_refused(house: House, inputs: Any, status: int) -> None:
    found, told = await house.call("POST", "/api/v1/flow/dry-run", json={**BODY, "Inputs": inputs})
    assert found == status, told


async def test_a_flow_that_is_wrong_is_refused_with_its_findings(house: House) -> None:
    status, told = await house.call("POST", "/api/v1/flow/dry-run", json={"Flow": BODY["Flow"]})
    assert status == 400, told


async def test_who_hangs_up_stops_it(house: House) -> None:
    begun = asyncio.Event()

    def hangs(order: Any) -> Outcome:
        begun.set()
        return Outcome(hangs=True)

    house.bench.image("pupload/copy:latest", hangs)
    body = {**BODY, "Inputs": {"in": {"Text": TABLE}}}
    asked = asyncio.ensure_future(house.call("POST", "/api/v1/flow/dry-run", json=body))
    await asyncio.wait_for(begun.wait(), 20)
    asked.cancel()
    await house.bench.until(lambda: not house.bench.kept.shelf.books and not house.bench.executor.left)
