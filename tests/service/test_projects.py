"""Projects, and runs of their flows."""

from pathlib import Path

import pytest

from pupload import errors
from pupload.domain.run import Status
from pupload.ports import Project
from pupload.service.projects import Projects
from tests.bench import PNG, Bench, a_bench, copies
from tests.builders import a_definition, a_flow, a_store, a_well

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def the_projects(bench: Bench) -> Projects:
    return Projects(flows=bench.world.flows, runs=bench.runs)


async def test_a_project_is_had_back_and_replaced(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        projects = the_projects(bench)
        await projects.put(Project(id=ID, name="first"))
        await projects.put(Project(id=ID, name="second"))
        assert (await projects.get(ID.upper())).name == "second"
        with pytest.raises(errors.UnknownProject):
            await projects.get("another")


async def test_a_flow_is_started_by_its_name_with_the_projects_definitions(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image("mine:1", copies("image", "resized"))
        projects = the_projects(bench)
        flows = (a_flow(name="other"), a_flow(name="photos"))
        await projects.put(Project(id=ID, flows=flows, definitions=(a_definition(image="mine:1"),)))
        run = (await projects.start(ID, "photos", idempotency_key="k")).run
        assert run.plan.flow.name == "photos"
        assert (await projects.start(ID, "photos", idempotency_key="k")).run.id == run.id
        await bench.upload(run, "resize-in", PNG)
        assert (await bench.ended(run)).status is Status.COMPLETE


async def test_a_flow_uses_the_projects_stores_where_it_names_them(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        projects = the_projects(bench)
        flow = a_flow(wells=[a_well("resize-in", source="upload", store="bucket")])
        own = a_flow(name="own", wells=flow.wells, stores=[a_store("bucket", BucketName="own")])
        stores = (a_store("bucket", BucketName="shared"), a_store("unused"))
        await projects.put(Project(id=ID, flows=(flow, own), definitions=(a_definition(),), stores=stores))
        run = (await projects.start(ID, "photos")).run
        assert {name: store.params["BucketName"] for name, store in run.plan.stores.items()} == {"bucket": "shared"}
        run = (await projects.start(ID, "own")).run
        assert run.plan.stores["bucket"].params["BucketName"] == "own"


async def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        projects = the_projects(bench)
        with pytest.raises(errors.UnknownProject):
            await projects.start(ID, "photos")
        await projects.put(Project(id=ID, flows=(a_flow(),)))
        with pytest.raises(errors.UnknownFlow, match=f"Flow nothing does not exist in project {ID}"):
            await projects.start(ID, "nothing")
        with pytest.raises(errors.Invalid):
            await projects.start(ID, "photos")
