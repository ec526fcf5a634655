"""Sources looked at: what becomes of flows that are new, changed, broken, gone and back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.folder.tree import FolderSource
from pupload.adapters.git.repository import GitSource
from pupload.api.flow.sourced import Interpreter
from pupload.domain import saved
from pupload.domain.sources import Kind, Source, Tree
from pupload.service import sources as service
from pupload.service.flows import Draft, Flows
from pupload.service.sources import PATIENCE, Sources, SyncReport
from tests.adapters.git.repositories import Repository
from tests.bench import Bench, a_bench, copies
from tests.builders import a_flow, a_node, definitions_for

IMAGE = "pupload/resize:latest"

DEFINITION = f"""\
Publisher: pupload
Name: resize
Image: {IMAGE}
Tier: c-small
Inputs: [{{Name: image, Type: ["image/*"]}}]
Outputs: [{{Name: resized}}]
Flags: [{{Name: width}}]
Command: {{Exec: "resize"}}
"""


def a_text(width: int = 800, *, uses: str = "pupload/resize") -> str:
    """A flow, without the definition that it uses."""
    return f"""\
Nodes:
  - ID: resize
    Uses: {uses}
    Inputs: [{{Name: image, Edge: photo}}]
    Outputs: [{{Name: resized, Edge: small}}]
    Flags: [{{Name: width, Value: {width}}}]
"""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path / "bench") as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


@pytest.fixture
def flows(bench: Bench) -> Flows:
    return Flows(engine=bench.engine, runs=bench.runs)


class Folder:
    """A folder with flows, and those who look at it."""

    def __init__(self, root: Path, bench: Bench, flows: Flows) -> None:
        self.root = root
        self.bench = bench
        self.flows = flows
        self.put("node_defs/resize.yaml", DEFINITION)
        self.source = Source(name="local", type=Kind.FS, path=str(root))
        self.reader = FolderSource()

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def sources(self, *known: Source, reader: Any = None) -> Sources:
        """Another server's, knowing nothing yet."""
        return Sources(
            known=known or (self.source,),
            readers={Kind.FS: reader or self.reader},
            meaning=Interpreter,
            flows=self.flows,
            clock=self.bench.clock,
        )

    async def versions(self) -> dict[str, int]:
        """The latest version of each flow that is there."""
        page = await self.flows.list()
        return {this.full_name: this.version for this in page.flows if not this.gone}


@pytest.fixture
def folder(tmp_path: Path, bench: Bench, flows: Flows) -> Folder:
    return Folder(tmp_path / "flows", bench, flows)


async def look(sources: Sources, name: str = "local") -> SyncReport:
    (report,) = await sources.sync(name)
    return report


def places(report: SyncReport) -> list[str]:
    return [problem.place for problem in report.problems]


async def test_flows_are_saved_once_for_each_content(folder: Folder, flows: Flows) -> None:
    folder.put("daily.yaml", a_text())
    folder.put("pictures/small/shrink.yaml", a_text())
    sources = folder.sources()
    report = await look(sources)
    assert (report.created, report.changed, report.gone) == (["default/daily", "pictures/small/shrink"], [], [])
    assert not report.problems
    view = await flows.get("pictures/small/shrink")
    assert (view.flow.source, view.version.origin, view.flow.enabled) == ("local", "pictures/small/shrink.yaml", True)
    assert view.content.definitions[0].uses == "pupload/resize"
    for again in (sources, folder.sources()):
        report = await look(again)
        assert (list(report.created), list(report.changed), report.flows) == ([], [], 2)
    folder.put("daily.yaml", a_text(100))
    assert (await look(sources)).changed == ["default/daily"]
    assert await folder.versions() == {"default/daily": 2, "pictures/small/shrink": 1}
    assert [each.number for each in await flows.versions("daily")] == [2, 1]


