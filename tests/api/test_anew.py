"""Which runs use work again that was done before: those that are started natively, unless they say otherwise."""

from pathlib import Path
from typing import Any

import pytest

from pupload import ports
from pupload.adapters.memory import containers
from tests.api.house import EXAMPLE, IMAGE, House, a_house

SAY = {"ID": "say", "Uses": "pupload/resize", "Outputs": [{"Name": "resized", "Edge": "out"}]}
ORDER = {"Flow": {"Name": "say", "Nodes": [SAY]}, "NodeDefs": EXAMPLE["NodeDefs"]}


def says(order: ports.ContainerOrder) -> containers.Outcome:
    (order.outputs / "resized").write_bytes(b"said")
    return containers.Outcome(said=["at work"])


async def saved(house: House) -> str:
    house.bench.image(IMAGE, says)
    status, answer = await house.call("PUT", "/api/v1/flow/saved/say", json=ORDER)
    assert status == 200, answer
    return str(answer["ID"])


async def natively(house: House, flow: str, **body: Any) -> str:
    return str((await house.call("POST", f"/api/v1/flow/saved/{flow}/run", json=body))[1]["ID"])


async def as_runs(house: House, flow: str) -> str:
    return str((await house.call("POST", f"/api/pipelines/{flow}/run"))[1]["id"])


async def backfilled(house: House, flow: str) -> str:
    dates = {"start_date": "2026-03-01", "end_date": "2026-03-01"}
    return str((await house.call("POST", f"/api/pipelines/{flow}/backfill", json=dates))[1][0])


async def as_flwd(house: House, flow: str) -> str:
    return str((await house.call("POST", "/api/v1/runs", json={"job_id": "default/say"}))[1]["run_id"])


async def unsaved(house: House, flow: str) -> str:
    return str((await house.call("POST", "/api/v1/flow/test", json={**ORDER, "Memoize": False}))[1]["ID"])


async def forgetful(house: House, flow: str) -> str:
    return await natively(house, flow, Memoize=False)


async def ended(house: House, run: str) -> bool:
    """Whether its node's work was used again, once the run is over."""
    found = await house.bench.ended(await house.bench.runs.find(run), step=1)
    return found.nodes["say"].reused


@pytest.mark.parametrize("start", [as_runs, backfilled, as_flwd, forgetful, unsaved], ids=lambda start: start.__name__)
async def test_a_run_that_is_to_do_its_work_does_it_again(tmp_path: Path, start: Any) -> None:
    async with a_house(tmp_path, memoize=True) as house:
        flow = await saved(house)
        assert not await ended(house, await natively(house, flow))
        assert await ended(house, await natively(house, flow))
        for _ in range(2):
            run = await start(house, flow)
            assert not await ended(house, run)
            _, logs = await house.call("GET", f"/api/v1/runs/{run}/logs")
            assert [line["message"] for line in logs["logs"]] == ["at work"]
