"""
The node types that work on pictures: what strangers send to harm them, and what their cases cannot say.
"""

import io
import json
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.nodes import batch, house, pictures

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

PHOTO = (house.FOLDERS / "crop/sample/photo.jpg").read_bytes()
MARK = (house.FOLDERS / "watermark/sample/mark.png").read_bytes()
HEIC = (house.FOLDERS / "convert/sample/photo.heic").read_bytes()

DECODING = {
    "resize": ("image",),
    "convert": ("image",),
    "crop": ("image",),
    "thumbnail": ("image",),
    "watermark": ("image", "mark"),
    "compare": ("first", "second"),
}
"""The node types that decode pictures, and their inputs."""
READING = {"exif": ("image",), "strip-metadata": ("image",)}
"""Those that only look at metadata."""
NEEDED: Mapping[str, Mapping[str, str]] = {
    "convert": {"format": "png"},
    "crop": {"aspect": "1:1"},
    "compare": {"fit": "true"},
}
"""The flags without which they do nothing with such pictures."""

MSL = b'<?xml version="1.0"?><image><read filename="/etc/passwd"/><write filename="/pupload/out/stolen.png"/></image>'

NO_PICTURES = {
    "nothing": b"",
    "text": b"hello",
    "list": b"@/etc/passwd",
    "svg": pictures.SVG,
    "mvg": pictures.MVG,
    "msl": MSL,
    "label": b"label:@/etc/passwd",
    "ephemeral": b"ephemeral:/pupload/out/x",
    "postscript": b"%!PS-Adobe-3.0\n(%pipe%id) (r) file\n",
    "pdf": b"%PDF-1.7\n1 0 obj <</OpenAction <</S /Launch /F (/bin/sh)>>>>\n",
    "bitmap": b"BM" + bytes(60),
    "icon": b"\0\0\x01\0\x01\0" + bytes(60),
    "portable": b"P6 9 9 255 " + bytes(243),
    "djvu": b"AT&TFORM\0\0\0\x20DJVMDIRM" + bytes(30),
    "html": b"<!DOCTYPE html><script>alert(1)</script>",
    "video": b"\0\0\0\x18ftypisom" + bytes(200),
}
DAMAGED = {
    "short-jpeg": PHOTO[:9000],
    "head-of-jpeg": PHOTO[:40],
    "svg-in-jpeg": b"\xff\xd8\xff" + pictures.SVG,
    "msl-in-png": b"\x89PNG\r\n\x1a\n" + MSL,
    "short-png": MARK[:-400],
    "short-gif": pictures.gif(1)[:20],
    "short-webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    "short-tiff": b"II*\0\xff\xff\xff\x7f",
    "short-heic": HEIC[:6000],
    "head-of-heic": b"\0\0\0\x18ftypheic" + bytes(64),
    "empty-tiff": pictures.tiff(64, 64),
}
TOO_LARGE = {
    "huge-jpeg": pictures.jpeg_of(65_500, 65_500, PHOTO),
    "large-jpeg": pictures.jpeg_of(20_000, 20_000, PHOTO),
    "large-png": pictures.png(20_000, 20_000, rows=1),
    "wide-png": pictures.png(40_000, 2),
    "huge-png": pictures.png(0x7FFFFFFF, 0x7FFFFFFF, rows=0),
    "huge-gif": pictures.gif(1).replace(b"\x2c\0\0\0\0\x01\0\x01\0", b"\x2c\0\0\0\0\xff\xff\xff\xff"),
    "huge-tiff": pictures.tiff(0x7FFFFFFF, 0x7FFFFFFF),
    "large-tiff": pictures.tiff(30_000, 30_000),
    "huge-heic": HEIC.replace(struct.pack(">II", 480, 270), struct.pack(">II", 30_000, 30_000)),
}


