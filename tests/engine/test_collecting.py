"""Collections: directories of files that nodes leave and find."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.domain import collection
from pupload.domain.artifact import Artifact
from pupload.engine import collecting, laying
from pupload.engine.outputs import Kept
from pupload.ports import Wanted
from tests.bench import PNG, TEXT
from tests.builders import NOON, a_definition, a_port
from tests.engine.test_staging import REF, Place, a_place
from tests.engine.worlds import Faulty, raises

MANY = a_definition(inputs=[a_port("image")], outputs=[a_port("resized", many=True)])
FILES = {"b.png": PNG, "a.txt": TEXT, "\u00e4.png": PNG}


async def collected(root: Path, files: Mapping[str, bytes] = FILES, *, kind: Any = MANY, **options: Any) -> Place:
    """A node has left these files in its output's directory."""
    place = await a_place(root, definition=kind, **options)
    await place.staging.make_folder(REF, place.run.plan.nodes["resize"])
    for name, data in files.items():
        place.inside(f"out/resized/{name}").write_bytes(data)
    return place


def faulty_store(place: Place) -> Any:
    """What stands before the place's store."""
    return place.staging._stores.default()


# ── Out ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_node_finds_the_directory_for_its_collection(tmp_path: Path) -> None:
    place = await collected(tmp_path, {})
    assert place.inside("out/resized").is_dir()
    assert place.inside("out/resized").stat().st_mode & 0o777 in (0o755, 0o777)


async def test_every_file_becomes_an_item_in_the_order_of_the_names(tmp_path: Path) -> None:
    place = await collected(tmp_path)
    whole, *items = await place.store_outputs()
    assert (whole.edge, whole.items, whole.size, whole.content_type, whole.key, whole.file_name) == (
        "small", 3, 2 * len(PNG) + len(TEXT), "application/octet-stream", place.run.plan.edges["small"].key, "",
    )  # fmt: skip
    assert [(item.edge, item.file_name, item.content_type) for item in items] == [
        ("small.0", "a.txt", "text/plain"), ("small.1", "b.png", "image/png"), ("small.2", "\u00e4.png", "image/png"),
    ]  # fmt: skip
    assert [item.key.removeprefix(whole.key) for item in items] == [
        "/000000-a.txt", "/000001-b.png", "/000002-%C3%A4.png",
    ]  # fmt: skip
    assert [await place.store.read(item.key) for item in items] == [TEXT, PNG, PNG]
    assert {(item.node, item.attempt) for item in (whole, *items)} == {("resize", 1)}
    assert whole.sha256 == collection.whole(items, edge="", store="", key="", created_at=NOON).sha256


async def test_an_empty_directory_is_an_empty_collection(tmp_path: Path) -> None:
    place = await collected(tmp_path, {})
    (whole,) = await place.store_outputs()
    assert (whole.items, whole.size) == (0, 0)


async def test_a_directory_that_is_gone_is_an_output_that_is_missing(tmp_path: Path) -> None:
    place = await collected(tmp_path, {})
    place.inside("out/resized").rmdir()
    with pytest.raises(errors.OutputMissing):
        await place.store_outputs()
    optional = a_definition(inputs=[a_port("image")], outputs=[a_port("resized", many=True, required=False)])
    place = await collected(tmp_path / "other", {}, kind=optional)
    place.inside("out/resized").rmdir()
    assert await place.store_outputs() == ()


def a_directory(path: Path) -> None:
    path.mkdir()


def a_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_second_name(path: Path) -> None:
    path.write_bytes(b"")
    path.with_name("zz").hardlink_to(path)


def a_line_break(path: Path) -> None:
    path.with_name("a\nb").write_bytes(b"")


def no_utf8(path: Path) -> None:
    Path(os.fsdecode(os.fsencode(path) + b"\xff")).write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (a_directory, "folder__file"),
        (a_link, "not a regular file"),
        (a_pipe, "not a regular file"),
        (a_second_name, "hard link"),
        (a_line_break, "control character"),
        (no_utf8, "UTF-8"),
    ],
)
async def test_what_is_no_plain_file_is_refused_in_words(tmp_path: Path, make: Any, word: str) -> None:
    place = await collected(tmp_path)
    make(place.inside("out/resized/odd"))
    with pytest.raises(errors.OutputUnusable, match=word):
        await place.store_outputs()
    assert await keys_under(place) == []


