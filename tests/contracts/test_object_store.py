"""What every object store promises: `ports.ObjectStore`, claim by claim."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pupload import errors, ports
from tests.contracts import object_stores

_IN_A_STORE = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

# Any UTF-8 up to 1 024 bytes is a key: dots, slashes, control characters, what looks like a path or a query.
any_key = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60),
    st.lists(st.sampled_from(["..", ".", "", "a", "ü", "%2F", "a+b", "a b", "?x", "#", "&", "\n", "💾"]), min_size=2)
    .map("/".join)
    .filter(bool),
    st.integers(1, 1024).map(lambda length: "k" * length),
).filter(lambda key: len(key.encode()) <= 1024)
any_body = st.one_of(st.binary(max_size=300), st.integers(0, 300_000).map(lambda size: os.urandom(size)))


@pytest.fixture(scope="module", params=object_stores.SUBJECTS)
def make_subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], object_stores.Subject]]:
    with object_stores.SUBJECTS[request.param](tmp_path_factory.mktemp(request.param)) as make:
        yield make


@pytest.fixture
async def subject(make_subject: Callable[[], object_stores.Subject]) -> AsyncIterator[object_stores.Subject]:
    async with object_stores.ready(make_subject) as subject:
        yield subject


@pytest.fixture
def store(subject: object_stores.Subject) -> ports.ObjectStore:
    return subject.store


async def put(store: ports.ObjectStore, key: str, data: bytes = b"data") -> ports.ObjectStat:
    return await store.put_bytes(key, data, content_type="text/plain")


# ── Objects ──────────────────────────────────────────────────────────────────────────────────────────────────────


@_IN_A_STORE
@given(key=any_key, body=any_body)
async def test_what_is_put_is_got_under_any_key(store: ports.ObjectStore, key: str, body: bytes) -> None:
    put = await store.put_bytes(key, body, content_type="image/png")
    found = await store.stat(key)
    assert await store.read(key) == body
    assert (found.key, found.size, found.content_type) == (key, len(body), "image/png")
    assert found.etag == put.etag
    assert put.sha256 == sha256(body).hexdigest()
    assert found.sha256 in (None, put.sha256)
    await store.delete(key)


@_IN_A_STORE
@given(body=st.binary(max_size=200), start=st.integers(0, 250), length=st.none() | st.integers(0, 250))
async def test_a_range_is_the_slice_of_it(
    store: ports.ObjectStore, body: bytes, start: int, length: int | None
) -> None:
    await put(store, "k", body)
    end = None if length is None else start + length
    assert await store.read("k", start=start, length=length) == body[start:end]


@_IN_A_STORE
@given(keys=st.sets(any_key, max_size=8), prefix=st.sampled_from(["", "a", "../", "ü", "k", "%"]))
async def test_a_list_has_every_key_with_the_prefix_in_the_order_of_bytes(
    store: ports.ObjectStore, keys: set[str], prefix: str
) -> None:
    for key in keys:
        await put(store, key, key.encode())
    found = [stat async for stat in store.list(prefix)]
    assert [one.key for one in found] == sorted((key for key in keys if key.startswith(prefix)), key=str.encode)
    assert all(one.size == len(one.key.encode()) for one in found)
    for key in keys:
        await store.delete(key)


async def test_a_list_goes_on_after_a_page(store: ports.ObjectStore) -> None:
    keys = [f"page/{number:04}" for number in range(1005)]
    for batch in range(0, len(keys), 50):
        await asyncio.gather(*(put(store, key, b"") for key in keys[batch : batch + 50]))
    assert [stat.key async for stat in store.list("page/")] == keys


async def test_times_are_in_utc_and_now(store: ports.ObjectStore) -> None:
    await put(store, "k")
    modified_at = (await store.stat("k")).modified_at
    assert modified_at.utcoffset() == timedelta(0)
    assert abs(modified_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_second_put_takes_the_place_of_the_first(store: ports.ObjectStore) -> None:
    first = await put(store, "k", b"one")
    second = await put(store, "k", b"two")
    assert first.etag != second.etag
    assert await store.read("k") == b"two"


async def test_absent_is_absent_whatever_is_asked(store: ports.ObjectStore, tmp_path: Path) -> None:
    for ask in (
        lambda: store.stat("never"),
        lambda: store.read("never"),
        lambda: store.read("never", length=0),
        lambda: store.fetch("never", tmp_path / "never"),
        lambda: everything(store.stream("never")),
        lambda: store.copy("never", "other", if_etag="0" * 32),
        lambda: store.parts("never", "none"),
        lambda: store.complete_multipart("never", "none", [ports.Part(number=1, size=1, etag="0" * 32)]),
    ):
        with pytest.raises(errors.ObjectAbsent) as absent:
            await cast(Any, ask)()
        assert absent.value.key == "never"
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("key", ["", "k" * 1025, "ü" * 513, "\ud800"])
async def test_what_is_no_key_is_refused_and_nothing_befalls_the_bucket(
    store: ports.ObjectStore, key: str, tmp_path: Path
) -> None:
    etag = (await put(store, "k")).etag
    (tmp_path / "in").write_bytes(b"x")
    for ask in (
        lambda: store.stat(key),
        lambda: store.read(key),
        lambda: everything(store.stream(key)),
        lambda: store.fetch(key, tmp_path / "out"),
        lambda: put(store, key),
        lambda: store.put_file(key, tmp_path / "in", content_type="a/b"),
        lambda: store.copy("k", key, if_etag=etag),
        lambda: store.copy(key, "copy", if_etag=etag),
        lambda: store.delete(key),
        lambda: store.begin_multipart(key),
    ):
        with pytest.raises(errors.StoreRefused):
            await cast(Any, ask)()
    with pytest.raises(errors.StoreRefused):
        store.presign_put(key, expires_seconds=60)
    with pytest.raises(errors.StoreRefused):
        store.presign_get(key, expires_seconds=60)
    assert [stat.key async for stat in store.list()] == ["k"]


async def test_deleting_twice_is_as_good_as_once(store: ports.ObjectStore) -> None:
    await put(store, "k")
    await store.delete("k")
    await store.delete("k")
    with pytest.raises(errors.ObjectAbsent):
        await store.stat("k")


async def test_a_stranger_is_forbidden_and_never_told_absent(subject: object_stores.Subject, tmp_path: Path) -> None:
    if subject.stranger is None:
        pytest.skip("nobody is a stranger here")
    await put(subject.store, "k")
    stranger = subject.stranger()
    for ask in (
        lambda key: stranger.stat(key),
        lambda key: stranger.read(key),
        lambda key: everything(stranger.stream(key)),
        lambda key: put(stranger, key),
        lambda key: stranger.delete(key),
        lambda key: everything(stranger.list(key)),
    ):
        for key in ("k", "never"):
            with pytest.raises(errors.ObjectForbidden):
                await cast(Any, ask)(key)
    await stranger.close()
    assert await subject.store.read("k") == b"data"


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def everything(pieces: AsyncIterator[Any]) -> list[Any]:
    return [piece async for piece in pieces]


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────

sizes = pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])


@sizes
async def test_a_file_goes_in_and_comes_out(store: ports.ObjectStore, tmp_path: Path, size: int) -> None:
    body = os.urandom(size)
    (tmp_path / "in").write_bytes(body)
    put = await store.put_file("k", tmp_path / "in", content_type="image/png")
    assert (put.size, put.content_type, put.sha256) == (size, "image/png", sha256(body).hexdigest())
    found = await store.stat("k")
    assert (found.etag, found.size, found.content_type) == (put.etag, size, "image/png")
    told = await store.fetch("k", tmp_path / "out", if_etag=put.etag)
    assert (tmp_path / "out").read_bytes() == body
    assert told in (None, put.sha256)


@sizes
async def test_a_stream_gives_all_bytes(store: ports.ObjectStore, size: int) -> None:
    body = os.urandom(size)
    etag = (await put(store, "k", body)).etag
    assert b"".join(await everything(store.stream("k", if_etag=etag))) == body


async def test_a_stream_may_be_left_in_the_middle(store: ports.ObjectStore) -> None:
    body = os.urandom(4_000_000)
    await put(store, "k", body)
    async with aclosing(cast(Any, store.stream("k"))) as pieces:
        assert body.startswith(await anext(pieces))
    assert await store.read("k", start=3_999_990) == body[-10:]


async def test_a_fetched_file_is_for_everybody_to_read_and_nobody_to_write(
    store: ports.ObjectStore, tmp_path: Path
) -> None:
    await put(store, "k")
    await store.fetch("k", tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o444
    assert names_in(tmp_path) == ["out"]


async def test_a_fetched_file_takes_the_place_of_one_left_there(store: ports.ObjectStore, tmp_path: Path) -> None:
    await put(store, "k")
    (tmp_path / "out").write_bytes(b"left by an earlier attempt")
    await store.fetch("k", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"data"


async def test_a_file_with_two_names_goes_in_and_stays_as_it_is(store: ports.ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 50_000)
    (tmp_path / "other").hardlink_to(tmp_path / "in")
    put = await store.put_file("k", tmp_path / "in", content_type="a/b")
    (tmp_path / "other").write_bytes(b"changed")
    assert put.sha256 == sha256(await store.read("k")).hexdigest() == sha256(b"x" * 50_000).hexdigest()


async def test_a_fetched_file_outlives_its_object(store: ports.ObjectStore, tmp_path: Path) -> None:
    await put(store, "k", b"x" * 100_000)
    await store.fetch("k", tmp_path / "out")
    await put(store, "k", b"y" * 100_000)
    await store.delete("k")
    assert (tmp_path / "out").read_bytes() == b"x" * 100_000


async def test_only_the_expected_object_is_given(store: ports.ObjectStore, tmp_path: Path) -> None:
    old = (await put(store, "k", b"old")).etag
    await put(store, "k", b"new")
    with pytest.raises(errors.PreconditionFailed):
        await store.fetch("k", tmp_path / "out", if_etag=old)
    with pytest.raises(errors.PreconditionFailed):
        await everything(store.stream("k", if_etag=old))
    assert names_in(tmp_path) == []


# ── Copies ───────────────────────────────────────────────────────────────────────────────────────────────────────


@_IN_A_STORE
@given(source=any_key, target=any_key)
async def test_a_copy_is_the_source_as_it_was(store: ports.ObjectStore, source: str, target: str) -> None:
    etag = (await put(store, source, b"sealed")).etag
    if source != target:
        copied = await store.copy(source, target, if_etag=etag)
        assert (copied.key, copied.size, copied.content_type) == (target, 6, "text/plain")
        await put(store, source, b"changed later")
        assert await store.read(target) == b"sealed"
    await store.delete(source)
    await store.delete(target)


async def test_a_copy_takes_another_type_where_one_is_given(store: ports.ObjectStore) -> None:
    etag = (await put(store, "k")).etag
    assert (await store.copy("k", "copy", if_etag=etag, content_type="image/webp")).content_type == "image/webp"
    assert (await store.stat("copy")).content_type == "image/webp"
    assert (await store.stat("k")).content_type == "text/plain"


async def test_a_changed_source_is_not_copied(store: ports.ObjectStore) -> None:
    old = (await put(store, "k", b"old")).etag
    await put(store, "k", b"new")
    with pytest.raises(errors.PreconditionFailed):
        await store.copy("k", "copy", if_etag=old)
    with pytest.raises(errors.ObjectAbsent):
        await store.stat("copy")


# ── URLs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@_IN_A_STORE
@given(key=any_key.filter(lambda key: not {".", ".."} & set(key.split("/"))), body=st.binary(max_size=100))
async def test_a_url_puts_and_a_url_gets(subject: object_stores.Subject, key: str, body: bytes) -> None:
    """Dots are left out: a client may take them for directions before it sends anything."""
    store = subject.store
    used = await subject.use("PUT", store.presign_put(key, expires_seconds=60), body, content_type="image/gif")
    assert used.allowed
    found = await store.stat(key)
    assert (found.size, found.content_type, found.etag) == (len(body), "image/gif", used.etag)
    assert (await subject.use("GET", store.presign_get(key, expires_seconds=60))).body == body
    await store.delete(key)


async def test_a_url_is_for_one_method(subject: object_stores.Subject) -> None:
    await put(subject.store, "k")
    assert not (await subject.use("GET", subject.store.presign_put("k", expires_seconds=60))).allowed
    assert not (await subject.use("PUT", subject.store.presign_get("k", expires_seconds=60), b"x")).allowed
    assert await subject.store.read("k") == b"data"


async def test_a_url_with_a_type_or_a_size_takes_no_other(subject: object_stores.Subject) -> None:
    url = subject.store.presign_put("k", expires_seconds=60, content_type="image/png", size=4)
    assert not (await subject.use("PUT", url, b"1234", content_type="text/html")).allowed
    assert not (await subject.use("PUT", url, b"12345", content_type="image/png")).allowed
    with pytest.raises(errors.ObjectAbsent):
        await subject.store.stat("k")
    assert (await subject.use("PUT", url, b"1234", content_type="image/png")).allowed


async def test_a_url_to_get_names_file_and_type(subject: object_stores.Subject) -> None:
    await put(subject.store, "k", b"picture")
    url = subject.store.presign_get("k", expires_seconds=60, filename='grü"ße;.png', content_type="image/png")
    used = await subject.use("GET", url)
    assert used.body == b"picture"
    if used.headers is not None:
        assert used.headers["Content-Type"] == "image/png"
        expected = "attachment; filename=\"gr__ e_.png\"; filename*=UTF-8''gr%C3%BC%22%C3%9Fe%3B.png"
        assert used.headers["Content-Disposition"] == expected.replace("__ e_", "___e_")


async def test_every_audience_gets_a_url_that_works(subject: object_stores.Subject) -> None:
    await put(subject.store, "k")
    audiences: tuple[ports.Audience, ...] = ("user", "server", "node")
    for audience in audiences:
        url = subject.store.presign_get("k", expires_seconds=60, audience=audience)
        assert (await subject.use("GET", url)).body == b"data"


# ── Multipart uploads ────────────────────────────────────────────────────────────────────────────────────────────


async def upload_parts(subject: object_stores.Subject, key: str, upload_id: str, *bodies: bytes) -> None:
    for number, body in enumerate(bodies, 1):
        url = subject.store.presign_part(key, upload_id, number, expires_seconds=60)
        assert (await subject.use("PUT", url, body)).allowed


async def test_parts_become_the_object(subject: object_stores.Subject) -> None:
    store = subject.store
    first, last = os.urandom(subject.smallest_part), b"the end"
    upload_id = await store.begin_multipart("a b/ü", content_type="video/mp4")
    await upload_parts(subject, "a b/ü", upload_id, first, last)
    with pytest.raises(errors.ObjectAbsent):
        await store.stat("a b/ü")
    parts = await store.parts("a b/ü", upload_id)
    assert [(part.number, part.size) for part in parts] == [(1, len(first)), (2, len(last))]
    stat = await store.complete_multipart("a b/ü", upload_id, parts)
    assert (stat.size, stat.content_type) == (len(first) + len(last), "video/mp4")
    assert await store.read("a b/ü") == first + last
    assert stat.sha256 in (None, sha256(first + last).hexdigest())
    with pytest.raises(errors.ObjectAbsent):
        await store.parts("a b/ü", upload_id)
    assert await everything(store.multiparts()) == []


async def test_a_part_sent_again_takes_the_place_of_the_first(subject: object_stores.Subject) -> None:
    """F31: the last one counts, once."""
    upload_id = await subject.store.begin_multipart("k")
    await upload_parts(subject, "k", upload_id, b"wrong")
    await upload_parts(subject, "k", upload_id, b"right!")
    parts = await subject.store.parts("k", upload_id)
    assert [part.size for part in parts] == [6]
    await subject.store.complete_multipart("k", upload_id, parts)
    assert await subject.store.read("k") == b"right!"


async def test_parts_that_were_not_put_are_refused(subject: object_stores.Subject) -> None:
    upload_id = await subject.store.begin_multipart("k")
    await upload_parts(subject, "k", upload_id, b"one")
    for wrong in (ports.Part(number=1, size=3, etag="0" * 32), ports.Part(number=2, size=3, etag="0" * 32)):
        with pytest.raises(errors.StoreRefused):
            await subject.store.complete_multipart("k", upload_id, [wrong])
    with pytest.raises(errors.ObjectAbsent):
        await subject.store.stat("k")
    await subject.store.abort_multipart("k", upload_id)


async def test_unfinished_uploads_are_listed_and_can_be_aborted(subject: object_stores.Subject) -> None:
    store = subject.store
    ids = {key: await store.begin_multipart(key) for key in ("in/a", "in/b ü", "out")}
    await upload_parts(subject, "in/a", ids["in/a"], b"some")
    found = [upload async for upload in store.multiparts("in/")]
    assert {upload.key: upload.upload_id for upload in found} == {key: ids[key] for key in ("in/a", "in/b ü")}
    assert all(abs(upload.started_at - datetime.now(UTC)) < timedelta(minutes=1) for upload in found)
    for key, upload_id in ids.items():
        await store.abort_multipart(key, upload_id)
        await store.abort_multipart(key, upload_id)
    assert await everything(store.multiparts()) == []
    with pytest.raises(errors.ObjectAbsent):
        await store.stat("in/a")


# ── Arrivals ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_object_put_by_anybody_is_told(subject: object_stores.Subject, tmp_path: Path) -> None:
    store = subject.store
    if not store.notifies:
        pytest.skip("this store does not notify")
    async with aclosing(cast(Any, store.arrivals())) as arrivals:
        assert await anext(arrivals) == ""  # now it listens
        await put(store, "by bytes")
        await subject.use("PUT", store.presign_put("by/url ü", expires_seconds=60), b"x")
        (tmp_path / "file").write_bytes(b"file")
        await store.put_file("by file", tmp_path / "file", content_type="a/b")
        upload_id = await store.begin_multipart("by parts")
        await upload_parts(subject, "by parts", upload_id, b"x")
        await store.complete_multipart("by parts", upload_id, await store.parts("by parts", upload_id))
        told = [await anext(arrivals) for _ in range(4)]
        assert told == ["by bytes", "by/url ü", "by file", "by parts"]


async def test_two_listeners_are_both_told(store: ports.ObjectStore) -> None:
    if not store.notifies:
        pytest.skip("this store does not notify")
    async with aclosing(cast(Any, store.arrivals())) as one, aclosing(cast(Any, store.arrivals())) as other:
        assert (await anext(one), await anext(other)) == ("", "")
        await put(store, "k")
        assert (await anext(one), await anext(other)) == ("k", "k")


# ── Being ready ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_making_ready_twice_keeps_what_is_there(store: ports.ObjectStore) -> None:
    await put(store, "k")
    await store.ensure_ready()
    assert await store.read("k") == b"data"


async def test_a_probe_finds_what_is_lacking_and_leaves_nothing_behind(subject: object_stores.Subject) -> None:
    store = subject.store
    lines = await store.probe()
    assert tuple(line.what for line in lines if not line.ok) == subject.lacks
    assert lines
    assert await everything(store.list()) == []
    assert await everything(store.multiparts()) == []