def a_case(name: str, data: bytes, *, port: str = "", **flags: str) -> batch.Case:
    """A picture for one input of the node type, and good ones for the others."""
    ports = {**DECODING, **READING}[name]
    inputs = {each: data if each == (port or ports[0]) else PHOTO for each in ports}
    return batch.Case(inputs=inputs, flags={**NEEDED.get(name, {}), **flags})


def tried(name: str, scratch: Path, files: Mapping[str, bytes], *, memory: str = "1g") -> dict[str, house.Outcome]:
    """What came of each file on each of the node type's inputs."""
    ports = {**DECODING, **READING}[name]
    cases = {f"{what}-as-{port}": a_case(name, data, port=port) for what, data in files.items() for port in ports}
    return batch.run(name, scratch, cases, memory=memory)


# ── What is refused ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [*DECODING, *READING])
def test_what_is_no_picture_is_refused_by_its_first_bytes(name: str, tmp_path: Path) -> None:
    for what, outcome in tried(name, tmp_path, NO_PICTURES).items():
        assert (outcome.exit_code, outcome.files) == (65, {}), what
        assert "not a picture in one of the formats" in outcome.complaint, what


@pytest.mark.parametrize("name", DECODING)
def test_what_is_damaged_is_refused_in_a_sentence_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    for what, outcome in tried(name, tmp_path, DAMAGED).items():
        assert (outcome.exit_code, outcome.files) == (65, {}), (what, outcome)
        assert "is damaged" in outcome.complaint, what


@pytest.mark.parametrize("name", DECODING)
def test_what_promises_too_many_pixels_is_refused_before_any_is_decoded(name: str, tmp_path: Path) -> None:
    for what, outcome in tried(name, tmp_path, TOO_LARGE, memory="512m").items():
        assert outcome.exit_code in (65, 71), (what, outcome)
        assert outcome.files == {}, what
        told = ("the most this node takes", "pixels wide or high", "is damaged", "does not fit into the memory")
        assert any(each in outcome.complaint for each in told), (what, outcome.complaint)


@pytest.mark.parametrize("name", ["convert", "crop", "watermark", "compare"])
def test_a_picture_too_large_for_the_tier_is_refused_before_the_kernel_kills(name: str, tmp_path: Path) -> None:
    outcome = batch.run(name, tmp_path, {"": a_case(name, pictures.png(10_000, 6_000))}, memory="512m")[""]
    assert (outcome.exit_code, outcome.files) == (71, {})
    assert "does not fit into the memory of this tier" in outcome.complaint


@pytest.mark.parametrize("name", ["convert", "exif"])
@pytest.mark.parametrize(
    "at",
    [
        "@/pupload/in/image",
        "msl:/pupload/in/image",
        "/pupload/in/image[0]",
        "-write",
        "/pupload/in/a b",
        "|id",
        "in/image",
    ],
)
def test_a_path_with_a_meaning_is_refused(name: str, at: str, tmp_path: Path) -> None:
    outcome = house.run(name, tmp_path, {"image": PHOTO}, flags=NEEDED.get(name), environment={"INPUT_IMAGE": at})
    assert (outcome.exit_code, outcome.files) == (64, {})
    assert "INPUT_IMAGE must be an absolute path" in outcome.complaint


