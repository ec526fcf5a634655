"""
The node types that have ffmpeg at work, with files that want more of it than they should get, and flags that are none.
"""

import json
import struct
from pathlib import Path

import pytest

from scripts import picture
from tests.nodes import house, recordings

CARD = recordings.CARD.read_bytes()
FOLDERS = house.FOLDERS

PORTS = {
    "transcode": "video",
    "video-thumbnail": "video",
    "clip": "media",
    "extract-audio": "media",
    "hls": "video",
    "probe": "media",
    "loudness-normalise": "media",
    "waveform": "media",
}

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


def run(name: str, scratch: Path, data: bytes, **flags: str) -> house.Outcome:
    return house.run(name, scratch, {PORTS[name]: data}, flags=flags)


def facts(outcome: house.Outcome, port: str, scratch: Path) -> dict[str, dict[str, object]]:
    """What the node type `probe` tells of a result: of the container, and of its first stream of each kind."""
    told = run("probe", scratch, outcome.file(port))
    assert told.exit_code == 0, told.complaint
    document = json.loads(told.file("facts"))
    return {"format": document["format"]} | {stream["kind"]: stream for stream in reversed(document["streams"])}


# ── What it refuses ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", recordings.TEXTS.values(), ids=recordings.TEXTS)
def test_what_names_other_files_is_refused_before_ffmpeg_starts(text: bytes, tmp_path: Path) -> None:
    outcome = run("probe", tmp_path, text)
    assert (outcome.exit_code, outcome.said) == (65, [])
    assert "no video or sound that this node reads" in outcome.complaint


@pytest.mark.parametrize("name", sorted(PORTS.keys() - {"probe"}))
def test_no_node_type_opens_a_playlist(name: str, tmp_path: Path) -> None:
    outcome = run(name, tmp_path, recordings.PLAYLIST)
    assert (outcome.exit_code, outcome.said, dict(outcome.files)) == (65, [], {})
    assert "no playlists" in outcome.complaint


@pytest.mark.parametrize(
    "start",
    [
        b"fLaC",
        b"OggS",
        b"\x1a\x45\xdf\xa3",
        b"\0\0\1\xba",
        b"FLV\1",
        b"RIFF\0\0\0\0AVI ",
        (b"G" + bytes(187)) * 9,
        b"\0\0\0\x08ftyp",
    ],
    ids=["flac", "ogg", "matroska", "mpeg", "flv", "avi", "mpegts", "mov"],
)
def test_a_playlist_behind_the_first_bytes_of_a_recording_stays_closed(start: bytes, tmp_path: Path) -> None:
    outcome = run("probe", tmp_path, start + recordings.PLAYLIST)
    assert outcome.exit_code == 65
    assert "damaged" in outcome.complaint or "neither picture nor sound" in outcome.complaint


@pytest.mark.parametrize("length", [10, 1 << 27])
def test_a_playlist_behind_a_tag_stays_closed(length: int, tmp_path: Path) -> None:
    outcome = run("probe", tmp_path, recordings.tagged(bytes(10) + recordings.PLAYLIST, length))
    assert outcome.exit_code == 65


def test_subtitles_in_an_avi_lead_nowhere(tmp_path: Path) -> None:
    outcome = run("transcode", tmp_path, recordings.riff_with_playlist())
    assert outcome.exit_code == 65
    assert "root:" not in str(outcome.files) + outcome.complaint


def test_a_movie_whose_pictures_lie_in_another_file_has_none(tmp_path: Path) -> None:
    # As the sample has them, they would be where a reader that believed the reference would not look.
    outcome = run("video-thumbnail", tmp_path, recordings.elsewhere(CARD, "/pupload/in/video.mp4"))
    assert (outcome.exit_code, dict(outcome.files)) in ((65, {}), (65, {"thumbnail": b""}))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (recordings.raw_picture(60_000, 60_000), "60000x60000"),
        (recordings.raw_picture(6_500, 6_500), "36 million pixels"),
        (recordings.raw_picture(5_900, 5_900), "damaged"),
        (recordings.many_streams(CARD, 2_000), "more than 64 streams"),
        (recordings.lasting(CARD, 400_000), "it lasts 111 h"),
        (recordings.lasting(CARD, 4_000), "it lasts 4000 s, but only 2 s can be read"),
        (CARD[:20_000], "damaged or not complete"),
        (CARD[:40], "damaged or not complete"),
    ],
    ids=["raw-60000", "raw-6500", "raw-5900", "streams", "endless", "longer", "half", "head"],
)
def test_more_than_there_is_or_than_anybody_has_is_refused(data: bytes, says: str, tmp_path: Path) -> None:
    outcome = run("transcode", tmp_path, data, speed="fast")
    assert outcome.exit_code == 65, outcome.complaint
    assert says in outcome.complaint


def test_days_between_two_pictures_are_not_filled(tmp_path: Path) -> None:
    outcome = run("transcode", tmp_path, recordings.with_gap(CARD), speed="fast")
    assert outcome.exit_code == 0, outcome.complaint
    assert len(outcome.file("transcoded")) < 100_000


def test_a_codec_that_nobody_looks_after_is_named_and_left_alone(tmp_path: Path) -> None:
    # Raw pictures of another kind: VBLE, a codec of one program of long ago.
    data = recordings.raw_picture(64, 64).replace(struct.pack("<HHI", 1, 24, 0), b"\1\0\x18\0VBLE")
    outcome = run("transcode", tmp_path, data)
    assert outcome.exit_code == 65
    assert "does not decode" in outcome.complaint


