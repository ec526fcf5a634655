"""What files hold, told in processes that have an end to everything."""

import asyncio
import bz2
import gzip
import io
import lzma
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from pupload import errors
from pupload.adapters.content import samples
from pupload.adapters.content.pool import ContentInspector
from pupload.adapters.magic.teller import MagicTeller
from pupload.domain import mime
from pupload.domain.facts import Facts, Inspection
from tests.adapters.content import files
from tests.adapters.content.files import GOOD

SOON = 30.0


@pytest.fixture(scope="module")
def inspector() -> Iterator[ContentInspector]:
    """One for all: it belongs to no event loop."""
    made = ContentInspector(processes=1, seconds=SOON)
    yield made
    asyncio.run(made.close())


async def look(inspector: ContentInspector, data: bytes, content_type: str) -> Inspection:
    return await inspector.look([(0, data)], content_type=content_type, size=len(data))


# ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [kind for kind in GOOD if kind.startswith("image/")])
async def test_a_picture_tells_its_size(inspector: ContentInspector, kind: str) -> None:
    found = await look(inspector, GOOD[kind], kind)
    expected = (1, 1) if kind == "image/webp" else (2, 3)
    assert (found.facts.width, found.facts.height) == expected


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("alpha", [True, False])
async def test_every_kind_of_webp_does(inspector: ContentInspector, lossless: bool, alpha: bool) -> None:
    made = io.BytesIO()
    Image.new("RGBA" if alpha else "RGB", (300, 200), (9, 9, 9, 9) if alpha else (9, 9, 9)).save(
        made, "WEBP", lossless=lossless, exif=b"Exif\0\0" if alpha else b""
    )
    assert (await look(inspector, made.getvalue(), "image/webp")).facts == Facts(width=300, height=200)


async def test_of_tiles_and_thumbnails_the_whole_picture_counts(inspector: ContentInspector) -> None:
    data = files.heic((512, 512), (4000, 3000), (160, 120))
    assert (await look(inspector, data, "image/heic")).facts == Facts(width=4000, height=3000)


async def test_of_pages_the_largest_counts(inspector: ContentInspector) -> None:
    made = io.BytesIO()
    large = Image.new("1", (900, 800))
    Image.new("1", (5, 5)).save(made, "TIFF", save_all=True, append_images=[large, Image.new("1", (7, 7))])
    assert (await look(inspector, made.getvalue(), "image/tiff")).facts == Facts(width=900, height=800, pages=3)


async def test_a_bomb_of_pixels_is_told_without_unpacking_one(inspector: ContentInspector) -> None:
    assert (await look(inspector, files.png(200_000, 200_000), "image/png")).facts.pixels == 40_000_000_000


async def test_pages_are_counted_and_not_believed(inspector: ContentInspector) -> None:
    data = samples.pdf(7).replace(b"/Count 7", b"/Count 1")
    assert (await look(inspector, data, "application/pdf")).facts == Facts(pages=7)


async def test_a_film_tells_how_long_it_is_and_how_large(inspector: ContentInspector) -> None:
    found = await look(inspector, files.mp4(90), "video/mp4")
    assert found.facts == Facts(width=640, height=360, duration_seconds=90.0)


async def test_sound_tells_how_long_it_is(inspector: ContentInspector) -> None:
    assert (await look(inspector, GOOD["audio/wav"], "audio/x-wav")).facts == Facts(duration_seconds=0.1)


async def test_an_archive_tells_what_it_unpacks_to(inspector: ContentInspector) -> None:
    data = files.a_zip(1000, files=3)
    assert (await look(inspector, data, "application/zip")).facts == Facts(entries=3, unpacked_bytes=3000)


async def test_so_does_an_archive_that_is_not_packed(inspector: ContentInspector) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for number in range(20):
            member = tarfile.TarInfo(f"{number}")
            member.size = 3000
            archive.addfile(member, io.BytesIO(bytes(3000)))
    found = await look(inspector, made.getvalue(), "application/x-tar")
    assert found.facts == Facts(entries=20, unpacked_bytes=60_000)