WRONG: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "convert": {
        "format": ("", "svg", "heic", "msl:/tmp/x", "jpeg:/etc/passwd", "PNG"),
        "quality": ("0", "101", "8e1", "80; id", "-1"),
        "lossless": ("perhaps",),
        "background": ("red", "#12345", "url(x)", "white -write /pupload/out/x", "@/etc/passwd"),
        "metadata": ("yes please",),
    },
    "crop": {
        "aspect": ("16", "16:", ":9", "0:1", "1:0", "16:9:2", "a:b", "99999:1", "1.5:1"),
        "width": ("0", "100%", "32001", "1x1"),
        "frames": ("2", "ALL", "first[0]"),
        "height": ("-1", " 8"),
        "x": ("+5", "0x10"),
        "y": ("1.5",),
        "gravity": ("Centre", "forget", "center -write x"),
        "format": ("pdf",),
        "quality": ("best",),
    },
    "thumbnail": {
        "size": ("7", "2049", "256x256"),
        "shape": ("circle",),
        "focus": ("faces",),
        "format": ("gif",),
        "quality": ("0",),
        "background": ("none",),
    },
    "watermark": {
        "position": ("middle", "tile:x"),
        "opacity": ("0", "101", "0.5"),
        "scale": ("101",),
        "margin": ("51", "-1"),
        "format": ("avif",),
        "quality": ("0",),
    },
    "compare": {"amplify": ("0", "101"), "fit": ("maybe",)},
    "exif": {"gps": ("no",), "numbers": ("2",)},
    "strip-metadata": {"orientation": ("upright",), "profile": ("srgb",)},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_flag_is_named(name: str, tmp_path: Path) -> None:
    cases = {
        (flag, value): a_case(name, PHOTO, **{flag: value}) for flag, values in WRONG[name].items() for value in values
    }
    outcomes = batch.run(name, tmp_path, {f"{flag}={value}": case for (flag, value), case in cases.items()})
    for (flag, value), outcome in zip(cases, outcomes.values(), strict=True):
        assert (outcome.exit_code, outcome.files) == (64, {}), (flag, value, outcome)
        assert f"flag {flag} " in outcome.complaint


def test_no_other_format_is_in_the_images() -> None:
    find = "find /usr/lib -path '*/coders/*.so' -exec basename {} .so \\;"
    for name in DECODING:
        coders = house.inside(name, find).split()
        more = ["rgb"] if name == "compare" else []
        assert sorted(coders) == sorted(["gif", "heic", "jpeg", "png", "tiff", "webp", *more]), name
        policy = house.inside(name, "cat /etc/ImageMagick-6/policy.xml")
        assert policy == Path("nodes/base/picture-policy.xml").read_text(), name
    for name in READING:
        readers = house.inside(name, "ls /usr/share/perl5/Image/ExifTool").split()
        assert not {"DjVu.pm", "PDF.pm", "PostScript.pm", "ZIP.pm", "Flash.pm", "EXE.pm", "Matroska.pm"} & set(readers)


# ── What is taken, and does no harm ──────────────────────────────────────────────────────────────────────────────


def test_of_very_many_frames_and_pages_the_first_is_taken_in_no_time(tmp_path: Path) -> None:
    files = {"frames": pictures.gif(100_000), "circle": pictures.tiff(8, 1, pages=3, endless=True)}
    outcomes = batch.run("convert", tmp_path, {what: a_case("convert", data) for what, data in files.items()})
    assert house.picture(outcomes["frames"].file("converted")) == ("image/png", 1, 1)
    assert outcomes["circle"].exit_code in (0, 65)


