"""
The resize image, run as an executor runs it: without network, rights or a place to write but `/tmp` and its output.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pupload.api.flow import wire
from pupload.domain import validation
from scripts import picture
from tests.nodes import house, pictures


@dataclass(frozen=True, kw_only=True)
class Outcome(house.Outcome):
    """What came of a container that has one output."""

    @property
    def result(self) -> bytes | None:
        return next(iter(self.files.values()), None)

    @property
    def picture(self) -> picture.Picture | None:
        return None if self.result is None else picture.read(self.result)


Resize = Callable[..., Outcome]


@pytest.fixture
def resize(tmp_path: Path) -> Resize:
    """Runs the image on the bytes as a bare definition would have it; flags by name."""

    def run(data: bytes, *, memory: str = "2g", **flags: str) -> Outcome:
        outcome = house.run("resize", tmp_path, {"image": data}, flags=flags, memory=memory, bare=True)
        return Outcome(**vars(outcome))

    return run


# ── What it makes ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.engine
def test_its_last_line_tells_of_success_and_of_both_sizes(resize: Resize) -> None:
    last = resize(pictures.PHOTO.read_bytes(), width="800").said[-1]
    assert last.message.startswith("Image resized successfully: 3200x1800 jpeg to 800x450 jpeg")
    assert (last.level, last.progress) == ("INFO", 1.0)


@pytest.mark.engine
def test_a_picture_taken_upright_comes_out_upright_without_its_metadata(resize: Resize) -> None:
    outcome = resize(pictures.turned(pictures.PHOTO.read_bytes(), 6), width="800")
    assert outcome.picture == ("image/jpeg", 800, 1422)
    assert outcome.result is not None
    assert b"Exif" not in outcome.result
    assert b"secret" not in outcome.result


@pytest.mark.engine
def test_the_colour_profile_stays(resize: Resize) -> None:
    outcome = resize(pictures.with_profile(pictures.PHOTO.read_bytes()), width="80")
    assert outcome.result is not None
    profiles = [body for marker, body in picture.segments(outcome.result) if marker == 0xE2]
    assert [body[14:] for body in profiles] == [pictures.ICC]


@pytest.mark.engine
def test_a_small_picture_grows_only_when_asked(resize: Resize) -> None:
    outcome = resize(pictures.png(40, 20), width="100", enlarge="true", format="webp")
    assert outcome.picture == ("image/webp", 100, 50)


@pytest.mark.engine
def test_transparency_becomes_white_where_there_is_none(resize: Resize) -> None:
    outcome = resize(pictures.half_transparent(), format="jpeg")
    assert outcome.picture == ("image/jpeg", 64, 64)


# ── What it refuses ──────────────────────────────────────────────────────────────────────────────────────────────

PHOTO = pictures.PHOTO.read_bytes()


@pytest.mark.engine
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a picture"),
        (b"hello", "not a picture"),
        (pictures.SVG, "not a picture"),
        (pictures.MVG, "not a picture"),
        (b"%PDF-1.7\n", "not a picture"),
        (PHOTO[:200_000], "is damaged"),
        (PHOTO[:40], "is damaged"),
        (b"\xff\xd8\xff" + pictures.SVG, "is damaged"),
        (pictures.png(640, 480)[:-40], "is damaged"),
        (pictures.png(640, 480, rows=0), "is damaged"),
        (pictures.png(20_000, 20_000, rows=1), "20000x20000 pixels"),
        (pictures.png(40_000, 2), "or more than 32000 pixels wide"),
        (b"GIF89a\x10\x00\x10\x00", "is damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "is damaged"),
        (b"II*\0\xff\xff\xff\x7f", "is damaged"),
        (b"\0\0\0\x18ftypheic" + bytes(64), "is damaged"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else value,
)
def test_what_is_no_whole_picture_is_refused_in_a_sentence(resize: Resize, data: bytes, says: str) -> None:
    outcome = resize(data, width="800")
    assert (outcome.exit_code, outcome.result) == (65, None)
    assert says in outcome.complaint


@pytest.mark.engine
def test_a_picture_too_large_for_the_tier_is_refused_before_the_kernel_kills(resize: Resize) -> None:
    outcome = resize(pictures.png(12_000, 9_000), memory="512m", width="800")
    assert (outcome.exit_code, outcome.result) == (71, None)
    assert "does not fit into the memory of this tier" in outcome.complaint


@pytest.mark.engine
@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(
            ("width", value)
            for value in ("0", "-5", "8e2", "80.5", "800; id", "$(id)", "32001", "9" * 40, "800x600!", " 8")
        ),
        ("height", "@/etc/passwd"),
        ("quality", "0"),
        ("quality", "101"),
        ("format", "svg"),
        ("format", "jpeg:/etc/passwd"),
        ("format", "JPEG\n"),
        ("enlarge", "perhaps"),
    ],
)
def test_a_wrong_flag_is_named(resize: Resize, flag: str, value: str) -> None:
    outcome = resize(PHOTO, **{flag: value})
    assert (outcome.exit_code, outcome.result) == (64, None)
    assert outcome.complaint.startswith(f"flag {flag} must be ")


@pytest.mark.engine
def test_a_flag_that_is_not_set_may_also_be_empty(resize: Resize) -> None:
    outcome = resize(PHOTO, width="", height="", quality="", format="", enlarge="")
    assert outcome.picture == ("image/jpeg", 3200, 1800)


@pytest.mark.engine
def test_run_outside_a_flow_it_says_what_it_is() -> None:
    ended = subprocess.run(
        ["docker", "run", "--rm", house.image("resize")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 64
    assert "runs as a node of a flow" in ended.stderr


# ── What it says of itself ───────────────────────────────────────────────────────────────────────────────────────


def test_the_sample_order_is_valid() -> None:
    order = wire.read_order(json.loads((pictures.SAMPLE / "order.json").read_text()))
    assert house.definition("resize").uses == order.flow.nodes[0].uses
    assert list(validation.validate(order.flow, [house.definition("resize")])) == []


def test_the_photograph_is_large_and_names_its_licence() -> None:
    assert picture.read(PHOTO) == ("image/jpeg", 3200, 1800)
    assert "CC0" in (pictures.SAMPLE / "LICENCE.md").read_text()
