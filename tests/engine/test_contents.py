"""What files hold: told of what arrives and of what nodes make, and refused where it is more than somebody takes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors, ports
from pupload.domain import events
from pupload.domain.facts import Facts, Inspection, Limits
from pupload.domain.flow import Node
from pupload.domain.nodedef import NodeDef
from pupload.domain.run import Run, Status
from pupload.engine.contents import TAIL_BYTES
from tests.adapters.content import files
from tests.bench import PNG, TEXT, Bench, PlainTeller, a_bench, assemble, copies
from tests.builders import a_chain, a_definition, a_flow, a_node, a_port
from tests.engine.worlds import Faulty, OneStore, changed

IMAGE = "pupload/resize:latest"


@dataclass
class Says:
    """An inspector that says this of every picture, and remembers what it was given."""

    inspection: Inspection
    given: list[ports.Content] = field(default_factory=list)
    away: int = 0
    """So often there is nobody to look."""

    def looks_into(self, content_type: str) -> bool:
        return content_type.startswith("image/")

    async def look(self, content: ports.Content, *, content_type: str, size: int) -> Inspection:
        self.given.append(content)
        if self.away:
            self.away -= 1
            raise errors.InspectorUnavailable(reason="it is switched off")
        return self.inspection

    async def look_all(self, files: Sequence[ports.Inspected]) -> Sequence[Inspection]:
        return [await self.look(one.content, content_type=one.content_type, size=one.size) for one in files]


def takes(**limits: Any) -> list[NodeDef]:
    """A definition whose input is limited so."""
    return [a_definition(inputs=[a_port("image", "image/*", **limits)], outputs=[a_port("resized")])]


def makes(**limits: Any) -> list[NodeDef]:
    """A definition whose output is limited so."""
    return [a_definition(inputs=[a_port("image")], outputs=[a_port("resized", "image/*", **limits)])]


async def ended(bench: Bench, data: bytes, definitions: list[NodeDef], *nodes: Node) -> Run:
    """A run whose nodes copy their input, when it is over."""
    bench.image(IMAGE, copies("image", "resized"))
    run = await bench.start(a_flow(*nodes), definitions)
    await bench.upload(run, "e0" if nodes else "resize-in", data)
    return await bench.ended(run)


# ── What arrives ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_an_upload_holds_is_recorded_with_it(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await ended(bench, files.png(30, 40), takes(max_pixels=1200))
        assert run.status is Status.COMPLETE
        assert run.artifacts["resize-in"].facts == Facts(width=30, height=40)
        told = [entry.event for entry in await bench.kept.journal.read(run.id)]
        (sealed,) = [event for event in told if isinstance(event, events.UploadSealed)]
        assert sealed.artifact.facts == Facts(width=30, height=40)


async def test_an_upload_of_more_than_somebody_takes_is_refused_before_any_container(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await ended(bench, files.png(200_000, 200_000), takes(max_pixels=50_000_000))
        assert run.status is Status.ERROR
        assert run.error == (
            "upload of edge resize-in (image/png) is refused: it has 200000x200000 = 40 billion pixels; input image of "
            "node resize takes at most 50 million"
        )
        assert not bench.executor.starts


async def test_the_strictest_of_all_who_take_it_counts(tmp_path: Path) -> None:
    nodes = (
        a_node("first", inputs={"image": "e0"}, outputs={"resized": "a"}),
        a_node("second", uses="pupload/other", inputs={"image": "e0"}, outputs={"resized": "b"}),
    )
    strict = a_definition("pupload/other", inputs=[a_port("image", max_bytes=10)], outputs=[a_port("resized")])
    async with a_bench(tmp_path) as bench:
        run = await ended(bench, files.png(3, 3), [*takes(max_bytes=10**6), strict], *nodes)
        assert run.status is Status.ERROR
        assert "bytes; input image of node second takes at most 10" in run.error


async def test_what_cannot_be_told_is_refused_where_a_limit_depends_on_it(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await ended(bench, PNG, takes(max_pixels=50))
        assert run.error.endswith(
            "it cannot be told how many pixels it has, and input image of node resize takes at most 50: its headers "
            "cannot be read"
        )


async def test_and_taken_where_none_does(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await ended(bench, PNG, takes(max_bytes=1000))
        assert run.status is Status.COMPLETE
        assert run.artifacts["resize-in"].facts is None


async def test_a_file_that_is_two_things_is_refused_whoever_takes_it(tmp_path: Path) -> None:
    says = Says(Inspection(other_type="application/zip"))
    async with a_bench(tmp_path) as first, changed(first, inspector=says) as bench:
        run = await ended(bench, PNG, [a_definition()])
        assert run.error == (
            "upload of edge resize-in is image/png and, read another way, application/zip: a file may be one thing only"
        )
        assert not bench.executor.starts


async def test_the_servers_caps_are_for_every_file(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        await first.engine.close()
        bench = assemble(first.world, replace(first.config, caps=Limits(max_pixels=99)), first)
        await bench.engine.start()
        try:
            run = await ended(bench, files.png(10, 10), [a_definition()])
            assert "it has 10x10 = 100 pixels; this server (max_pixels) takes at most 99" in run.error
            unknown = await ended(bench, PNG, [a_definition()])
            assert unknown.status is Status.COMPLETE
        finally:
            await bench.engine.close()


async def test_where_nobody_can_look_just_now_the_upload_waits(tmp_path: Path) -> None:
    says = Says(Inspection(facts=Facts(width=1, height=1)), away=2)
    async with a_bench(tmp_path) as first, changed(first, inspector=says) as bench:
        run = await ended(bench, PNG, takes(max_pixels=5))
        assert run.status is Status.COMPLETE
        assert len(says.given) >= 3


# ── What nodes make ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_node_makes_is_looked_into_where_it_lies(tmp_path: Path) -> None:
    says = Says(Inspection(facts=Facts(width=5, height=6)))
    async with a_bench(tmp_path) as first, changed(first, inspector=says) as bench:
        run = await ended(bench, PNG, makes(max_pixels=30))
        assert run.artifacts["resize-out"].facts == Facts(width=5, height=6)
        assert isinstance(says.given[-1], Path)


async def test_an_output_of_more_than_was_promised_fails_its_node_for_good(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await ended(bench, files.png(10, 10), makes(max_pixels=99))
        node = run.nodes["resize"]
        assert node.error == (
            "output resized (image/png) is refused: it has 10x10 = 100 pixels; the port takes at most 99"
        )
        assert [attempt.failure for attempt in node.attempts] == ["wrong_type"]
        assert "resize-out" not in run.artifacts


async def test_an_output_of_more_than_the_next_node_takes_never_gets_there(tmp_path: Path) -> None:
    nodes = (a_chain(1)[0], a_node("n1", uses="pupload/other", inputs={"image": "e1"}, outputs={"resized": "e2"}))
    strict = a_definition(
        "pupload/other", inputs=[a_port("image", "image/*", max_pixels=99)], outputs=[a_port("resized")]
    )
    async with a_bench(tmp_path) as bench:
        run = await ended(bench, files.png(10, 10), [a_definition(), strict], *nodes)
        assert run.nodes["n0"].error.endswith("100 pixels; input image of node n1 takes at most 99")
        assert not run.nodes["n1"].attempts


async def test_an_output_that_the_next_node_does_not_take_never_gets_there(tmp_path: Path) -> None:
    nodes = (a_chain(1)[0], a_node("n1", uses="pupload/other", inputs={"image": "e1"}, outputs={"resized": "e2"}))
    strict = a_definition("pupload/other", inputs=[a_port("image", "video/*")], outputs=[a_port("resized")])
    async with a_bench(tmp_path) as bench:
        run = await ended(bench, PNG, [a_definition(), strict], *nodes)
        assert run.nodes["n0"].error == (
            "output resized is image/png, but video/* by input image of node n1 is expected"
        )
        assert not run.nodes["n1"].attempts


# ── Where objects lie ────────────────────────────────────────────────────────────────────────────────────────────


async def test_of_an_object_far_away_only_the_ends_are_read(tmp_path: Path) -> None:
    says, data = Says(Inspection()), files.png(1, 1) + bytes(3 * TAIL_BYTES)
    async with a_bench(tmp_path) as first, changed(first, inspector=says) as bench:
        run = await ended(bench, data, takes())
        assert run.status is Status.COMPLETE
        head, tail = says.given[0]  # type: ignore[misc]
        assert head == (0, data[: PlainTeller.head_bytes])
        assert tail == (len(data) - TAIL_BYTES, data[-TAIL_BYTES:])


class Lending(Faulty):
    """A store on this machine."""

    silent = False

    async def lend(self, key: str, path: Path) -> bool:
        if not self.silent:
            await asyncio.to_thread(path.write_bytes, await self._real.read(key))
        return not self.silent


@pytest.mark.parametrize("silent", [False, True])
async def test_an_object_of_this_machine_is_lent_and_given_back(tmp_path: Path, silent: bool) -> None:
    says, data = Says(Inspection()), files.png(1, 1) + bytes(100_000)
    async with a_bench(tmp_path) as first:
        store = Lending(first.store)
        store.silent = silent
        async with changed(first, inspector=says, stores=OneStore(store)) as bench:
            run = await ended(bench, data, takes())
            assert run.status is Status.COMPLETE
            assert isinstance(says.given[0], Path) is not silent
            assert not list((tmp_path / "inspected").iterdir())


async def test_text_is_not_looked_into(tmp_path: Path) -> None:
    says = Says(Inspection(other_type="application/zip"))
    async with a_bench(tmp_path) as first, changed(first, inspector=says) as bench:
        run = await ended(bench, TEXT, [a_definition()])
        assert run.status is Status.COMPLETE
        assert not says.given