def zipped(text: str) -> bytes:
    """An archive that says it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("hello.html", f"<script>{text}</script>")
    return made.getvalue()


@pytest.mark.parametrize("name", [*DECODING, "strip-metadata"])
def test_what_hangs_on_behind_a_picture_does_not_come_out(name: str, tmp_path: Path) -> None:
    data = pictures.with_segment(PHOTO, 0xFE, b"<?php secret ?>") + zipped("secret")
    outcome = batch.run(name, tmp_path, {"": a_case(name, data)})[""]
    assert outcome.exit_code == 0, outcome.complaint
    for made in outcome.files.values():
        assert b"secret" not in made
        assert not zipfile.is_zipfile(io.BytesIO(made))


TRICKS = [
    b"$(touch /pupload/out/owned)\0",
    b"`id`; touch /pupload/out/owned\0",
    b"|touch /pupload/out/owned|\0",
    b"%[fx:1/0] %w @/etc/passwd\0",
    b'"},{"Status": "forged\0',
    b"\x1b[2J\xff\xfe\xc3\x28 \x01\0",
    b"</script><script>alert(1)</script>\0",
]


@pytest.mark.parametrize("name", [*DECODING, *READING])
def test_commands_in_metadata_are_words(name: str, tmp_path: Path) -> None:
    cases = {
        f"{turn}": a_case(name, pictures.with_tags(PHOTO, {0x010E: trick, 0x010F: trick, 0x8298: trick}))
        for turn, trick in enumerate(TRICKS)
    }
    for outcome in batch.run(name, tmp_path, cases).values():
        assert outcome.exit_code == 0, outcome.complaint
        assert not any("owned" in path for path in outcome.files)
        assert not any(b"root:" in data for data in outcome.files.values())


def test_whatever_metadata_say_they_are_one_object_of_json(tmp_path: Path) -> None:
    cases = {f"{turn}": a_case("exif", pictures.with_tags(PHOTO, {0x010E: trick})) for turn, trick in enumerate(TRICKS)}
    for outcome in batch.run("exif", tmp_path, cases).values():
        told = json.loads(outcome.file("metadata"))
        assert told["File"]["ImageWidth"] == 640
        assert isinstance(told["EXIF"]["ImageDescription"], str)
        assert "Status" not in told
        assert not told.keys() & {"System", "SourceFile"}


@pytest.mark.parametrize("name", READING)
def test_a_file_in_metadata_is_not_read(name: str, tmp_path: Path) -> None:
    """CVE-2021-22204: a tag of a maker's holds a DjVu text, in which a string was evaluated."""
    text = b'(metadata (Author "\\\n" . `touch /pupload/out/owned` . \\\n" b "))'
    annotation = b"ANTa" + struct.pack(">I", len(text)) + text
    djvu = (
        b"AT&TFORM"
        + struct.pack(">I", len(annotation) + 18)
        + b"DJVUINFO"
        + struct.pack(">I", 10)
        + bytes(10)
        + annotation
    )
    outcome = house.run(name, tmp_path, {"image": pictures.with_tags(PHOTO, {0xC51B: djvu}, kind=7)})
    assert not any("owned" in path for path in outcome.files)
    if outcome.exit_code:
        assert outcome.exit_code == 65
        assert "of a kind that this node does not read" in outcome.complaint
    else:
        assert b"DjVu" not in b"".join(outcome.files.values())


@pytest.mark.parametrize("name", ["exif", "strip-metadata", "convert"])
def test_metadata_that_become_very_large_end_in_a_sentence(name: str, tmp_path: Path) -> None:
    bomb = pictures.with_text(pictures.png(64, 64), bytes(1) * 800_000_000)
    outcome = batch.run(name, tmp_path, {"": a_case(name, bomb)}, memory="512m")[""]
    assert outcome.exit_code in (0, 65, 71), outcome
    assert all(len(data) < 1_000_000 for data in outcome.files.values())


@pytest.mark.parametrize("name", READING)
def test_metadata_readers_end_in_a_sentence_whatever_is_damaged(name: str, tmp_path: Path) -> None:
    for what, outcome in tried(name, tmp_path, {**DAMAGED, **TOO_LARGE}).items():
        assert outcome.exit_code in (0, 65), (what, outcome)
        assert bool(outcome.exit_code) == bool(outcome.complaint)
        assert bool(outcome.exit_code) != bool(outcome.files), what


# ── What cases cannot say ────────────────────────────────────────────────────────────────────────────────────────


