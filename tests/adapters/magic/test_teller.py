"""Media types by libmagic."""

import asyncio
import gzip
import io
import threading
import zipfile
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pupload.adapters.magic.teller import SHORT_BYTES, SHORT_KEPT, MagicTeller
from pupload.domain import mime


@pytest.fixture
async def teller() -> AsyncIterator[MagicTeller]:
    made = MagicTeller()
    yield made
    await made.close()


def a_zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.txt", "words")
    return held.getvalue()


KNOWN = {
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
    "image/gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00",
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "application/pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "application/zip": a_zip(),
    "application/gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "text/plain": b"plain words, and a few more of them\n",
    "text/html": b"<!DOCTYPE html><html><head><title>x</title></head></html>",
    "image/svg+xml": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="1"></svg>',
    "application/vnd.apache.parquet": b"PAR1\x15\x04\x15\x10" + bytes(range(200, 256)),
    "application/vnd.apple.mpegurl": b"#EXTM3U\n#EXT-X-VERSION:3\nhttp://example.org/a.ts\n",
    "video/mp2t": (b"\x47\x40\x11\x10" + bytes(range(184))) * 4,
    "application/age": b"age-encryption.org/v1\n-> X25519 abc\n",
}


@pytest.mark.parametrize("kind", KNOWN)
async def test_bytes_tell_their_type(teller: MagicTeller, kind: str) -> None:
    assert await teller.tell(KNOWN[kind], size=len(KNOWN[kind])) == kind


LISTS = {
    "HLS": b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://example.org/a.ts\n",
    "HLS behind a mark": b"\xef\xbb\xbf#EXTM3U\n#EXTINF:9,\na.ts\n",
    "HLS in lines of Windows": b"#EXTM3U\r\n#EXT-X-VERSION:3\r\n#EXTINF:9,\r\na.ts\r\n",
    "HLS with bytes": b"#EXTM3U\n#EXTINF:9,\n\x00\x01\xfe\xff" + bytes(range(256)),
    "M3U": b"#EXTM3U\n#EXTINF:1,song\nfile:///etc/passwd\n",
    "ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "SDP": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nm=audio 5004 RTP/AVP 96\r\n",
    "XSPF": b'<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList/></playlist>',
    "DASH": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "PLS": b"[playlist]\nFile1=http://example.org/a.mp3\nNumberOfEntries=1\n",
    "ASX": b'<asx version="3.0"><entry><ref href="http://example.org/a"/></entry></asx>',
}
"""What sends a player elsewhere."""


@pytest.mark.parametrize("what", LISTS)
async def test_a_list_of_what_to_play_is_neither_sound_nor_video(teller: MagicTeller, what: str) -> None:
    told = await teller.tell(LISTS[what], size=len(LISTS[what]))
    assert not mime.accepts(["video/*", "audio/*", "video/mp4", "audio/mpeg"], told)


@pytest.mark.parametrize("first", [b"<script>alert(1)</script>", b"<?php echo 1 ?>", b"#!/bin/sh\n", b"<svg>"])
@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/gif"])
async def test_a_picture_behind_a_script_is_no_picture(teller: MagicTeller, first: bytes, kind: str) -> None:
    data = first + KNOWN[kind] + bytes(200)
    assert not mime.accepts(["image/png", "image/jpeg", "image/gif"], await teller.tell(data, size=len(data)))


async def test_a_name_or_a_header_has_no_say(teller: MagicTeller) -> None:
    page = b"<html><script>alert(1)</script></html>"
    assert await teller.tell(page, size=len(page)) == "text/html"


async def test_no_bytes_are_empty(teller: MagicTeller) -> None:
    assert await teller.tell(b"", size=0) == "application/x-empty"


@pytest.mark.parametrize(
    ("head", "kind"), [(b"5", "text/plain"), (b"\n", "text/plain"), (b"\xfe", "application/octet-stream")]
)
async def test_a_single_character_is_text(teller: MagicTeller, head: bytes, kind: str) -> None:
    assert await teller.tell(head, size=1) == kind


async def test_what_nobody_knows_is_a_stream_of_octets(teller: MagicTeller) -> None:
    assert await teller.tell(bytes([0, 250, 1, 249, 2, 248, 3]) * 40, size=1 << 30) == "application/octet-stream"


async def test_packed_files_are_not_unpacked(teller: MagicTeller) -> None:
    assert await teller.tell(gzip.compress(b"x" * 10_000_000), size=10_000) == "application/gzip"


async def test_many_ask_at_once_and_each_gets_its_own_answer(teller: MagicTeller) -> None:
    kinds = list(KNOWN) * 20
    assert await asyncio.gather(*(teller.tell(KNOWN[kind], size=1) for kind in kinds)) == kinds


async def test_no_more_than_its_threads_are_used() -> None:
    made = MagicTeller(threads=1)
    await asyncio.gather(*(made.tell(KNOWN["image/png"], size=1) for _ in range(20)))
    assert sum(thread.name.startswith("magic") for thread in threading.enumerate()) >= 1
    await made.close()


@settings(max_examples=150, deadline=None)
@given(
    head=st.one_of(
        st.binary(min_size=1, max_size=400),
        st.builds(bytes.__add__, st.sampled_from(list(KNOWN.values())), st.binary(max_size=200)),
    )
)
def test_whatever_comes_the_answer_is_a_media_type(head: bytes) -> None:
    async def ask() -> str:
        made = MagicTeller(threads=1)
        try:
            return await made.tell(head, size=len(head))
        finally:
            await made.close()

    told = asyncio.run(ask())
    family, _, kind = told.partition("/")
    assert family
    assert kind
    assert told == told.lower().strip()
    assert ";" not in told
    assert " " not in told


async def test_of_what_is_short_the_type_is_remembered_and_not_without_end(
    teller: MagicTeller, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bytes] = []
    tell = teller._tell

    def counted(heads: Sequence[bytes]) -> list[str]:
        looked.extend(heads)
        return tell(heads)

    monkeypatch.setattr(teller, "_tell", counted)
    short, long = b"ok\n", b"words\n" * SHORT_BYTES
    for _ in range(3):
        assert await teller.tell(short, size=len(short)) == "text/plain"
        assert await teller.tell(long, size=len(long)) == "text/plain"
        assert await teller.tell(KNOWN["image/gif"], size=13) == "image/gif"
    assert looked == [short, long, KNOWN["image/gif"], long, long]
    for number in range(SHORT_KEPT):
        await teller.tell(b"%d is a number\n" % number, size=20)
    assert len(teller._short) == SHORT_KEPT
    await teller.tell(short, size=len(short))
    assert looked[-1] == short, "it was forgotten for others"