async def test_a_link_in_the_place_of_the_directory_leads_nowhere(tmp_path: Path) -> None:
    place = await collected(tmp_path, {})
    place.inside("out/resized").rmdir()
    place.inside("out/resized").symlink_to(tmp_path)
    with pytest.raises(errors.OutputUnusable, match="not a directory"):
        await place.store_outputs()
    await place.staging.make_folder(REF, place.run.plan.nodes["resize"])
    assert place.inside("out/resized").is_symlink(), "nothing is made, or given away, through it"


async def test_there_is_an_end_to_how_many_items_are_taken(tmp_path: Path) -> None:
    place = await collected(tmp_path)
    place.staging._max_items = 2
    with pytest.raises(errors.OutputUnusable, match="more than 2 files"):
        await place.store_outputs()


async def test_each_item_is_held_to_the_types_of_the_port(tmp_path: Path) -> None:
    kind = a_definition(inputs=[a_port("image")], outputs=[a_port("resized", "image/*", many=True)])
    place = await collected(tmp_path, kind=kind)
    with pytest.raises(errors.WrongType, match=r"item a\.txt of output resized"):
        await place.store_outputs()


async def test_an_item_that_is_too_large_is_refused_by_name(tmp_path: Path) -> None:
    place = await collected(tmp_path)
    place.staging._collecting._max_artifact_bytes = len(TEXT)
    with pytest.raises(errors.OutputUnusable, match=r"b\.png in it has .* bytes"):
        await place.store_outputs()


async def test_another_attempt_stores_under_keys_of_its_own(tmp_path: Path) -> None:
    place = await collected(tmp_path, {"a": TEXT})
    second = replace(REF, number=2)
    folder = await place.staging.make_folder(second, place.run.plan.nodes["resize"])
    (folder.outputs / "resized" / "a").write_bytes(TEXT)
    _, item = await place.staging.store_outputs(
        place.run, place.run.plan.nodes["resize"], second, folder, stored={}, since=None
    )
    assert item.key == f"{place.run.plan.edges['small'].key}@2/000000-a"


async def test_what_a_store_took_before_it_fell_silent_is_not_stored_twice(tmp_path: Path) -> None:
    place = await collected(tmp_path, wrap=Faulty)
    faulty, kept = faulty_store(place), Kept()
    given = {"stored": kept.stored, "items": kept.items, "offered": kept.offered}

    async def takes(key: str, path: Path, *, content_type: str) -> None:
        await place.store.put_file(key, path, content_type=content_type)
        await asyncio.to_thread(path.unlink)
        raise errors.StoreUnavailable(store="default", reason="silent")

    faulty.before["put_file"] = takes
    with pytest.raises(errors.StoreUnavailable):
        await place.store_outputs(**given)
    del faulty.before["put_file"]
    whole, *items = await place.store_outputs(**given)
    assert [item.file_name for item in items] == ["a.txt", "b.png", "\u00e4.png"]
    assert [await place.store.read(item.key) for item in items] == [TEXT, PNG, PNG]
    assert (whole.items, len(kept.objects)) == (3, 4)


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
async def test_who_goes_on_after_a_crash_stores_the_same(tmp_path: Path, taken: int) -> None:
    place = await collected(tmp_path)
    expected = await (await collected(tmp_path / "undisturbed")).store_outputs()
    place.staging.look(place.run.plan.nodes["resize"], place.staging.folder(REF))
    for item in expected[1 : taken + 1]:  # taken by the store, and the process is gone
        path = place.inside(f"out/resized/{item.file_name}")
        await place.store.put_file(item.key, path, content_type=item.content_type)
        path.unlink()
    found = await place.store_outputs(since=place.clock.now())
    assert [facts_of(one) for one in found] == [facts_of(one) for one in expected]


def facts_of(one: Artifact) -> tuple[object, ...]:
    return (one.edge, one.key, one.size, one.sha256, one.content_type, one.file_name, one.items)