def test_metadata_stay_when_wanted_and_are_taken_out_of_each_format_without_touching_a_pixel(tmp_path: Path) -> None:
    said = pictures.with_xmp(pictures.turned(PHOTO, 1), "a secret title")
    kept = batch.run(
        "convert",
        tmp_path,
        {
            format_: a_case("convert", said, format=format_, metadata="true")
            for format_ in ("png", "webp", "avif", "tiff")
        },
    )
    files = {
        "jpeg": said,
        "gif": pictures.gif(3, comment=b"a secret"),
        "heic": HEIC,
        "lying": pictures.turned(PHOTO, 6),
    }
    files |= {format_: outcome.file("converted") for format_, outcome in kept.items()}
    assert all(b"secret" in files[format_] for format_ in ("png", "webp", "tiff", "avif"))
    stripped = batch.run(
        "strip-metadata", tmp_path, {what: a_case("strip-metadata", data) for what, data in files.items()}
    )
    for what, outcome in stripped.items():
        assert (what, outcome.exit_code, outcome.complaint) == (what, 0, "")
        assert b"secret" not in outcome.file("stripped"), what
        assert b"Nonymous" not in outcome.file("stripped"), what
    compared = batch.run(
        "compare",
        tmp_path,
        {
            what: batch.Case(inputs={"first": files[what], "second": outcome.file("stripped")})
            for what, outcome in stripped.items()
        },
    )
    for what, outcome in compared.items():
        assert outcome.exit_code == 0, (what, outcome.complaint)
        assert json.loads(outcome.file("report"))["Identical"] is True, what


def test_what_a_format_cannot_do_is_not_promised(tmp_path: Path) -> None:
    outcome = house.run("convert", tmp_path, {"image": PHOTO}, flags={"format": "jpeg", "lossless": "true"})
    assert (outcome.exit_code, outcome.files) == (64, {})


def test_transparency_stays_in_avif(tmp_path: Path) -> None:
    made = house.run("convert", tmp_path, {"image": pictures.half_transparent()}, flags={"format": "avif"})
    assert b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha" in made.file("converted")


PROFILED = {
    **{("convert", format_): "converted" for format_ in ("jpeg", "png", "webp", "avif", "tiff")},
    **{("resize", format_): "resized" for format_ in ("jpeg", "png", "webp", "tiff")},
    **{("crop", format_): "cropped" for format_ in ("jpeg", "png", "webp", "tiff")},
    **{("watermark", format_): "marked" for format_ in ("jpeg", "png", "webp", "tiff")},
    **{("thumbnail", format_): "thumbnail" for format_ in ("jpeg", "png", "webp")},
}


@pytest.mark.parametrize("name", ["convert", "resize", "crop", "watermark", "thumbnail"])
def test_a_picture_keeps_its_colour_profile_and_loses_the_rest_in_every_format(name: str, tmp_path: Path) -> None:
    said = pictures.with_profile(pictures.with_xmp(pictures.turned(PHOTO, 6), "a secret title"))
    formats = {format_: port for (kind, format_), port in PROFILED.items() if kind == name}
    cases = {format_: a_case(name, said, format=format_) for format_ in formats}
    for format_, outcome in batch.run(name, tmp_path, cases).items():
        assert outcome.exit_code == 0, outcome.complaint
        made = outcome.file(formats[format_])
        seen = house.picture(made)
        assert seen is not None
        assert (seen.type, seen.height >= seen.width) == (f"image/{format_}", True)
        assert pictures.profile(made) == pictures.ICC, format_
        assert b"secret" not in made
        if format_ == "png":
            assert set(pictures.names_of_chunks(made)) <= {"IHDR", "iCCP", "gAMA", "cHRM", "pHYs", "IDAT", "IEND"}


def test_a_profile_passes_from_each_format_into_a_png(tmp_path: Path) -> None:
    said = pictures.with_profile(PHOTO)
    formats = ("jpeg", "png", "webp", "avif", "tiff")
    first = batch.run("convert", tmp_path, {each: a_case("convert", said, format=each) for each in formats})
    again = {each: a_case("convert", outcome.file("converted"), format="png") for each, outcome in first.items()}
    for format_, outcome in batch.run("convert", tmp_path, again).items():
        assert outcome.exit_code == 0, outcome.complaint
        assert pictures.profile(outcome.file("converted")) == pictures.ICC, format_