# ── Flags ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "flags", "says"),
    [
        ("transcode", {"codec": "vp9"}, "flag codec must be h264 or av1"),
        ("transcode", {"format": "webm", "codec": "h264"}, "flag codec must be vp9 or av1"),
        ("transcode", {"target_mb": "1e9"}, "flag target_mb must be"),
        ("transcode", {"width": "100,crop=1"}, "flag width must be"),
        ("transcode", {"fps": "25,movie=/etc/passwd"}, "flag fps must be"),
        ("video-thumbnail", {"at": "-1"}, "flag at must be"),
        ("video-thumbnail", {"format": "jpeg -i /etc/passwd"}, "flag format must be"),
        ("clip", {"start": "2", "end": "1"}, "flag end must be later"),
        ("clip", {"end": "1", "duration": "1"}, "exclude each other"),
        ("extract-audio", {"sample_rate": "44100 -f data"}, "flag sample_rate must be"),
        ("hls", {"heights": "720,../x"}, "flag heights must be"),
        ("hls", {"heights": "1,2,3,4,5,6"}, "flag heights must be"),
        ("hls", {"heights": "99999"}, "flag heights must be"),
        ("loudness-normalise", {"target": "-16:print_format=json"}, "flag target must be"),
        ("waveform", {"color": "red"}, "flag color must be"),
        ("waveform", {"background": "ffffff;movie=x"}, "flag background must be"),
        ("probe", {"tags": "perhaps"}, "flag tags must be"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_a_wrong_flag_is_named(name: str, flags: dict[str, str], says: str, tmp_path: Path) -> None:
    outcome = run(name, tmp_path, CARD, **flags)
    assert (outcome.exit_code, dict(outcome.files)) == (64, {})
    assert says in outcome.complaint


# ── What it makes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_video_is_made_to_fit_and_loses_what_is_written_in_it(tmp_path: Path) -> None:
    outcome = run(
        "transcode", tmp_path, CARD.replace(b"VideoHandler", b"HomeOfSecret"), width="100", fps="10", speed="fast"
    )
    assert outcome.exit_code == 0, outcome.complaint
    found = facts(outcome, "transcoded", tmp_path)
    assert (found["video"]["width"], found["video"]["height"], found["video"]["fps"]) == (100, 56, 10)
    assert (found["video"]["codec"], found["audio"]["codec"]) == ("h264", "aac")
    assert b"HomeOfSecret" not in outcome.file("transcoded")


def test_what_was_taken_upright_stands_upright(tmp_path: Path) -> None:
    data = recordings.turned(CARD)
    outcome = run("video-thumbnail", tmp_path, data)
    assert house.picture(outcome.file("thumbnail")) == picture.Picture("image/jpeg", 180, 320)
    told = json.loads(run("probe", tmp_path, data).file("facts"))
    assert told["streams"][0]["rotation"] == 90


def test_an_mp4_begins_with_what_a_player_needs(tmp_path: Path) -> None:
    made = {fast: run("transcode", tmp_path, CARD, speed="fast", faststart=fast) for fast in ("true", "false")}
    files = {fast: outcome.file("transcoded") for fast, outcome in made.items()}
    assert files["true"].index(b"moov") < files["true"].index(b"mdat")
    assert files["false"].index(b"mdat") < files["false"].index(b"moov")


def test_progress_grows_from_nothing_to_all(tmp_path: Path) -> None:
    told = [
        line.progress for line in run("transcode", tmp_path, CARD, target_mb="0.06").said if line.progress is not None
    ]
    assert told == sorted(told)
    assert len(told) > 2
    assert told[-1] == 1


def test_a_good_picture_is_not_the_black_one(tmp_path: Path) -> None:
    data = (FOLDERS / "video-thumbnail/sample/black-first.mp4").read_bytes()
    good, black = (run("video-thumbnail", tmp_path, data, format="png", **at) for at in ({}, {"at": "0.1"}))
    assert len(good.file("thumbnail")) > 10 * len(black.file("thumbnail"))


def test_a_time_past_the_end_gives_a_good_picture_and_a_warning(tmp_path: Path) -> None:
    outcome = run("video-thumbnail", tmp_path, CARD, at="900", width="64")
    assert house.picture(outcome.file("thumbnail")) == picture.Picture("image/jpeg", 64, 36)
    assert "lasts only 2000 ms" in outcome.complaint


def test_the_loudness_is_what_was_asked(tmp_path: Path) -> None:
    data = (FOLDERS / "loudness-normalise/sample/quiet.mp3").read_bytes()
    louder = run("loudness-normalise", tmp_path, data, target="-20", format="wav")
    again = run("loudness-normalise", tmp_path, louder.file("normalised"), target="-23")
    said = next(line.message for line in again.said if "LUFS, a true peak" in line.message)
    assert float(said.split()[2]) == pytest.approx(-20, abs=0.5)


def test_playlists_name_the_files_beside_them_and_nothing_else(tmp_path: Path) -> None:
    data = (FOLDERS / "hls/sample/upright.mp4").read_bytes()
    files = run("hls", tmp_path, data, heights="180,120,4320", segment_seconds="1", speed="fast").many("stream")
    lists = {name: body.decode() for name, body in files.items() if name.endswith(".m3u8")}
    assert sorted(lists) == ["index.m3u8", "v120p.m3u8", "v180p.m3u8"]
    named = [line for text in lists.values() for line in text.splitlines() if line and not line.startswith("#")]
    assert sorted([*named, "index.m3u8"]) == sorted(files)
    assert "RESOLUTION=180x320" in lists["index.m3u8"]
    assert all(body[::188][:5] == b"GGGGG" for name, body in files.items() if name.endswith(".ts"))


def test_run_outside_a_flow_it_says_what_it_is(tmp_path: Path) -> None:
    outcome = house.run("transcode", tmp_path, {})
    assert outcome.exit_code == 64
    assert "INPUT_VIDEO is not set" in outcome.complaint
