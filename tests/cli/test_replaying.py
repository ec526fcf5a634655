"""`pup replay`: what is asked, and old beside new."""

import json
from pathlib import Path
from typing import Any

import pytest

from pupload import errors, ports
from pupload.adapters.memory.containers import Outcome
from pupload.api.flow import wire
from pupload.cli import gathering, replaying
from pupload.cli.failures import Failed, Usage
from pupload.cli.output import Output
from pupload.client import Client
from pupload.domain.nodedef import NodeDef
from tests.api import house as houses
from tests.api.house import House, a_house
from tests.bench import PNG, NoCatalogue
from tests.builders import a_definition, a_flag, a_flow, a_node, a_port
from tests.cli.test_pup import _process as process
from tests.engine.test_foreach import PACK, SHRINK, SPLIT, a_packing_flow, packs, splits

FLOW = a_flow(
    a_node("make", uses="p/make", inputs={"in": "there"}, outputs={"out": "made", "picture": "seen"}),
    a_node("say", uses="p/say", inputs={"in": "there"}, outputs={"out": "said"}, flags={"word": "old"}),
    a_node("after", uses="p/after", inputs={"in": "said"}, outputs={"out": "end"}, flags={"word": "same"}),
)
DEFINITIONS = [a_definition(node.uses, max_attempts=1) for node in FLOW.nodes]
COMPARE = a_definition(
    "pupload/compare",
    inputs=[a_port("first", "image/png"), a_port("second", "image/png")],
    outputs=[a_port("report")],
    flags=[a_flag("fit")],
    max_attempts=1,
)


def says(order: ports.ContainerOrder) -> Outcome:
    """Writes lines, with the flag's value between them; as a picture where it is asked for one."""
    word = order.environment.get("FLAG_WORD", "")
    (order.outputs / "out").write_bytes(f"first\n{word}\nlast\n".encode())
    if "OUTPUT_PICTURE" in order.environment:
        (order.outputs / "picture").write_bytes(PNG + word.encode())
    return Outcome(code=1 if word == "broken" else 0)


def measures(order: ports.ContainerOrder) -> Outcome:
    """As pupload/compare does."""
    (first,), (second,) = (list(order.inputs.glob(f"{name}*")) for name in ("first", "second"))
    same = first.read_bytes() == second.read_bytes()
    (order.outputs / "report").write_text(json.dumps({"SSIM": 0.987, "PSNR": None if same else 30.25}))
    return Outcome()


async def a_run(house: House, client: Client, there: Path) -> str:
    """The flow's, ended."""
    for definition in DEFINITIONS:
        house.bench.image(definition.image, says)
    run = await client.start(wire.write_order(FLOW, DEFINITIONS))
    await client.upload(run["ID"], "there", there)
    run = await client.wait(run["ID"])
    assert run["Status"] == "COMPLETE"
    return str(run["ID"])


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "there").write_bytes(b"some text")
    return tmp_path / "there"


class Replay:
    """Carries `pup replay` out in this process."""

    def __init__(self, house: House, capsys: pytest.CaptureFixture[str]) -> None:
        self._url = house.url
        self._capsys = capsys

    async def __call__(self, run: str, *, as_json: bool = False, **asked: Any) -> str:
        """What is said. Raises what goes wrong."""
        self._capsys.readouterr()
        assert await replaying.replayed(Output(as_json=as_json), self._url, run, **asked) == 0
        return self._capsys.readouterr().out

    async def told(self, run: str, **asked: Any) -> dict[str, Any]:
        """What is said as JSON, the artifacts by their edges."""
        told = json.loads(await self(run, as_json=True, **asked))
        return {**told, "Artifacts": {line["Edge"]: line for line in told["Artifacts"]}}