def test_a_profile_is_taken_out_only_where_that_is_asked_for(tmp_path: Path) -> None:
    said = pictures.with_profile(PHOTO)
    formats = ("jpeg", "png", "webp", "avif", "tiff")
    made = batch.run("convert", tmp_path, {each: a_case("convert", said, format=each) for each in formats})
    cases = {
        f"{format_} {profile}": a_case("strip-metadata", outcome.file("converted"), profile=profile)
        for format_, outcome in made.items()
        for profile in ("true", "false")
    }
    for what, outcome in batch.run("strip-metadata", tmp_path, cases).items():
        assert outcome.exit_code == 0, (what, outcome.complaint)
        assert pictures.profile(outcome.file("stripped")) == (pictures.ICC if what.endswith("true") else b""), what


def test_a_profile_of_colours_does_not_spoil_a_picture_without_any(tmp_path: Path) -> None:
    grey = pictures.grey_png(16, 16, (b"\0" + bytes(range(0, 256, 16))) * 16)
    jpeg = house.run("convert", tmp_path, {"image": grey}, flags={"format": "jpeg"}).file("converted")
    cases = {each: a_case("convert", pictures.with_profile(jpeg), format=each) for each in ("png", "webp", "tiff")}
    for format_, outcome in batch.run("convert", tmp_path, cases).items():
        assert outcome.exit_code == 0, outcome.complaint
        assert house.picture(outcome.file("converted")) == (f"image/{format_}", 16, 16)


# ── What moves ───────────────────────────────────────────────────────────────────────────────────────────────────

MOVING = pictures.moving_gif(((200, 0, 0), (0, 200, 0), (0, 0, 200)), width=60, height=40, lasts=(20, 5, 30), loops=2)


def _moved(scratch: Path, name: str, data: bytes, **flags: str) -> tuple[pictures.Animation, house.Outcome]:
    outcome = batch.run(name, scratch, {"": a_case(name, data, **flags)})[""]
    assert outcome.exit_code == 0, outcome.complaint
    return pictures.animation(next(iter(outcome.files.values()))), outcome


@pytest.mark.parametrize(
    ("name", "flags", "size"),
    [
        ("resize", {"width": "30"}, (30, 20)),
        ("crop", {"aspect": "1:1"}, (40, 40)),
        ("watermark", {"position": "center", "scale": "10"}, (60, 40)),
        ("watermark", {"position": "tile", "scale": "10"}, (60, 40)),
    ],
)
@pytest.mark.parametrize("format_", ["same", "webp"])
def test_what_moves_goes_on_moving(
    name: str, flags: dict[str, str], size: tuple[int, int], format_: str, tmp_path: Path
) -> None:
    seen, _ = _moved(tmp_path, name, MOVING, format=format_, **flags)
    assert (seen.size, seen.lasts) == (size, (200, 50, 300))
    # A GIF counts how often it is shown again, a WebP how often it is shown.
    assert seen.loops == (2 if format_ == "same" else 3)


def test_what_moves_is_converted_and_back_again(tmp_path: Path) -> None:
    webp, outcome = _moved(tmp_path, "convert", MOVING, format="webp", lossless="true")
    assert (webp.size, webp.lasts, webp.loops) == ((60, 40), (200, 50, 300), 3)
    gif, outcome = _moved(tmp_path, "resize", outcome.file("converted"), format="gif")
    assert (gif.size, gif.lasts) == ((60, 40), (200, 50, 300))
    smaller, _ = _moved(tmp_path, "resize", outcome.file("resized"), format="webp", width="30")
    assert (smaller.size, smaller.lasts) == ((30, 20), (200, 50, 300))