@pytest.mark.parametrize(
    ("kind", "pack"),
    [
        ("application/gzip", lambda data: gzip.compress(data) + gzip.compress(data)),
        ("application/x-bzip2", lambda data: bz2.compress(data) + bz2.compress(data)),
        ("application/x-xz", lambda data: lzma.compress(data) + lzma.compress(data)),
    ],
)
async def test_a_packed_stream_is_unpacked_to_know(inspector: ContentInspector, kind: str, pack: files.Pack) -> None:
    found = await look(inspector, pack(b"abc" * 100_000), kind)
    assert found.facts == Facts(unpacked_bytes=600_000)


async def test_of_a_large_bomb_enough_is_unpacked_to_know_it(inspector: ContentInspector) -> None:
    data = files.gzip_bomb(300)
    found = (await look(inspector, data, "application/gzip")).facts
    assert found.unpacked_bytes is not None
    assert found.unpacked_bytes >= 250 << 20


async def test_a_small_last_member_hides_no_bomb(inspector: ContentInspector) -> None:
    data = files.gzip_bomb(300) + gzip.compress(b"words")
    found = (await look(inspector, data, "application/gzip")).facts
    assert (found.ratio(len(data)) or 0) > 500


async def test_zstd_tells_by_its_header(inspector: ContentInspector) -> None:
    data = b"\x28\xb5\x2f\xfd\xa0" + (1 << 30).to_bytes(4, "little") + b"\x01\0\0"
    assert (await look(inspector, data, "application/zstd")).facts == Facts(unpacked_bytes=1 << 30)


@pytest.mark.parametrize("kind", sorted(GOOD))
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
async def test_half_a_file_breaks_nothing(inspector: ContentInspector, kind: str, part: float) -> None:
    whole = GOOD[kind]
    found = await look(inspector, whole[: int(len(whole) * part)], kind)
    assert found.facts.known or found.reason


async def test_what_cannot_be_read_says_so(inspector: ContentInspector) -> None:
    found = await look(inspector, b"\x89PNG\r\n\x1a\n" + b"rubbish" * 9, "image/png")
    assert found == Inspection(reason="its headers cannot be read")


# ── Two things in one ────────────────────────────────────────────────────────────────────────────────────────────