async def test_old_is_told_beside_new(tmp_path: Path, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        old, replay = await a_run(house, client, there), Replay(house, capsys)
        lines = [
            line.rstrip() for line in (await replay(old, flags=["say.word=new"], from_nodes=["after"])).splitlines()
        ]
        assert any(line.endswith(f"replays {old}: say, after ran anew, 1 of 3 nodes were taken over") for line in lines)
        (heading,) = [line for line in lines if line.startswith("EDGE")]
        assert heading.split("  ")[0] == "EDGE"
        (row,) = [line for line in lines if line.startswith("said ")]
        assert row.split()[:6] == ["said", "say", "15", "bytes", "15", "bytes"]
        assert row.endswith("1 lines less, 1 more")
        assert next(line for line in lines if line.startswith("end ")).endswith("none")
        assert {"  -old", "  +new"} <= set(lines)
        assert not any(line.startswith("seen") for line in lines), "what was taken over is not told"


async def test_the_same_is_told_to_machines(tmp_path: Path, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        old, replay = await a_run(house, client, there), Replay(house, capsys)
        told = await replay.told(old, flags=["say.word=new"])
        assert (told["ReplayOf"], told["Run"]["ReplayOf"]) == (old, old)
        assert told["Run"]["NodeState"]["make"]["Reused"] is True
        found = told["Artifacts"]
        assert set(found) == {"said", "end"}
        assert found["end"]["Difference"] == {"Kind": "same"}
        assert found["said"]["Difference"]["Kind"] == "text"
        assert found["said"]["Old"]["Seconds"] >= 0
        brief = await replay.told(old, flags=["say.word=new"], brief=True)
        assert brief["Artifacts"]["said"]["Difference"] == {"Kind": "bytes"}


async def test_pictures_are_measured_by_the_server_that_can(
    tmp_path: Path, there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        old, replay = await a_run(house, client, there), Replay(house, capsys)

        async def difference() -> dict[str, Any]:
            told = await replay.told(old, flags=["make.word=x"])
            return dict(told["Artifacts"]["seen"]["Difference"])

        assert "does not know pupload/compare" in (await difference())["Note"]

        class Known(NoCatalogue):
            async def find(self, uses: str) -> NodeDef | None:
                return COMPARE if uses == COMPARE.uses else None

        async def every(_: Any) -> list[NodeDef]:
            return [COMPARE]

        monkeypatch.setattr(house.bench.runs, "_catalogue", Known())
        monkeypatch.setattr(houses.OneNode, "all", every)
        assert (await difference())["Note"].startswith("pupload/compare: "), "its image is not there"
        house.bench.image(COMPARE.image, measures)
        count = (await client.list())["Total"]
        assert await difference() == {"Kind": "picture", "SSIM": 0.987, "PSNR": 30.25, "Fitted": False}
        assert (await client.list())["Total"] == count + 1, "what measured is purged"


async def test_a_replay_that_fails_tells_what_there_is(
    tmp_path: Path, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        old, replay = await a_run(house, client, there), Replay(house, capsys)
        with pytest.raises(Failed, match="ERROR: node say"):
            await replay(old, flags=["say.word=broken"])
        assert "is not there" in capsys.readouterr().out
        total = (await client.list())["Total"]
        with pytest.raises(errors.Invalid):
            await replay(old, parts=["say.Tier=c-huge"])
        assert "[NODE_004]" in capsys.readouterr().out
        with pytest.raises(Usage, match="the run's nodes are: make, say, after"):
            await replay(old, flags=["nobody.word=x"])
        assert (await client.list())["Total"] == total


async def test_the_time_of_what_was_taken_over_is_that_of_the_run_it_ran_in(
    tmp_path: Path, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        first, replay = await a_run(house, client, there), Replay(house, capsys)
        second = (await replay.told(first, from_nodes=["after"]))["Run"]["ID"]
        found = (await replay.told(second, from_nodes=["say"]))["Artifacts"]
        assert "Seconds" in found["said"]["Old"]


async def test_the_command_ends_as_the_run_does(tmp_path: Path, there: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        old = await a_run(house, client, there)
        code, said, complaint = await process("replay", old, "--flag", "say.word=new", "--url", house.url)
        assert (code, complaint) == (0, "")
        assert "  +new" in said
        code, _, complaint = await process("replay", old, "--flag", "say.word=broken", "--url", house.url)
        assert code == 1
        assert "ERROR: node say" in complaint


def test_settings_name_a_node_and_something_of_it() -> None:
    nodes = ["a", "a.b"]
    asked = replaying.read_edits(
        nodes, from_nodes=["a"], flags=["a.b.c=1", "a.x=y=z", "a.e="], parts=["a.b.Image=x:1", "p/n.m.Tier=c-nano"]
    )
    assert asked["From"] == ["a"]
    assert asked["Flags"] == [
        {"Node": "a.b", "Name": "c", "Value": "1"},
        {"Node": "a", "Name": "x", "Value": "y=z"},
        {"Node": "a", "Name": "e", "Value": ""},
    ]
    assert asked["Set"] == [
        {"Node": "a.b", "Key": "Image", "Value": "x:1"},
        {"Node": "p/n.m", "Key": "Tier", "Value": "c-nano"},
    ]
    for wrong in ({"flags": ["a.x"]}, {"flags": ["b.x=1"]}, {"parts": ["Image=1"]}, {"from_nodes": ["b"]}):
        with pytest.raises(Usage):
            replaying.read_edits(nodes, **{"from_nodes": [], "flags": [], "parts": [], **wrong})


def test_differences_are_told_in_a_few_words() -> None:
    side = {"Size": 1, "SHA256": "ab" * 32, "ContentType": "x/y"}
    for difference, words in (
        ({"Kind": "picture", "SSIM": 1.0, "PSNR": None, "Fitted": False}, "SSIM 1.0000, no difference to be seen"),
        (
            {"Kind": "picture", "SSIM": 0.5, "PSNR": 20.0, "Fitted": True},
            "SSIM 0.5000, PSNR 20.0 dB, made as large as the old one",
        ),
        ({"Kind": "picture", "Note": "why"}, "other bytes: abababababab → abababababab (why)"),
        ({"Kind": "json", "Changes": [{}], "More": 0, "Uncounted": False}, "1 place"),
        ({"Kind": "json", "Changes": [], "More": 0, "Uncounted": False}, "the same values"),
        ({"Kind": "json", "Changes": [{}] * 40, "More": 9960, "Uncounted": True}, "more than 10000 places"),
        ({"Kind": "collection", "Same": 3, "Different": 2}, "2 items of 5"),
        ({"Kind": "added"}, "was not there"),
    ):
        assert replaying.in_words(difference, side, side) == words


# ── Collections ──────────────────────────────────────────────────────────────────────────────────────────────────


def shrinks(order: ports.ContainerOrder) -> Outcome:
    """Copies its input with a word behind it; of the third item only where there is one."""
    (path,) = order.inputs.iterdir()
    word = order.environment.get("FLAG_WORD", "") if path.read_bytes().endswith(b"2") else ""
    (order.outputs / "small").write_bytes(path.read_bytes() + word.encode())
    return Outcome()


async def test_collections_are_compared_item_by_item(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        house.bench.image("pupload/split:latest", splits(5))
        house.bench.image("pupload/shrink:latest", shrinks)
        house.bench.image("pupload/pack:latest", packs)
        run = await client.start(wire.write_order(a_packing_flow(), [SPLIT, SHRINK, PACK]))
        run = await client.wait(run["ID"])
        assert run["Status"] == "COMPLETE", run["Error"]
        replay = Replay(house, capsys)
        found = (await replay.told(run["ID"], flags=["shrink.word=x"]))["Artifacts"]
        assert found["small"]["Difference"] == {"Kind": "collection", "Same": 4, "Different": 1}
        assert (found["small"]["Old"]["Items"], found["small"]["MoreItems"]) == (5, 0)
        (item,) = found["small"]["Items"]
        assert (item["Place"], item["New"]["Size"] - item["Old"]["Size"]) == (2, 1)
        assert item["Difference"]["Kind"] == "picture"
        assert found["list"]["Difference"] == {"Kind": "same"}
        said = await replay(run["ID"], flags=["shrink.word=x"])
        assert "1 items of 5" in said
        assert "  2: 19 bytes → 20 bytes, other bytes: " in said


async def test_a_collection_is_brought_as_a_folder(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        house.bench.image("pupload/split:latest", splits(3))
        house.bench.image("pupload/shrink:latest", shrinks)
        house.bench.image("pupload/pack:latest", packs)
        run = await client.start(wire.write_order(a_packing_flow(), [SPLIT, SHRINK, PACK]))
        run = await client.wait(run["ID"])
        folder = await gathering.download(client, run, run["Artifacts"]["small"], tmp_path / "out", on_progress=print)
        assert sorted(path.name for path in folder.iterdir()) == ["00000.png", "00001.png", "00002.png"]
        assert (folder / "00001.png").read_bytes() == PNG + b"1"