def test_frames_that_hold_only_what_changes_are_whole_when_they_are_made_smaller(tmp_path: Path) -> None:
    """The second frame is a corner; in what is made of it, the rest is still that of the first."""
    corner = pictures.moving_gif(((200, 0, 0), (0, 200, 0)), width=60, height=40, lasts=(10, 10), corner=(10, 10))
    outcome = house.run("resize", tmp_path, {"image": corner}, flags={"width": "30", "format": "webp"})
    frames = pictures.webp_frames(outcome.file("resized"))
    wholes = {str(turn): a_case("convert", frame, format="png") for turn, frame in enumerate(frames)}
    made = [each.file("converted") for each in batch.run("convert", tmp_path, wholes).values()]
    report = json.loads(house.run("compare", tmp_path, {"first": made[0], "second": made[1]}).file("report"))
    # 5 x 5 of 30 x 20, and what the encoder smears around them.
    assert 20 <= report["DifferentPixels"] <= 300


def test_a_profile_stays_with_what_moves(tmp_path: Path) -> None:
    _, first = _moved(tmp_path, "convert", MOVING, format="webp")
    said = pictures.with_webp_profile(first.file("converted"))
    seen, outcome = _moved(tmp_path, "resize", said, width="30")
    assert (seen.size, pictures.profile(outcome.file("resized"))) == ((30, 20), pictures.ICC)


STILL = {
    "resize": {"format": "jpeg"},
    "convert": {"format": "png"},
    "crop": {"width": "8", "format": "tiff"},
    "thumbnail": {"format": "webp", "size": "8"},
    "watermark": {"frames": "first"},
}


@pytest.mark.parametrize("name", STILL)
def test_of_what_moves_the_first_frame_is_taken_where_the_result_stands_still_and_said_so(
    name: str, tmp_path: Path
) -> None:
    files = {
        "gif": (MOVING, 3),
        "apng": (pictures.apng(5), 5),
        "pages": (pictures.pages_tiff(2), 2),
    }
    cases = {what: a_case(name, data, **STILL[name]) for what, (data, _) in files.items()}
    for what, outcome in batch.run(name, tmp_path, cases).items():
        assert outcome.exit_code == 0, (what, outcome.complaint)
        said = [line.message for line in outcome.said]
        assert f"Took the first of {files[what][1]} frames or pages" in said, (what, said)


def test_too_many_frames_are_refused_and_the_first_of_them_is_not(tmp_path: Path) -> None:
    many = pictures.gif(1_001)
    cases = {
        "all": a_case("resize", many),
        "first": a_case("resize", many, frames="first"),
        "most": a_case("resize", pictures.gif(1_000)),
        "large": a_case("resize", pictures.gif(900, width=20_000, height=20_000)),
    }
    outcomes = batch.run("resize", tmp_path, cases)
    assert {what: outcome.exit_code for what, outcome in outcomes.items()} == {
        "all": 65,
        "first": 0,
        "most": 0,
        "large": 65,
    }
    assert "more than 1000 frames" in outcomes["all"].complaint
    assert "900 frames of 20000x20000 pixels" in outcomes["large"].complaint


def test_an_animation_too_large_for_the_tier_is_refused_before_the_kernel_kills(tmp_path: Path) -> None:
    frames = pictures.gif(200, width=1_000, height=1_000)
    outcome = batch.run("resize", tmp_path, {"": a_case("resize", frames, width="100")}, memory="512m")[""]
    assert (outcome.exit_code, outcome.files) == (71, {})
    assert "does not fit into the memory of this tier" in outcome.complaint


def test_transparency_becomes_the_background(tmp_path: Path) -> None:
    flags = {"format": "jpeg", "quality": "100", "background": "#000000"}
    on_black = house.run("convert", tmp_path, {"image": pictures.half_transparent()}, flags=flags).file("converted")
    black = pictures.png(64, 64)
    told = json.loads(house.run("compare", tmp_path, {"first": on_black, "second": black}).file("report"))
    # Half of a red of 255, and nothing else.
    assert told["LargestDifference"] == pytest.approx(128, abs=3)