async def test_a_file_that_vanished_is_told_of(tmp_path: Path) -> None:
    place = await collected(tmp_path)
    place.staging.look(place.run.plan.nodes["resize"], place.staging.folder(REF))
    place.inside("out/resized/b.png").unlink()
    for since in (None, place.clock.now()):
        with pytest.raises(errors.OutputUnusable, match=r"b\.png in it is neither there"):
            await place.store_outputs(since=since)


async def test_the_list_is_whole_or_not_there(tmp_path: Path) -> None:
    place = await collected(tmp_path)
    folder = place.staging.folder(REF)
    (folder.path / "items.resized.part").write_bytes(b'["a.t')
    place.staging.look(place.run.plan.nodes["resize"], folder)
    assert json.loads((folder.path / "items.resized").read_bytes()) == ["a.txt", "b.png", "\u00e4.png"]
    assert sorted(path.name for path in folder.path.iterdir()) == ["in", "items.resized", "out"]


async def test_items_that_will_not_be_committed_are_withdrawn(tmp_path: Path) -> None:
    place = await collected(tmp_path)
    kept = Kept()
    await place.store_outputs(stored=kept.stored, items=kept.items, offered=kept.offered)
    own = place.run.plan.edges["small"].key
    await place.store.put_bytes(f"{own}/000009-unknown", TEXT, content_type="text/plain")  # nobody heard of it
    await place.store.put_bytes(f"{own}@2/000000-another", TEXT, content_type="text/plain")
    await place.staging.withdraw(place.run, kept.objects, ref=REF, offered=kept.offered)
    assert [found.key async for found in place.store.list(own)] == [f"{own}@2/000000-another"]


async def test_under_a_wells_own_key_only_what_is_known_to_be_ours_is_withdrawn(tmp_path: Path) -> None:
    place = await collected(tmp_path)
    edges = place.run.plan.edges
    edges["small"] = replace(edges["small"], key="gallery")  # type: ignore[index]
    kept = Kept()
    given = {"stored": kept.stored, "items": kept.items, "offered": kept.offered}
    assert await place.store_outputs(own_keys_only=True, **given) == ()
    await place.store.put_bytes("gallery/000007-theirs", TEXT, content_type="text/plain")
    await place.store_outputs(**given)
    await place.staging.withdraw(place.run, kept.objects, ref=REF, offered=kept.offered)
    assert [found.key async for found in place.store.list("gallery")] == ["gallery/000007-theirs"]


async def test_one_that_fails_lets_those_under_way_come_home(tmp_path: Path) -> None:
    place = await collected(tmp_path, {f"{number:03}": PNG for number in range(100)}, wrap=Faulty)
    faulty, kept = faulty_store(place), Kept()
    faulty.before["put_file"] = raises(errors.StoreUnavailable(store="default", reason="no"), times=1)
    with pytest.raises(errors.StoreUnavailable):
        await place.store_outputs(stored=kept.stored, items=kept.items, offered=kept.offered)
    assert len(await keys_under(place)) == len(kept.items["resized"]) < 100
    assert kept.stored == {}


async def keys_under(place: Place) -> list[str]:
    return [found.key async for found in place.store.list(f"{place.run.plan.edges['small'].key}/")]


async def test_few_are_on_their_way_at_a_time(tmp_path: Path) -> None:
    place = await collected(tmp_path, {f"{number:03}": PNG for number in range(200)}, wrap=Faulty)
    faulty, now, most = faulty_store(place), 0, 0

    async def comes(*_: Any, **__: Any) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)

    async def goes(*_: Any, **__: Any) -> None:
        nonlocal now
        now -= 1

    faulty.before["put_file"], faulty.after["put_file"] = comes, goes
    assert len(await place.store_outputs()) == 201
    assert 1 < most <= collecting.AT_ONCE


# ── In ───────────────────────────────────────────────────────────────────────────────────────────────────────────

TAKES = a_definition(inputs=[a_port("image", many=True)], outputs=[a_port("resized")])