DOUBLES = {
    "a picture that is an archive": (GOOD["image/jpeg"] + files.a_zip(), "image/jpeg", "application/zip"),
    "another": (GOOD["image/png"] + files.a_zip(), "image/png", "application/zip"),
    "GIFAR": (GOOD["image/gif"] + files.a_zip(), "image/gif", "application/zip"),
    "with a remark behind it": (GOOD["image/gif"] + files.a_zip() + b"bye", "image/gif", "application/zip"),
    "with an archive whose places count from the file's beginning": (
        files.moved(GOOD["image/png"], files.a_zip()), "image/png", "application/zip",
    ),
    "a document that is an archive": (GOOD["application/pdf"] + files.a_zip(), "application/pdf", "application/zip"),
    "a film that is an archive": (files.mp4(1) + files.a_zip(), "video/mp4", "application/zip"),
    "a program that is an archive": (
        b"\x7fELF" + bytes(300) + files.a_zip(), "application/x-executable", "application/zip",
    ),
    "a packed file that is an archive": (
        GOOD["application/gzip"] + files.a_zip(), "application/gzip", "application/zip",
    ),
    "a picture that is a document": (GOOD["image/gif"] + GOOD["application/pdf"], "image/gif", "application/pdf"),
    "a picture that is an old RAR": (GOOD["image/jpeg"] + files.rar_4(), "image/jpeg", "application/vnd.rar"),
    "a picture that is a RAR": (GOOD["image/jpeg"] + files.rar_5(), "image/jpeg", "application/vnd.rar"),
    "a picture that is a 7z": (GOOD["image/png"] + files.seven_zip(), "image/png", "application/x-7z-compressed"),
    "a picture that is a script": (
        b"GIF89a/*" + GOOD["image/gif"][8:] + b"*/=1;alert(1)", "image/gif", "text/javascript",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DOUBLES)
async def test_a_file_that_is_two_things_names_both(inspector: ContentInspector, what: str) -> None:
    data, kind, other = DOUBLES[what]
    assert (await look(inspector, data, kind)).other_type == other


@pytest.mark.parametrize("what", DOUBLES)
async def test_its_first_bytes_say_but_one(what: str) -> None:
    data, kind, _ = DOUBLES[what]
    teller = MagicTeller(threads=1)
    try:
        told = await teller.tell(data[: teller.head_bytes], size=len(data))
    finally:
        await teller.close()
    assert mime.accepts([kind], told) or kind == "application/x-executable"


SINGLES = {
    **{f"a good {kind}": (data, kind) for kind, data in GOOD.items()},
    "a picture with an archive's letters": (GOOD["image/png"] + b"PK\x05\x06" + bytes(60), "image/png"),
    "and with more of them": (GOOD["image/png"] + b"PK\x01\x02PK\x03\x04PK\x05\x06" + b"\x01" * 30, "image/png"),
    "a picture with RAR's letters": (GOOD["image/jpeg"] + b"Rar!\x1a\x07\x00" + bytes(30), "image/jpeg"),
    "a picture with 7z's letters": (GOOD["image/jpeg"] + b"7z\xbc\xaf\x27\x1c" + b"\x07" * 40, "image/jpeg"),
    "a picture with PDF's letters": (GOOD["image/png"] + b"%PDF-1.4", "image/png"),
    "an archive of documents": (files.a_zip(data=GOOD["application/pdf"], stored=True), "application/zip"),
    "an archive of archives": (files.a_zip(data=files.a_zip(), stored=True), "application/zip"),
    "a document with an archive in it": (
        GOOD["application/pdf"][:-40] + files.a_zip() + b"\nendstream\n" + GOOD["application/pdf"][-40:],
        "application/pdf",
    ),
    "a book": (files.a_zip(), "application/epub+zip"),
    "a spreadsheet": (files.a_zip(), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


@pytest.mark.parametrize("what", SINGLES)
async def test_a_file_that_is_one_thing_is_let_be(inspector: ContentInspector, what: str) -> None:
    data, kind = SINGLES[what]
    assert (await look(inspector, data, kind)).other_type == ""


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/octet-stream", "application/x-empty",
                                  "application/json", "image/svg+xml", mime.PLAYLIST])  # fmt: skip
async def test_text_and_plain_bytes_cost_nothing(inspector: ContentInspector, kind: str) -> None:
    assert not inspector.looks_into(kind)


# ── Where they lie ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_of_this_machine_is_read_where_it_is(inspector: ContentInspector, tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(files.png(30, 40))
    path.chmod(0o400)
    found = await inspector.look(path, content_type="image/png", size=path.stat().st_size)
    assert found.facts == Facts(width=30, height=40)


async def test_a_link_is_not_followed(inspector: ContentInspector, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(GOOD["image/png"])
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(errors.InspectorUnavailable):
        await inspector.look(tmp_path / "link", content_type="image/png", size=9)


@pytest.mark.parametrize("moov_first", [True, False])
async def test_of_a_film_far_away_its_ends_are_enough(inspector: ContentInspector, moov_first: bool) -> None:
    data = files.mp4(90, padding=4_000_000, moov_first=moov_first)
    pieces = [(0, data[:10_000]), (len(data) - 10_000, data[-10_000:])]
    found = await inspector.look(pieces, content_type="video/mp4", size=len(data))
    assert found.facts.duration_seconds == 90.0


async def test_of_an_archive_far_away_its_end_is_enough(inspector: ContentInspector) -> None:
    data = files.a_zip(data=os.urandom(500_000))
    pieces = [(0, data[:1000]), (len(data) - 1000, data[-1000:])]
    found = await inspector.look(pieces, content_type="application/zip", size=len(data))
    assert found.facts == Facts(entries=1, unpacked_bytes=500_000)


async def test_what_lies_between_is_not_made_up(inspector: ContentInspector) -> None:
    data = samples.pdf(300)
    pieces = [(0, data[:100]), (len(data) - 1500, data[-1500:])]
    found = await inspector.look(pieces, content_type="application/pdf", size=len(data))
    assert not found.facts.known


# ── With an end ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["hang", "spin"])
async def test_a_parser_that_takes_too_long_is_killed_and_replaced(how: str) -> None:
    inspector = ContentInspector(processes=1, seconds=0.5, misbehave=how)
    try:
        found = await look(inspector, GOOD["image/png"], "image/png")
        assert found == Inspection(reason="looking into it takes longer than 0.5 seconds")
        assert inspector.processes == []
        inspector._misbehave, inspector._seconds = "", SOON
        assert (await look(inspector, GOOD["image/png"], "image/png")).facts.known
    finally:
        await inspector.close()


async def test_a_parser_that_breaks_down_is_replaced() -> None:
    inspector = ContentInspector(processes=1, misbehave="crash")
    try:
        found = await look(inspector, GOOD["image/png"], "image/png")
        assert found == Inspection(reason="the program that looks into it breaks down over it")
        inspector._misbehave, inspector._seconds = "", SOON
        assert (await look(inspector, GOOD["image/png"], "image/png")).facts.known
    finally:
        await inspector.close()


@pytest.mark.parametrize("how", ["hang", "crash", "swell"])
async def test_what_a_parser_does_hides_no_second_face(how: str) -> None:
    inspector = ContentInspector(processes=1, seconds=0.5 if how == "hang" else SOON, misbehave=how)
    try:
        found = await look(inspector, GOOD["image/png"] + files.a_zip(), "image/png")
        assert found.other_type == "application/zip"
        assert found.reason
    finally:
        await inspector.close()


async def test_where_no_parser_starts_it_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    inspector = ContentInspector(processes=1)
    try:
        with pytest.raises(errors.InspectorUnavailable):
            await look(inspector, GOOD["image/png"], "image/png")
        monkeypatch.undo()
        assert (await look(inspector, GOOD["image/png"], "image/png")).facts.known
    finally:
        await inspector.close()


@pytest.mark.parametrize("how", ["swell", "open", "connect", "write", "fork"])
async def test_a_parser_has_no_more_than_it_needs(how: str, tmp_path: Path) -> None:
    inspector = ContentInspector(processes=1, seconds=SOON, misbehave=how)
    path = tmp_path / "photo"
    path.write_bytes(GOOD["image/png"])
    try:
        found = await inspector.look(path, content_type="image/png", size=path.stat().st_size)
        assert found == Inspection(reason="looking into it takes more than it may have")
    finally:
        await inspector.close()


async def test_a_parser_knows_nothing_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUPLOAD_STORE_SECRET_KEY", "hush")
    other = ContentInspector(processes=1)
    try:
        await look(other, GOOD["image/png"], "image/png")
        (process,) = other.processes
        assert b"hush" not in _told_of(process, "environ")
        assert b"NoNewPrivs:\t1" in _told_of(process, "status")
        if os.geteuid() == 0:
            assert b"Uid:\t65533\t65533" in _told_of(process, "status")
    finally:
        await other.close()


async def test_nothing_is_started_before_it_is_needed_nor_left_behind() -> None:
    inspector = ContentInspector(processes=2)
    assert inspector.processes == []
    await asyncio.gather(*(look(inspector, GOOD["image/png"], "image/png") for _ in range(8)))
    running = inspector.processes
    assert 1 <= len(running) <= 2
    await inspector.close()
    assert not any(_lives(process) for process in running)


async def test_closing_waits_for_no_parser() -> None:
    inspector = ContentInspector(processes=1, seconds=SOON * 10, misbehave="hang")
    looking = asyncio.ensure_future(look(inspector, GOOD["image/png"], "image/png"))
    async with asyncio.timeout(SOON):
        await until(lambda: bool(inspector.processes))
        await inspector.close()
        with suppress(errors.InspectorUnavailable):
            assert not (await looking).facts.known


KILLED = """
import asyncio, sys
from pupload.adapters.content import samples
from pupload.adapters.content.pool import ContentInspector

async def main():
    inspector = ContentInspector(processes=1, seconds=60)
    data = samples.all_samples()["image/png"]
    await inspector.look([(0, data)], content_type="image/png", size=len(data))
    print(*inspector.processes, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_server_that_is_killed_leaves_none() -> None:
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    process = int(await server.stdout.readline())
    assert _lives(process)
    server.kill()
    await server.wait()
    async with asyncio.timeout(SOON):
        await until(lambda: not _lives(process))


async def until(condition: Callable[[], bool]) -> None:
    """There is no event of other processes' lives."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def _told_of(process: int, what: str) -> bytes:
    return Path(f"/proc/{process}/{what}").read_bytes()


def _lives(process: int) -> bool:
    try:
        return _told_of(process, "stat").rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