def test_a_smart_square_shows_where_most_is_to_be_seen(tmp_path: Path) -> None:
    """Squares at the right end of an empty strip."""
    wide, high = 1200, 200
    empty = bytes([200]) * (wide - high)
    rows = b"".join(
        b"\0" + empty + bytes((x // 6 + y // 6) % 2 * 255 for x in range(wide - high, wide)) for y in range(high)
    )
    strip = pictures.grey_png(wide, high, rows)
    cases = {
        focus: a_case("thumbnail", strip, shape="square", size="100", focus=focus)
        for focus in ("smart", "east", "center")
    }
    made = {focus: each.file("thumbnail") for focus, each in batch.run("thumbnail", tmp_path, cases).items()}
    assert house.picture(made["smart"]) == ("image/webp", 100, 100)
    assert made["smart"] == made["east"] != made["center"]


def test_a_very_large_photograph_goes_through_the_smallest_tier(tmp_path: Path) -> None:
    outcome = house.run("thumbnail", tmp_path, {"image": pictures.PHOTO}, flags={"shape": "square"}, memory="64m")
    assert house.picture(outcome.file("thumbnail")) == ("image/webp", 256, 256)


def test_the_mark_is_where_it_should_be(tmp_path: Path) -> None:
    black, white = pictures.png(200, 100), pictures.grey_png(10, 10, (b"\0" + b"\xff" * 10) * 10)
    flags = {"position": "southeast", "opacity": "100", "scale": "0", "margin": "0", "format": "png"}
    marked = house.run("watermark", tmp_path, {"image": black, "mark": white}, flags=flags).file("marked")
    inputs = {"first": black, "second": marked}
    told = json.loads(house.run("compare", tmp_path, inputs).file("report"))
    assert (told["DifferentPixels"], told["LargestDifference"]) == (100, 255)
    corner = house.run(
        "crop", tmp_path, {"image": marked}, flags={"width": "10", "height": "10", "gravity": "southeast"}
    ).file("cropped")
    assert json.loads(house.run("compare", tmp_path, {"first": white, "second": corner}).file("report"))["Identical"]


def test_similarity_is_that_of_the_paper(tmp_path: Path) -> None:
    one = [[(x * 37 + y * 91) % 256 for x in range(16)] for y in range(14)]
    other = [[min(255, value + (x * y) % 40) for x, value in enumerate(row)] for y, row in enumerate(one)]
    files = {
        port: pictures.grey_png(16, 14, b"".join(b"\0" + bytes(row) for row in rows))
        for port, rows in (("first", one), ("second", other))
    }
    told = json.loads(house.run("compare", tmp_path, files).file("report"))
    assert told["SSIM"] == pytest.approx(_similarity(one, other), abs=2e-4)
    squares = sum((a - b) ** 2 for row, row2 in zip(one, other, strict=True) for a, b in zip(row, row2, strict=True))
    assert told["PSNR"] == pytest.approx(10 * math.log10(255**2 / (squares / (16 * 14))), abs=1e-3)


def _similarity(one: list[list[int]], other: list[list[int]]) -> float:
    """As the formula stands, window by window."""
    raw = [[math.exp(-((x - 5) ** 2 + (y - 5) ** 2) / (2 * 1.5**2)) for x in range(11)] for y in range(11)]
    whole = sum(map(sum, raw))
    values = []
    for top in range(len(one) - 10):
        for left in range(len(one[0]) - 10):
            places = [(y, x, raw[y][x] / whole) for y in range(11) for x in range(11)]
            a = [(one[top + y][left + x], weight) for y, x, weight in places]
            b = [(other[top + y][left + x], weight) for y, x, weight in places]
            mean_a, mean_b = sum(v * w for v, w in a), sum(v * w for v, w in b)
            var_a, var_b = (sum(w * (v - m) ** 2 for v, w in each) for each, m in ((a, mean_a), (b, mean_b)))
            both = sum(w * (v - mean_a) * (u - mean_b) for (v, w), (u, _) in zip(a, b, strict=True))
            c1, c2 = 2.55**2, 7.65**2
            values.append(
                (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )
    return sum(values) / len(values)