async def test_what_is_the_same_is_not_judged_again(
    folder: Folder, flows: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("daily.yaml", a_text())
    sources = folder.sources()
    await look(sources)
    with monkeypatch.context() as patched:
        patched.setattr(Flows, "save", None)
        assert (await look(sources)).flows == 1
    await flows.retire(await flows.find("daily"))  # by somebody else: there is something to do after all
    assert (await look(sources)).changed == ["default/daily"]


async def test_a_file_may_say_all_that_is_said_of_a_saved_flow(folder: Folder, flows: Flows) -> None:
    inner = "".join(f"  {line}\n" for line in a_text().splitlines())
    more = "Description: Smaller\nTags: [a, b]\nLabel: 2.0.0\nEnabled: false\n"
    own = DEFINITION.replace("c-small", "c-medium")
    definition = "NodeDefs:\n  - " + own.replace("\n", "\n    ").rstrip()
    folder.put("whole.yaml", f"Flow:\n{inner}{definition}\n{more}")
    assert not (await look(folder.sources())).problems
    view = await flows.get("whole")
    assert (view.flow.description, view.flow.tags, view.flow.label, view.flow.enabled) == (
        *("Smaller", ("a", "b")),
        *("2.0.0", False),
    )
    assert [each.tier for each in view.content.definitions] == ["c-medium"]
    folder.put("whole.yaml", f"Flow:\n{inner}{definition}\n")
    await look(folder.sources())
    view = await flows.get("whole")
    assert (view.flow.description, view.flow.tags, view.flow.enabled, view.flow.version) == ("", (), True, 1)


async def test_a_project_is_a_source(folder: Folder, flows: Flows) -> None:
    store = "{Name: ours, Type: s3, Params: {Endpoint: 'https://s3.example.org', BucketName: b}}"
    folder.put("pup.yaml", f"ProjectName: x\nGlobalStores: [{store}]\n")
    folder.put("flows/pictures/shrink.yaml", a_text() + "DataWells: [{Edge: small, Store: ours}]\n")
    folder.put("nodes/acme/thumb/node.yaml", DEFINITION.replace("pupload\nName: resize", "acme\nName: thumb"))
    folder.put("flows/thumb.yaml", a_text(uses="acme/thumb"))
    folder.put("compose.yaml", "services: {}\n")
    report = await look(folder.sources())
    assert report.created == ["default/thumb", "pictures/shrink"]
    assert not report.problems
    view = await flows.get("pictures/shrink")
    assert [store.name for store in view.content.flow.stores] == ["ours"]
    assert (await flows.get("thumb")).content.definitions[0].uses == "acme/thumb"


async def test_what_is_broken_stays_as_it_was_and_stops_no_other(folder: Folder, flows: Flows) -> None:
    names = ("yaml", "field", "finding", "bytes", "other", "json")
    for name in names:
        folder.put(f"a/{name}.{'json' if name == 'json' else 'yaml'}", a_text() if name != "json" else "{}")
    folder.put("a/json.json", '{"Nodes": [{"ID": "r", "Uses": "pupload/resize"}]}')
    sources = folder.sources()
    first = await look(sources)
    assert len(first.created) + len({each.path for each in first.problems}) == len(names)
    folder.put("a/yaml.yaml", "Nodes:\n  - ID: [\n")
    folder.put("a/field.yaml", a_text().replace("ID: resize", "ID: {}"))
    folder.put("a/finding.yaml", a_text().replace("pupload/resize", "no/such"))
    (folder.root / "a/bytes.yaml").write_bytes(b"Nodes: \xff")
    folder.put("a/other.yaml", "services: {}\n")
    folder.put("a/json.json", '{"Nodes": [}')
    folder.put("a/good.yaml", a_text(5))
    report = await look(sources)
    assert report.created == ["a/good"]
    assert not report.gone
    told = {problem.path: problem for problem in report.problems}
    assert set(told) == {f"a/{name}.{'json' if name == 'json' else 'yaml'}" for name in names}
    assert {path: problem.line for path, problem in told.items()} == {
        "a/yaml.yaml": 3,
        "a/field.yaml": 2,
        "a/finding.yaml": 3,
        "a/bytes.yaml": 1,
        "a/other.yaml": 0,
        "a/json.json": 0,
    }
    assert "no/such" in told["a/finding.yaml"].text
    assert "holds no flow any more" in told["a/other.yaml"].text
    versions = await folder.versions()
    assert {versions[f"a/{name}"] for name in ("yaml", "field", "finding", "bytes", "other")} == {1}
    assert (await flows.get("a/yaml")).flow.enabled


async def test_a_definition_that_cannot_be_read_is_not_replaced_by_another(folder: Folder, flows: Flows) -> None:
    folder.put("daily.yaml", a_text())
    folder.put("own.yaml", a_text(7, uses="acme/own"))
    folder.put("node_defs/own.yaml", DEFINITION.replace("pupload\nName: resize", "acme\nName: own"))
    sources = folder.sources()
    await look(sources)
    folder.put("node_defs/resize.yaml", "Publisher: [")
    folder.put("own.yaml", a_text(8, uses="acme/own"))
    report = await look(sources)
    assert places(report) == ["node_defs/resize.yaml:1", "daily.yaml"]
    assert (report.changed, report.gone) == (["default/own"], [])
    folder.put("node_defs/resize.yaml", DEFINITION)
    folder.put("node_defs/again.yaml", DEFINITION)
    assert "is the node definition pupload/resize as well" in (await look(sources)).problems[0].text


async def test_what_is_wrong_in_a_definition_is_told_there(folder: Folder) -> None:
    folder.put("node_defs/resize.yaml", DEFINITION.replace("c-small", "c-giant"))
    folder.put("daily.yaml", a_text())
    report = await look(folder.sources())
    assert "node_defs/resize.yaml:4" in places(report)
    assert "(flow daily)" in report.problems[places(report).index("node_defs/resize.yaml:4")].text


async def test_two_files_of_one_name_are_none(folder: Folder) -> None:
    folder.put("daily.yaml", a_text())
    folder.put("default/daily.yaml", a_text(7))
    folder.put("x.yaml", a_text())
    report = await look(folder.sources())
    assert report.created == ["default/x"]
    assert sorted(places(report)) == ["daily.yaml", "default/daily.yaml"]


async def test_a_file_that_is_called_as_no_flow_can_be_is_told(folder: Folder) -> None:
    folder.put("a b.yaml", a_text())
    folder.put("good.yaml", a_text())
    report = await look(folder.sources())
    assert (report.created, places(report)) == (["default/good"], ["a b.yaml"])


async def test_a_flow_that_is_gone_is_shut_and_comes_back(folder: Folder, bench: Bench, flows: Flows) -> None:
    folder.put("daily.yaml", a_text())
    folder.put("other.yaml", a_text())
    sources = folder.sources()
    await look(sources)
    run = await flows.start("daily")
    before = await flows.find("daily")
    (folder.root / "daily.yaml").unlink()
    report = await look(sources)
    assert (report.gone, report.flows) == (["default/daily"], 1)
    assert not (await look(sources)).gone
    gone = await flows.find("daily")
    assert (gone.gone, gone.enabled, gone.id) == (True, False, before.id)
    with pytest.raises(errors.Conflict, match="not enabled"):
        await flows.start("daily")
    with pytest.raises(errors.Conflict, match="has it no more"):
        await flows.save("daily", Draft(content=(await flows.get("other")).content))
    assert (await bench.view(run.run)).run.plan.provenance == run.run.plan.provenance
    folder.put("daily.yaml", a_text(9))
    assert (await look(sources)).changed == ["default/daily"]
    back = await flows.find("daily")
    assert (back.gone, back.enabled, back.id, back.version) == (False, True, before.id, 2)
    with pytest.raises(errors.Conflict, match="kept in source local"):
        await flows.remove("daily")
    (folder.root / "daily.yaml").unlink()
    await look(sources)
    await flows.remove("daily")
    assert await folder.versions() == {"default/other": 1}


async def test_a_folder_that_cannot_be_read_takes_no_flow_with_it(
    folder: Folder, flows: Flows, caplog: pytest.LogCaptureFixture
) -> None:
    folder.put("backup/daily.yaml", a_text())
    folder.put("x.yaml", a_text())
    sources = folder.sources()
    await look(sources)
    away = folder.root.with_name("away")
    (folder.root / "backup").rename(away)
    (folder.root / "backup").symlink_to(away)
    report = await look(sources)
    assert (report.gone, places(report)) == ([], ["backup"])
    folder.root.rename(folder.root.with_name("unmounted"))
    for _ in range(2):
        report = await look(sources)
    assert "cannot be opened" in report.error
    assert len([each for each in caplog.records if "cannot be opened" in each.message]) == 1
    view = sources.get("local")
    assert (view.error, view.flows) == (report.error, 2)
    assert await folder.versions() == {"backup/daily": 1, "default/x": 1}


async def test_a_name_that_is_anothers_is_left_to_it(folder: Folder, flows: Flows) -> None:
    this = a_flow(a_node("resize", flags={"width": "1"}))
    await flows.save("mine", Draft(content=saved.Content(flow=this, definitions=definitions_for(this))))
    folder.put("mine.yaml", a_text())
    folder.put("ours.yaml", a_text())
    sources = folder.sources(folder.source, replace(folder.source, name="other"))
    first, second = await sources.sync()
    assert (first.created, places(first)) == (["default/ours"], ["mine.yaml"])
    assert "there is a flow default/mine already, saved through the API" in first.problems[0].text
    assert [problem.text for problem in second.problems] == [
        "there is a flow default/mine already, saved through the API",
        "there is a flow default/ours already, of source local",
    ]
    await flows.remove("mine")
    assert (await look(sources)).created == ["default/mine"]  # though no file has changed


async def test_who_is_stopped_between_two_saves_goes_on_where_it_was(
    folder: Folder, flows: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        folder.put(f"{name}.yaml", a_text())
    saves: list[str] = []
    save = Flows.save

    async def dies(self: Flows, flow: str, draft: Draft, **more: Any) -> Any:
        if len(saves) == 2:
            raise KeyError("killed")
        saves.append(flow)
        return await save(self, flow, draft, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Flows, "save", dies)
        with pytest.raises(KeyError):
            await look(folder.sources())
    assert len(await folder.versions()) == 2
    assert (await look(folder.sources())).created == ["default/c"]
    assert set((await folder.versions()).values()) == {1}


async def test_two_servers_at_once_save_everything_once(folder: Folder) -> None:
    for number in range(8):
        folder.put(f"f{number}.yaml", a_text(number + 1))
    ours, theirs = folder.sources(), folder.sources()
    for width in (10, 20):
        reports = [*await asyncio.gather(look(ours), look(theirs))]
        assert not any(report.problems or report.error for report in reports)
        for number in range(8):
            folder.put(f"f{number}.yaml", a_text(width + number))
    reports = [*await asyncio.gather(look(ours), look(theirs))]
    assert set((await folder.versions()).values()) == {3}


class Late:
    """Reads, and is overtaken by somebody before it tells."""

    def __init__(self, reader: FolderSource, meanwhile: Callable[[], Any]) -> None:
        self.reader = reader
        self.meanwhile = meanwhile
        self.read_times = 0

    async def read(self, source: Source, *, known: str = "") -> Tree | None:
        self.read_times += 1
        tree = await self.reader.read(source, known=known)
        await self.meanwhile()
        return tree


@pytest.mark.parametrize("was_there", [True, False])
async def test_what_was_read_before_another_saved_is_not_saved_over_it(folder: Folder, was_there: bool) -> None:
    theirs = folder.sources()
    folder.put("daily.yaml", a_text(1))
    if was_there:
        await look(theirs)
        folder.put("daily.yaml", a_text(2))
    overtaken = False

    async def overtake() -> None:
        nonlocal overtaken
        if not overtaken:
            overtaken = True
            folder.put("daily.yaml", a_text(3))
            await look(theirs)

    reader = Late(folder.reader, overtake)
    report = await look(folder.sources(reader=reader))
    assert (report.created, report.changed, reader.read_times) == ([], [], 2)
    assert await folder.versions() == {"default/daily": 2 if was_there else 1}
    assert (await folder.flows.get("daily")).content.flow.nodes[0].flags[0].value == "3"


async def test_who_is_overtaken_all_the_time_gives_up_for_now(folder: Folder) -> None:
    folder.put("daily.yaml", a_text(1))
    theirs, count = folder.sources(), iter(range(2, 100))

    async def overtake() -> None:
        folder.put("daily.yaml", a_text(next(count)))
        await look(theirs)

    reader = Late(folder.reader, overtake)
    report = await look(folder.sources(reader=reader))
    assert "others save its flows all the time" in report.error
    assert reader.read_times == PATIENCE


async def test_flows_of_a_source_that_is_named_no_more_are_shut(
    folder: Folder, flows: Flows, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    folder.put("daily.yaml", a_text())
    await look(folder.sources(replace(folder.source, name="old")), "old")
    sources = folder.sources(replace(folder.source, name="new", namespace="new"))
    sources.start()
    try:
        await bench.until(lambda: sources.get("new").synced_at is not None and "is shut" in caplog.text)
    finally:
        await sources.close()
    assert await folder.versions() == {"new/daily": 1}
    assert (await flows.find("daily")).gone


async def test_sources_are_looked_at_from_time_to_time(folder: Folder, bench: Bench, flows: Flows) -> None:
    folder.put("daily.yaml", a_text())
    sources = folder.sources(replace(folder.source, interval_seconds=60.0), replace(folder.source, name="once"))
    (folder.root / "node_defs").rename(folder.root / "later")
    folder.root.rename(folder.root.with_name("later"))
    sources.start()
    try:
        await bench.until(lambda: all(view.error for view in sources.list()[1:]))
        folder.root.with_name("later").rename(folder.root)
        (folder.root / "later").rename(folder.root / "node_defs")
        await bench.until(lambda: all(view.synced_at for view in sources.list()[1:]), step=1.0)
        first = {view.name: view.synced_at for view in sources.list()}
        await bench.clock.run_for(300.0)
        await bench.until(lambda: sources.get("local").synced_at != first["local"], step=1.0)
        assert sources.get("once").synced_at == first["once"]  # it was read, and nobody asked again
    finally:
        await sources.close()


async def test_all_sources_are_listed_and_none_is_made_up(folder: Folder) -> None:
    sources = folder.sources()
    assert [(view.name, view.type, view.path) for view in sources.list()] == [
        ("api", "api", ""),
        ("local", "fs", str(folder.root)),
    ]
    for name in ("other", "api"):
        with pytest.raises(errors.UnknownSource):
            await sources.sync(name)
    with pytest.raises(errors.UnknownSource):
        sources.get("other")


async def test_a_commit_stands_in_every_version(
    tmp_path: Path, bench: Bench, flows: Flows, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = Repository(tmp_path / "made")
    made.put("team/node_defs/resize.yaml", DEFINITION)
    first = made.commit("the first", team__backup__daily=a_text())

    async def reveal(name: str) -> str | None:
        raise AssertionError(name)

    source = Source(name="team", type=Kind.GIT, path=str(made.folder), ref="main", folder="team", namespace="git")
    sources = Sources(
        known=(source, replace(source, name="pinned", ref=first, namespace="pinned")),
        readers={Kind.GIT: GitSource(scratch=tmp_path / "scratch", reveal=reveal)},
        meaning=Interpreter,
        flows=flows,
        clock=bench.clock,
    )
    await sources.sync()
    second = made.commit("the second", team__backup__daily=a_text(1))
    made.commit("nothing that matters", readme="x")
    await sources.sync()
    told = [(each.number, each.origin, each.message) for each in await flows.versions("git/backup/daily")]
    assert told[1] == (1, f"team/backup/daily.yaml@{first}", "the first")
    assert told[0][0] == 2
    assert [each.number for each in await flows.versions("pinned/backup/daily")] == [1]
    assert (sources.get("pinned").commit, sources.get("team").commit) == (first, made.git("rev-parse", "HEAD"))
    assert second != first


async def test_files_that_take_long_are_given_up_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = "".join(f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in pairwise("abcdefghi"))
    folder.put("bomb.yaml", "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + bomb + "# " + "words" * 200)
    folder.put("good.yaml", a_text())
    sources = folder.sources()
    assert places(await look(sources)) == ["bomb.yaml:1"]
    folder.put("other.yaml", a_text())
    with monkeypatch.context() as patched:
        patched.setattr(service, "READ_SECONDS", 0.01)
        assert "take longer than 0.01 s" in (await look(sources)).error
        patched.setattr(sources, "_read", None)
        assert "take longer than 0.01 s" in (await look(sources)).error
    assert await folder.versions() == {"default/good": 1}


async def test_what_cannot_be_saved_is_not_read_again_to_be_tried_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("daily.yaml", a_text(uses="no/such"))
    sources = folder.sources()
    assert places(await look(sources)) == ["daily.yaml:3"]
    with monkeypatch.context() as patched:
        patched.setattr(sources, "_read", None)
        assert places(await look(sources)) == ["daily.yaml:3"]
    folder.put("node_defs/such.yaml", DEFINITION.replace("pupload\nName: resize", "no\nName: such"))
    assert (await look(sources)).created == ["default/daily"]
