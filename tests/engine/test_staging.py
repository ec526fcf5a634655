"""Bytes into an attempt's directory, and out of it."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.clock import VirtualClock
from pupload.adapters.memory.objects import Objects, ObjectStores
from pupload.domain.artifact import Artifact
from pupload.domain.decide import begin
from pupload.domain.nodedef import NodeDef
from pupload.domain.run import AttemptRef, Run
from pupload.engine import folders, objects, staging
from pupload.engine.staging import Staging
from tests.bench import PNG, TEXT, plain_contents
from tests.builders import NOON, RUN_ID, a_definition, a_flow, a_node, a_plan, a_port, a_store, a_well
from tests.engine.worlds import Faulty, OneStore

REF = AttemptRef(run=RUN_ID, node="resize", number=1)


@dataclass
class Place:
    """A run with its input stored, and a staging over the same store."""

    run: Run
    staging: Staging
    store: Objects
    clock: VirtualClock

    async def store_outputs(self, **options: Any) -> tuple[Artifact, ...]:
        folder = self.staging.folder(REF)
        given: dict[str, Any] = {"stored": {}, "since": None, **options}
        return await self.staging.store_outputs(self.run, self.run.plan.nodes["resize"], REF, folder, **given)

    async def fetch(self) -> dict[str, str]:
        folder = await self.staging.make_folder(REF)
        return await self.staging.fetch_inputs(self.run, self.run.plan.nodes["resize"], folder)

    def inside(self, path: str) -> Path:
        return self.staging.folder(REF).path / path.removeprefix("/pupload/")


async def a_place(
    root: Path, *, definition: Any = None, wrap: Callable[[Objects], Any] = lambda store: store, **node: Any
) -> Place:
    clock = VirtualClock()
    store = Objects(clock=clock)
    node = {"inputs": {"image": "photo"}, "outputs": {"resized": "small"}, **node}
    plan = a_plan(a_flow(a_node(**node)), [definition] if definition else None)
    put = await store.put_bytes("photo", PNG, content_type="image/png")
    photo = Artifact(
        edge="photo", store="default", key="photo", size=put.size, content_type="image/png",
        sha256=put.sha256 or "", etag=put.etag, created_at=NOON,
    )  # fmt: skip
    run = replace(begin(RUN_ID, plan, now=NOON).run, artifacts={"photo": photo})
    owner = (os.getuid(), os.getgid())
    made = Staging(stores=OneStore(wrap(store)), contents=plain_contents(root), clock=clock, root=root, owner=owner)
    return Place(run, made, store, clock)


# ── In ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_input_that_lies_there_for_other_facts_is_removed_and_nothing_else(tmp_path: Path) -> None:
    place = await a_place(tmp_path)
    (path,) = (await place.fetch()).values()
    inputs = place.inside(path).parent
    (inputs / "image.txt").write_text("of an end that did not come")
    (inputs / ".gate").write_text("not ours")
    assert list((await place.fetch()).values()) == [path]
    assert sorted(found.name for found in inputs.iterdir()) == [".gate", place.inside(path).name]


async def test_inputs_lie_where_the_container_is_told(tmp_path: Path) -> None:
    place = await a_place(
        tmp_path, definition=a_definition(inputs=[a_port("image", "image/*")], outputs=[a_port("resized")])
    )
    paths = await place.fetch()
    assert paths == {"image": "/pupload/in/image.png"}
    assert place.inside(paths["image"]).read_bytes() == PNG


async def test_an_input_that_nobody_gave_has_no_path(tmp_path: Path) -> None:
    place = await a_place(tmp_path, inputs={"image": "photo", "mask": "shape"})
    assert await place.fetch() == {"image": "/pupload/in/image.png"}


async def test_what_was_fetched_before_is_not_fetched_again(tmp_path: Path) -> None:
    place = await a_place(tmp_path)
    await place.fetch()
    await place.store.delete("photo")
    assert await place.fetch() == {"image": "/pupload/in/image.png"}


@pytest.mark.parametrize("how", ["gone", "changed", "damaged"])
async def test_an_input_must_be_what_was_recorded(tmp_path: Path, how: str) -> None:
    place = await a_place(tmp_path)
    if how == "gone":
        await place.store.delete("photo")
    elif how == "changed":
        await place.store.put_bytes("photo", TEXT, content_type="image/png")
    else:
        photo = replace(place.run.artifacts["photo"], sha256="0" * 64)
        place.run = replace(place.run, artifacts={"photo": photo})
    with pytest.raises(errors.StoreIntegrity, match="photo"):
        await place.fetch()
    assert list(place.staging.folder(REF).inputs.iterdir()) == []


async def test_a_store_of_the_flow_is_used_by_its_name(tmp_path: Path) -> None:
    clock = VirtualClock()
    stores = ObjectStores(clock=clock)
    plan = a_plan(
        a_flow(
            a_node(inputs={"image": "photo"}),
            stores=[a_store("bucket")],
            wells=[a_well("photo", source="upload", store="bucket")],
        )
    )
    run = begin(RUN_ID, plan, now=NOON).run
    made = Staging(stores=stores, contents=plain_contents(tmp_path), clock=clock, root=tmp_path, owner=(0, 0))
    assert made.store(run, "bucket").name == "bucket"
    assert made.store(run, "default") is stores.default()


# ── Out ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_output_is_told_hashed_and_stored(tmp_path: Path) -> None:
    place = await a_place(tmp_path)
    await place.staging.make_folder(REF)
    place.inside("out/resized").write_bytes(PNG)
    (made,) = await place.store_outputs()
    assert (made.edge, made.size, made.content_type, made.node, made.attempt) == (
        "small", len(PNG), "image/png", "resize", 1,
    )  # fmt: skip
    assert made.sha256 == place.run.artifacts["photo"].sha256
    assert await place.store.read(made.key) == PNG


async def test_a_store_that_does_not_hash_has_its_object_read_through(tmp_path: Path) -> None:
    class Plain:
        def __init__(self, real: Objects) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        async def put_file(self, key: str, path: Path, *, content_type: str) -> Any:
            return replace(await self._real.put_file(key, path, content_type=content_type), sha256=None)

    place = await a_place(tmp_path, wrap=Plain)
    await place.staging.make_folder(REF)
    place.inside("out/resized").write_bytes(PNG)
    (made,) = await place.store_outputs()
    assert made.sha256 == place.run.artifacts["photo"].sha256


async def test_a_missing_output_is_named_with_its_path(tmp_path: Path) -> None:
    place = await a_place(tmp_path)
    await place.staging.make_folder(REF)
    with pytest.raises(errors.OutputMissing, match="output resized to /pupload/out/resized"):
        await place.store_outputs()


async def test_an_optional_output_may_be_missing(tmp_path: Path) -> None:
    definition = a_definition(inputs=[a_port("image")], outputs=[a_port("resized", required=False)])
    place = await a_place(tmp_path, definition=definition)
    await place.staging.make_folder(REF)
    assert await place.store_outputs() == ()


async def test_what_was_stored_before_a_restart_is_found_but_not_what_is_older(tmp_path: Path) -> None:
    place = await a_place(tmp_path)
    await place.staging.make_folder(REF)
    key = place.run.plan.edges["small"].key
    await place.store.put_bytes(key, PNG, content_type="image/png")
    began = place.clock.now()
    (made,) = await place.store_outputs(since=began)
    assert (made.content_type, made.size) == ("image/png", len(PNG))
    with pytest.raises(errors.OutputMissing):
        await place.store_outputs(since=began + 2 * objects.CLOCK_LEEWAY)
    with pytest.raises(errors.OutputMissing):
        await place.store_outputs()
    await place.store.delete(key)
    with pytest.raises(errors.OutputMissing):
        await place.store_outputs(since=began)


async def test_what_waiting_cannot_mend_is_told_before_what_it_can(tmp_path: Path) -> None:
    away = errors.StoreUnavailable(store="s", endpoint="e", reason="r")
    faulty: list[Faulty] = []

    def wrap(store: Objects) -> Faulty:
        faulty.append(Faulty(store))
        return faulty[0]

    place = await a_place(tmp_path, wrap=wrap, outputs={"a": "ea", "b": "eb"})
    await place.staging.make_folder(REF)

    async def fail(*_: object, **__: object) -> None:
        raise away

    faulty[0].before["put_file"] = fail
    place.inside("out/a").write_bytes(PNG)
    with pytest.raises(errors.OutputMissing):
        await place.store_outputs()
    place.inside("out/b").write_bytes(PNG)
    with pytest.raises(errors.StoreUnavailable):
        await place.store_outputs()


async def test_withdrawing_goes_as_far_as_the_store_lets_us(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    faulty: list[Faulty] = []

    def wrap(store: Objects) -> Faulty:
        faulty.append(Faulty(store))
        return faulty[0]

    place = await a_place(tmp_path, wrap=wrap)
    await place.staging.withdraw(place.run, [place.run.artifacts["photo"]])
    assert [found async for found in place.store.list()] == []

    async def fail(key: str) -> None:
        raise errors.ObjectForbidden(key=key, store="default", reason="no")

    faulty[0].before["delete"] = fail
    await place.staging.withdraw(place.run, [place.run.artifacts["photo"]])
    assert "could not be removed" in caplog.text


async def test_an_output_whose_folder_is_a_file_is_refused(tmp_path: Path) -> None:
    place = await a_place(tmp_path)
    folder = await place.staging.make_folder(REF)
    folder.outputs.rmdir()
    folder.outputs.write_bytes(b"")
    with pytest.raises(errors.OutputUnusable, match="Not a directory"):
        await place.store_outputs()


# ── Directories ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_directory_is_made_once_and_gone_when_it_is_removed(tmp_path: Path) -> None:
    place = await a_place(tmp_path / "deep" / "attempts")
    folder = await place.staging.make_folder(REF)
    assert await place.staging.make_folder(REF) == folder
    assert (folder.inputs.stat().st_mode & 0o777) == 0o755
    await place.staging.remove_folder(REF)
    await place.staging.remove_folder(REF)
    assert not folder.path.exists()


async def test_only_its_owner_writes_to_the_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((uid, gid)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    place = await a_place(tmp_path)
    folder = await place.staging.make_folder(REF, owner=(1000, 50))
    assert given == [(1000, 50)]
    assert (folder.outputs.stat().st_mode & 0o777) == 0o755
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    other = await place.staging.make_folder(replace(REF, number=2))
    assert given == [(1000, 50)], "without root nothing can be given away"
    assert (other.outputs.stat().st_mode & 0o777) == 0o777


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, errors.DiskFull), (errno.EDQUOT, errors.DiskFull), (errno.EACCES, OSError)]
)
async def test_a_full_disk_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    place = await a_place(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(folders, "make", fail)
    with pytest.raises(kind):
        await place.staging.make_folder(REF)


async def test_sweeping_takes_what_nobody_wants(tmp_path: Path) -> None:
    place = await a_place(tmp_path / "attempts")
    await place.staging.sweep(lambda name: False)
    for number in (1, 2):
        await place.staging.make_folder(replace(REF, number=number))
    await place.staging.sweep(lambda name: name == REF.id)
    assert [path.name for path in (tmp_path / "attempts").iterdir()] == [REF.id]


# ── Nodes that move their bytes themselves ───────────────────────────────────────────────────────────────────────


def by_url(**fields: Any) -> NodeDef:
    usual: dict[str, Any] = {"inputs": [a_port("image")], "outputs": [a_port("resized")], "transfer": "urls"}
    return a_definition(**{**usual, **fields})


async def test_a_node_has_urls_only_where_its_definition_asks_for_them(tmp_path: Path) -> None:
    place = await a_place(tmp_path)
    assert place.staging.urls(place.run, place.run.plan.nodes["resize"], REF) == {}


async def test_what_a_node_put_to_its_url_is_sealed_as_its_output(tmp_path: Path) -> None:
    place = await a_place(tmp_path, definition=by_url())
    urls = place.staging.urls(place.run, place.run.plan.nodes["resize"], REF)
    assert set(urls) == {"INPUT_IMAGE_URL", "OUTPUT_RESIZED_URL"}
    assert await place.store.use("GET", urls["INPUT_IMAGE_URL"]) == PNG
    await place.store.use("PUT", urls["OUTPUT_RESIZED_URL"], PNG)
    await place.staging.make_folder(REF)
    (made,) = await place.store_outputs()
    await place.store.use("PUT", urls["OUTPUT_RESIZED_URL"], TEXT)
    assert (made.key, made.content_type) == (place.run.plan.edges["small"].key, "image/png")
    assert await place.store.read(made.key) == PNG, "what is put later changes nothing"


async def test_a_node_with_urls_may_write_files_all_the_same(tmp_path: Path) -> None:
    place = await a_place(tmp_path, definition=by_url())
    await place.staging.make_folder(REF)
    place.inside("out/resized").write_bytes(TEXT)
    (made,) = await place.store_outputs()
    assert await place.store.read(made.key) == TEXT


async def test_what_was_put_to_a_url_must_be_there_and_of_the_right_type(tmp_path: Path) -> None:
    place = await a_place(tmp_path, definition=by_url(outputs=[a_port("resized", "image/png")]))
    await place.staging.make_folder(REF)
    with pytest.raises(errors.OutputMissing):
        await place.store_outputs()
    urls = place.staging.urls(place.run, place.run.plan.nodes["resize"], REF)
    for wrong in (TEXT, b""):
        await place.store.use("PUT", urls["OUTPUT_RESIZED_URL"], wrong)
        with pytest.raises(errors.WrongType, match="output resized"):
            await place.store_outputs()


async def test_the_urls_of_one_attempt_are_no_others(tmp_path: Path) -> None:
    place = await a_place(tmp_path, definition=by_url())
    urls = place.staging.urls(place.run, place.run.plan.nodes["resize"], replace(REF, number=2))
    await place.store.use("PUT", urls["OUTPUT_RESIZED_URL"], PNG)
    await place.staging.make_folder(REF)
    with pytest.raises(errors.OutputMissing):
        await place.store_outputs()


async def test_urls_last_as_long_as_the_attempt_may(tmp_path: Path) -> None:
    place = await a_place(tmp_path, definition=by_url(timeout="2h"))
    urls = place.staging.urls(place.run, place.run.plan.nodes["resize"], REF)
    await place.clock.run_for(2 * 3600)
    await place.store.use("PUT", urls["OUTPUT_RESIZED_URL"], PNG)
    await place.clock.run_for(staging.URL_SPARE_SECONDS + 1)
    with pytest.raises(errors.ObjectForbidden, match="expired"):
        await place.store.use("PUT", urls["OUTPUT_RESIZED_URL"], TEXT)


async def test_an_input_that_nobody_gave_has_no_url(tmp_path: Path) -> None:
    definition = by_url(inputs=[a_port("image"), a_port("mask", required=False)])
    place = await a_place(tmp_path, definition=definition, inputs={"image": "photo", "mask": "shape"})
    urls = place.staging.urls(place.run, place.run.plan.nodes["resize"], REF)
    assert set(urls) == {"INPUT_IMAGE_URL", "OUTPUT_RESIZED_URL"}
