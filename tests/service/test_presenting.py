"""Runs, made ready to be shown."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pupload.adapters.memory.containers import Outcome
from pupload.domain.access import Caller, Permission, Role
from pupload.domain.run import Status
from pupload.ports import ContainerOrder
from pupload.service import asking
from pupload.service.presenting import TAIL
from tests.bench import PNG, TEXT, a_bench, copies, ends
from tests.builders import a_definition, a_flow, a_node, a_well

IMAGE = "pupload/resize:latest"


async def test_a_waiting_run_says_what_it_waits_for_and_until_when(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        nodes = a_node(inputs={"image": "a", "other": "b"})
        run = await bench.start(a_flow(nodes, wells=[a_well("b", source="webhook")]))
        photo, hook = (await bench.view(run)).waiting
        assert (photo.edge, photo.method, photo.store) == ("a", "PUT", "default")
        assert photo.key == run.plan.edges["a"].key
        assert photo.expires_at == bench.clock.now() + timedelta(hours=1)
        assert photo.deadline == run.created_at + timedelta(days=1)
        assert (hook.edge, hook.method) == ("b", "POST")
        assert urlsplit(hook.url).path == f"/api/v1/upload/{run.id}/b/receive"
        assert photo.url not in repr(photo), "a URL is a key, and keys are not printed"


async def test_who_may_only_look_gets_no_url_to_write_to(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        nodes = a_node(inputs={"image": "a", "other": "b"})
        run = await bench.start(a_flow(nodes, wells=[a_well("b", source="webhook")]))
        for scopes, urls in ((frozenset({Permission.RUNS_VIEW}), 0), (None, 2)):
            with asking.asked_by(Caller(user=1, name="root", role=Role.ADMIN, scopes=scopes)):
                view = await bench.view(run)
            assert [waiting.edge for waiting in view.waiting] == ["a", "b"]
            assert len([waiting.url for waiting in view.waiting if waiting.url]) == urls


async def test_a_static_object_is_nobodys_to_bring(tmp_path: Path) -> None:
    async with a_bench(tmp_path, notifies=False) as bench:
        flow = a_flow(a_node(inputs={"a": "a", "b": "b"}), wells=[a_well("a", source="static", key="logo")])
        await bench.store.put_bytes("logo", PNG, content_type="image/png")
        view = await bench.view(await bench.start(flow))
        assert [waiting.edge for waiting in view.waiting] == ["b"]


async def test_an_artifact_comes_under_a_name_that_tells_its_type(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:

        def script(order: ContainerOrder) -> Outcome:
            (order.outputs / "picture").write_bytes(PNG)
            (order.outputs / "words").write_bytes(TEXT)
            return Outcome()

        bench.image(IMAGE, script)
        node = a_node(inputs={}, outputs={"picture": "photo", "words": "caption"})
        run = await bench.ended(await bench.start(a_flow(node)))
        view = await bench.view(run)
        names = {edge: parse_qs(urlsplit(one.url).query)["filename"] for edge, one in view.artifacts.items()}
        assert names == {"photo": ["photo.png"], "caption": ["caption.txt"]}
        assert view.run.status is Status.COMPLETE
        assert not view.waiting
        assert view.artifacts["photo"].url not in repr(view)


async def test_urls_are_signed_anew_each_time_they_are_shown(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        await bench.upload(run, "resize-in", PNG)
        run = await bench.ended(run)
        await bench.clock.run_for(10 * 86400)
        assert await bench.download(run, "resize-out") == PNG


async def test_only_the_last_lines_of_each_node_are_shown(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(code=1, said=[str(number) for number in range(3 * TAIL)]))
        nodes = (a_node("a", inputs={}), a_node("b", inputs={}))
        run = await bench.ended(await bench.start(a_flow(*nodes), [a_definition(max_attempts=1)]))
        logs = (await bench.view(run)).logs
        last = [str(number) for number in range(2 * TAIL, 3 * TAIL)]
        assert {node: [record.line.message for record in records] for node, records in logs.items()} == {
            "a": last,
            "b": last,
        }
