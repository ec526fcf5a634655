"""
Videos and sounds that are not what they should be: playlists, references elsewhere, lies about size, length, number.

They are made of the samples by changing bytes, or byte by byte.
"""

import struct
from collections.abc import Callable
from pathlib import Path

CARD = Path("nodes/pupload/transcode/sample/card.mp4")
"""Two seconds of 320 x 180 in H.264, with a tone in AAC."""

SECRET = "/etc/passwd"

PLAYLIST = f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile://{SECRET}\n#EXT-X-ENDLIST\n".encode()

TEXTS = {
    "hls": PLAYLIST,
    "hls-elsewhere": b"#EXTM3U\n#EXTINF:10.0,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n",
    "hls-key": b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="file:///etc/passwd"\n#EXTINF:1,\ndata:video/mp2t;base64,AAAA\n',
    "ffconcat": f"ffconcat version 1.0\nfile '{SECRET}'\n".encode(),
    "concat": f"file '{SECRET}'\n".encode(),
    "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>file:///etc/passwd</BaseURL></MPD>',
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "smil": b"<smil><body><video src='/etc/passwd'/></body></smil>",
    "ffmetadata": b";FFMETADATA1\ntitle=x\n",
    "subtitles": b"1\n00:00:00,000 --> 00:00:01,000\nwords\n",
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "byte-order-mark": b"\xff\xfe#\0E\0X\0T\0",
    "empty": b"",
}
"""What names other files, or is no recording at all."""


def riff_with_playlist() -> bytes:
    """An AVI whose subtitles are a playlist, which readers of such subtitles once opened."""
    name = "x.m3u8\0".encode("utf-16-le")
    gab2 = b"GAB2\0" + struct.pack("<HI", 2, len(name)) + name + struct.pack("<HI", 4, len(PLAYLIST)) + PLAYLIST
    stream = _chunk(b"strh", b"txts" + bytes(4 + 4 + 4 + 4) + struct.pack("<IIII", 1, 1, 0, 1) + bytes(20))
    stream += _chunk(b"strf", b"")
    video = _chunk(b"strh", b"vidsMJPG" + bytes(12) + struct.pack("<IIII", 1, 25, 0, 25) + bytes(20))
    video += _chunk(b"strf", struct.pack("<IIIHH4sIIIII", 40, 64, 64, 1, 24, b"MJPG", 12288, 0, 0, 0, 0))
    main = _chunk(b"avih", struct.pack("<IIIIIIIIIIIIII", 40000, 0, 0, 0x10, 25, 0, 2, 0, 64, 64, 0, 0, 0, 0))
    header = _list(b"hdrl", main + _list(b"strl", video) + _list(b"strl", stream))
    return _chunk(b"RIFF", b"AVI " + header + _list(b"movi", _chunk(b"01tx", gab2)))


def raw_picture(width: int, height: int) -> bytes:
    """An AVI of one uncompressed picture that promises to be this large and holds a few bytes."""
    stream = _chunk(b"strh", b"vidsDIB " + bytes(12) + struct.pack("<IIII", 1, 25, 0, 1) + bytes(20))
    stream += _chunk(b"strf", struct.pack("<IIIHHIIIIII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0))
    main = _chunk(b"avih", struct.pack("<IIIIIIIIIIIIII", 40000, 0, 0, 0x10, 1, 0, 1, 0, width, height, 0, 0, 0, 0))
    frames = _list(b"movi", _chunk(b"00db", bytes(64)))
    return _chunk(b"RIFF", b"AVI " + _list(b"hdrl", main + _list(b"strl", stream)) + frames)


def elsewhere(recording: bytes, path: str = SECRET) -> bytes:
    """The MP4 with its picture said to lie in another file: a data reference by URL and by alias."""
    url = _box(b"url ", bytes(4) + b"file://" + path.encode() + b"\0")
    alias = struct.pack(">IHH", 0, 0, 2) + bytes(142) + _alias_part(2, path) + _alias_part(18, path) + b"\xff\xff\0\0"
    dref = _box(b"dref", struct.pack(">II", 0, 2) + url + _box(b"alis", struct.pack(">I", 0) + alias))
    return _changed(recording, b"dref", lambda _: dref)


def many_streams(recording: bytes, count: int) -> bytes:
    """The MP4 with its first track this many times."""

    def more(moov: bytes) -> bytes:
        at = moov.index(b"trak") - 4
        track = moov[at : at + int.from_bytes(moov[at : at + 4], "big")]
        return _box(b"moov", moov[8:] + track * count)

    return _changed(recording, b"moov", more)


def lasting(recording: bytes, seconds: int) -> bytes:
    """The MP4, whose heads say that it lasts this long."""

    def movie(box: bytes) -> bytes:
        scale = int.from_bytes(box[20:24], "big")
        return box[:24] + struct.pack(">I", seconds * scale) + box[28:]

    def media(box: bytes) -> bytes:
        return box[:20] + struct.pack(">II", 1000, seconds * 1000) + box[28:]

    return _changed(_changed(recording, b"mvhd", movie), b"mdhd", media)


def with_gap(recording: bytes) -> bytes:
    """The MP4, whose second picture comes days after the first."""
    times = _box(b"stts", struct.pack(">IIIIII", 0, 2, 1, 0x7FFFFFF0, 49, 512))
    return _changed(recording, b"stts", lambda _: times)


def turned(recording: bytes) -> bytes:
    """The MP4 as a telephone makes it that is held upright: its pictures are to be turned by 90 degrees."""

    def track(box: bytes) -> bytes:
        return box[:48] + struct.pack(">iiiiiiiii", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000) + box[84:]

    return _changed(recording, b"tkhd", track)


def tagged(body: bytes, length: int) -> bytes:
    """Bytes behind an ID3 tag that says it is this long."""
    size = bytes((length >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + size + body


def _changed(recording: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The MP4 with the first box of this kind replaced, and the lengths of the boxes around it mended."""
    at = recording.index(kind) - 4
    length = int.from_bytes(recording[at : at + 4], "big")
    new = change(recording[at : at + length])
    mended = bytearray(recording[:at] + new + recording[at + length :])
    for start in _around(recording, at):
        longer = int.from_bytes(recording[start : start + 4], "big") + len(new) - length
        mended[start : start + 4] = longer.to_bytes(4, "big")
    return bytes(mended)


def _around(recording: bytes, inner: int) -> list[int]:
    """Where the boxes begin that hold what begins there."""
    found, at, end = [], 0, len(recording)
    while at + 8 <= end:
        length = int.from_bytes(recording[at : at + 4], "big")
        if at < inner < at + length:
            found.append(at)
            at += 8
        else:
            at += max(length, 8)
    return found


def _alias_part(kind: int, text: str) -> bytes:
    data = text.encode()
    return struct.pack(">HH", kind, len(data)) + data + b"\0" * (len(data) % 2)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _list(kind: bytes, body: bytes) -> bytes:
    return _chunk(b"LIST", kind + body)