async def laid_out(root: Path, names: list[str | None], **options: Any) -> Place:
    """A node takes a collection of text files with these names; None is an empty place."""
    place = await a_place(root, definition=TAKES, **options)
    made: list[Artifact | None] = []
    for number, name in enumerate(names):
        if name is None:
            made.append(None)
            continue
        put = await place.store.put_bytes(f"photo/{number:06}", name.encode(), content_type="text/plain")
        made.append(
            Artifact(
                edge=f"photo.{number}",
                store="default",
                key=put.key,
                size=put.size,
                content_type="text/plain",
                sha256=put.sha256 or "",
                etag=put.etag,
                created_at=NOON,
                file_name=name,
            )
        )
    whole = collection.whole(made, edge="photo", store="default", key="photo", created_at=NOON)
    there = {one.edge: one for one in (whole, *made) if one is not None}
    place.run = replace(place.run, artifacts=there)
    return place


class GivesMany:
    """A store that gives many objects at once, and remembers how many."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.given: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def fetch_files(self, wanted: Sequence[Wanted]) -> Sequence[str | None]:
        self.given.append(len(wanted))
        return [await self._real.fetch(one.key, one.path, if_etag=one.if_etag, size=one.size) for one in wanted]


STORES = pytest.mark.parametrize("wrap", [lambda store: store, GivesMany], ids=["one by one", "many at once"])


def files(place: Place) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(place.inside("in/image").iterdir())}


async def test_a_node_finds_the_items_under_their_names(tmp_path: Path) -> None:
    place = await laid_out(tmp_path, ["a.txt", "b c.txt", "\u00e4.txt"])
    assert await place.fetch() == {"image": "/pupload/in/image"}
    assert files(place) == {"a.txt": "a.txt", "b c.txt": "b c.txt", "\u00e4.txt": "\u00e4.txt"}


async def test_names_that_are_not_plain_or_tell_another_order_are_numbered(tmp_path: Path) -> None:
    place = await laid_out(tmp_path, ["b", None, "a", "../../x"])
    await place.fetch()
    assert files(place) == {"000000-b": "b", "000002-a": "a", "000003-..%2F..%2Fx": "../../x"}


async def test_an_empty_collection_is_an_empty_directory(tmp_path: Path) -> None:
    place = await laid_out(tmp_path, [])
    assert await place.fetch() == {"image": "/pupload/in/image"}
    assert files(place) == {}


async def test_what_is_no_collection_is_one_of_one(tmp_path: Path) -> None:
    place = await a_place(tmp_path, definition=TAKES)
    assert await place.fetch() == {"image": "/pupload/in/image"}
    assert [path.name for path in place.inside("in/image").iterdir()] == ["photo.png"]


@STORES
async def test_what_an_earlier_start_brought_is_kept_and_what_it_began_is_removed(tmp_path: Path, wrap: Any) -> None:
    place = await laid_out(tmp_path, ["a", "b"], wrap=wrap)
    await place.fetch()
    inside = place.inside("in/image")
    (inside / "b").unlink()
    (inside / "b").write_bytes(b"half")
    (inside / ".rest.part").write_bytes(b"")
    await place.store.delete("photo/000000")
    await place.fetch()
    assert files(place) == {"a": "a", "b": "b"}


async def test_a_store_that_gives_many_is_asked_for_many_at_once(tmp_path: Path) -> None:
    store: list[GivesMany] = []

    def wrap(real: Any) -> GivesMany:
        store.append(GivesMany(real))
        return store[0]

    count = laying.TOGETHER * 2 + 3
    place = await laid_out(tmp_path, [f"{number:04}" for number in range(count)], wrap=wrap)
    await place.fetch()
    assert files(place) == {f"{number:04}": f"{number:04}" for number in range(count)}
    assert sorted(store[0].given) == [3, laying.TOGETHER, laying.TOGETHER]


@STORES
@pytest.mark.parametrize("gone", [False, True])
async def test_an_item_must_be_what_was_recorded(tmp_path: Path, wrap: Any, gone: bool) -> None:
    place = await laid_out(tmp_path, ["a", "b"], wrap=wrap)
    if gone:
        await place.store.delete("photo/000001")
    else:
        await place.store.put_bytes("photo/000001", b"other", content_type="text/plain")
    with pytest.raises(errors.StoreIntegrity, match=r"photo\.1"):
        await place.fetch()
