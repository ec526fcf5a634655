"""Large objects of distant stores: in several ranges at a time, and in parts."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import web

from pupload import errors
from pupload.adapters.s3 import client, ranges
from tests.adapters.s3 import faulty
from tests.adapters.s3.faulty import breaks_off, error, in_turn, says

KIB = 1024
RANGE = 64 * KIB
BODY = os.urandom(10 * RANGE + 17)
DIGEST = sha256(BODY).hexdigest()
AT_ONCE = 3


class Ranges:
    """A store that gives ranges, the later ones sooner, and counts how many it gives at a time."""

    def __init__(self, *, etag: str = "e") -> None:
        self.etag = etag
        self.asked: list[tuple[int, int]] = []
        self.now = self.most = 0
        self.spoils: dict[int, faulty.Answer] = {}
        """Once each, by where the range begins."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"])
        assert found is not None
        start, end = int(found[1]), int(found[2])
        self.asked.append((start, end))
        if (spoilt := self.spoils.pop(start, None)) is not None:
            return await spoilt(request)
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(20 if len(self.asked) % AT_ONCE else 1):
            await asyncio.sleep(0)
        self.now -= 1
        return web.Response(status=206, body=BODY[start : end + 1], headers={"ETag": f'"{self.etag}"'})


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of some kilobytes, so that the test moves little."""
    monkeypatch.setattr(ranges.pieces, "__kwdefaults__", {"range_bytes": RANGE})


@asynccontextmanager
async def scene(*answers: faulty.Answer) -> AsyncIterator[faulty.Scene]:
    async with faulty.scene(*answers) as at:
        at.store._parallel, at.store._parallel_bytes = AT_ONCE, RANGE
        yield at


async def test_a_large_object_comes_in_several_ranges_at_a_time(tmp_path: Path) -> None:
    given = Ranges()
    async with scene(given.answer) as at:
        assert await at.store.fetch("k", tmp_path / "out", if_etag="e", size=len(BODY)) == DIGEST
        assert (tmp_path / "out").read_bytes() == BODY
        assert sorted(given.asked) == [
            (start, min(start + RANGE, len(BODY)) - 1) for start in range(0, len(BODY), RANGE)
        ], "every byte once"
        assert 1 < given.most <= AT_ONCE
        assert {asked.headers["If-Match"] for asked in at.server.asked} == {'"e"'}


@pytest.mark.parametrize("known", [{}, {"if_etag": "e"}, {"size": len(BODY)}, {"if_etag": "e", "size": RANGE}])
async def test_what_is_small_or_unknown_comes_in_one_go(tmp_path: Path, known: dict[str, object]) -> None:
    async with scene(says(200, BODY, ETag='"e"')) as at:
        await at.store.fetch("k", tmp_path / "out", **known)  # type: ignore[arg-type]
        (asked,) = at.server.asked
        assert "Range" not in asked.headers


async def test_a_range_that_breaks_off_is_asked_for_again_alone(tmp_path: Path) -> None:
    given = Ranges()
    given.spoils = {3 * RANGE: breaks_off(BODY[:RANGE], 100, status=206), 5 * RANGE: error(503, "SlowDown")}
    async with scene(given.answer) as at:
        assert await at.store.fetch("k", tmp_path / "out", if_etag="e", size=len(BODY)) == DIGEST
        twice = [start for start, _ in given.asked if [one for one, _ in given.asked].count(start) == 2]
        assert set(twice) == {3 * RANGE, 5 * RANGE}


@pytest.mark.parametrize(
    "spoilt",
    [
        error(412, "PreconditionFailed"),
        says(206, BODY[:RANGE], ETag='"other"'),
        says(206, b"too short", ETag='"e"'),
        says(200, BODY, ETag='"e"'),
    ],
)
async def test_ranges_are_never_of_two_objects(tmp_path: Path, spoilt: faulty.Answer) -> None:
    given = Ranges()
    given.spoils = {4 * RANGE: spoilt}
    async with scene(given.answer) as at:
        with pytest.raises(errors.PreconditionFailed):
            await at.store.fetch("k", tmp_path / "out", if_etag="e", size=len(BODY))
        assert names_in(tmp_path) == []


async def test_a_store_that_gives_no_ranges_gives_the_whole(tmp_path: Path) -> None:
    async with scene(says(200, BODY, ETag='"e"')) as at:
        assert await at.store.fetch("k", tmp_path / "out", if_etag="e", size=len(BODY)) == DIGEST
        assert [asked.headers.get("Range") for asked in at.server.asked] == [f"bytes=0-{RANGE - 1}", None]


async def test_who_is_cancelled_leaves_no_range_under_way(tmp_path: Path) -> None:
    given, silent = Ranges(), asyncio.Event()

    async def never(request: web.Request) -> web.StreamResponse:
        silent.set()
        await asyncio.Event().wait()
        raise AssertionError

    given.spoils = {RANGE: never}
    async with scene(given.answer) as at:
        fetching = asyncio.ensure_future(at.store.fetch("k", tmp_path / "out", if_etag="e", size=len(BODY)))
        await silent.wait()
        before = asyncio.all_tasks()
        fetching.cancel()
        await asyncio.wait({fetching})
        assert not [task for task in before if "coro=<_range(" in repr(task) and not task.done()]
        assert names_in(tmp_path) == []


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


# ── Put ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def takes_parts(request: web.Request) -> faulty.Answer:
    if "uploads" in request.query:
        return says(200, "<R><UploadId>u1</UploadId></R>")
    if request.method == "HEAD":
        return faulty.head(12 << 20)
    return says(200, ETag='"e"')


async def test_a_large_file_goes_in_parts(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(12 << 20))
    async with faulty.scene(in_turn(takes_parts)) as at:
        at.store.single_put_limit = client.SINGLE_PUT_BYTES
        at.store._parallel_bytes = 1 << 20
        put = await at.store.put_file("k", tmp_path / "in", content_type="a/b")
        assert put.sha256 == sha256(bytes(12 << 20)).hexdigest()
        parts = [asked for asked in at.server.asked if "partNumber" in asked.query]
        assert sorted(len(asked.body) for asked in parts) == [2 << 20, 5 << 20, 5 << 20]


async def test_a_store_that_takes_no_parts_gets_the_file_whole(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(2 << 20))

    def choose(request: web.Request) -> faulty.Answer:
        if "uploads" in request.query:
            return error(501, "NotImplemented")
        return faulty.head(2 << 20) if request.method == "HEAD" else says(200, ETag='"e"')

    async with faulty.scene(in_turn(choose)) as at:
        at.store.single_put_limit = client.SINGLE_PUT_BYTES
        at.store._parallel_bytes = 1 << 20
        assert (await at.store.put_file("k", tmp_path / "in", content_type="a/b")).size == 2 << 20
        assert [asked.method for asked in at.server.asked] == ["POST", "PUT", "HEAD"]


async def test_parts_that_were_taken_and_are_nowhere_are_put_again(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(12 << 20))
    forgets = [says(404), says(200)]

    def choose(request: web.Request) -> faulty.Answer:
        if request.method == "HEAD" and forgets:
            return forgets.pop(0)  # the object is absent, the bucket is there
        return takes_parts(request)

    async with faulty.scene(in_turn(choose)) as at:
        at.store.single_put_limit = client.SINGLE_PUT_BYTES
        at.store._parallel_bytes = 1 << 20
        await at.store.put_file("k", tmp_path / "in", content_type="a/b")
        assert len([asked for asked in at.server.asked if "uploads" in asked.query]) == 2
